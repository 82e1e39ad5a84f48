//! A small network, and files that hold its tensors.

use std::path::{Path, PathBuf};

use mmcv_checkpoint::{Error, ErrorKind, LoadReport};
use mmcv_layers::{Module, ModuleExt, Sequential, build_conv_layer, build_norm_layer};
use mmcv_pth::{Dtype, PthItem, TensorData, write_pth};
use mmcv_registry::{Config, config, dict};
use tch::{Kind, Tensor};

/// A convolution and a norm: `0.weight`, `0.bias`, then the five tensors of the norm under `1.`.
pub(crate) fn network() -> Sequential {
    let arguments = dict! { in_channels: 2, out_channels: 3, kernel_size: 3 };
    let conv = build_conv_layer(&Config::Null, &arguments).unwrap();
    let (_, norm) = build_norm_layer(&config! { type: "BN" }, 3, "").unwrap();
    Sequential::new(vec![conv, norm])
}

/// A tensor of a file.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
}

impl Entry {
    pub(crate) fn data(&self) -> TensorData<'_> {
        TensorData::new(self.dtype, &self.shape, &self.bytes).unwrap()
    }
}

/// A state for [`network`], with `prefix` before each name: every float is 0.5, and the counter is 7.
pub(crate) fn entries(prefix: &str) -> Vec<Entry> {
    let entry = |(name, tensor): (String, Tensor)| {
        let shape = tensor.size().iter().map(|size| u64::try_from(*size).unwrap()).collect();
        let (dtype, element) = match tensor.kind() {
            Kind::Int64 => (Dtype::Int64, 7i64.to_le_bytes().to_vec()),
            _ => (Dtype::Float32, 0.5f32.to_le_bytes().to_vec()),
        };
        Entry { name: format!("{prefix}{name}"), dtype, shape, bytes: element.repeat(tensor.numel()) }
    };
    network().state_dict().into_iter().map(entry).collect()
}

/// Writes `entries` under a top-level entry, or as the whole file.
pub(crate) fn write(folder: &Path, entries: &[Entry], wrapper: Option<&str>) -> PathBuf {
    let file = folder.join("weights.pth");
    let tensors = PthItem::mapping(entries.iter().map(|entry| (entry.name.clone(), PthItem::from(entry.data()))));
    let root = match wrapper {
        Some(key) => PthItem::mapping([("epoch", PthItem::Json(3.into())), (key, tensors)]),
        None => tensors,
    };
    write_pth(&file, &root).unwrap();
    file
}

/// The sum of all elements: [`LOADED`] once [`entries`] are loaded.
pub(crate) fn sum(module: &dyn Module) -> f64 {
    module.state_dict().iter().map(|(_, tensor)| tensor.sum(Kind::Double).double_value(&[])).sum()
}

/// 54 + 3 elements of the convolution, four vectors of the norm, the counter.
pub(crate) const LOADED: f64 = 0.5 * (54 + 3 + 4 * 3) as f64 + 7.0;

/// The report of a state dict that was refused.
pub(crate) fn refused(result: Result<LoadReport, Error>) -> LoadReport {
    match *result.unwrap_err().kind {
        ErrorKind::Mismatch(report) => *report,
        other => panic!("{other}"),
    }
}
