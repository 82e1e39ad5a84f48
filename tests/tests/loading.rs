//! Loading a state dict into a module: what fits is written, what does not is named, and a failure changes nothing.

use std::path::{Path, PathBuf};

use mmcv::checkpoint::{DtypePolicy, Error, LoadReport, ReviseKeys, load_file};
use mmcv::prelude::*;
use mmcv::pth::{Dtype, PthItem, TensorData, write_pth, write_safetensors};
use tch::{Device, Kind, Tensor};

/// A tensor of a file.
struct Entry {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl Entry {
    fn data(&self) -> TensorData<'_> {
        TensorData::new(self.dtype, &self.shape, &self.bytes).unwrap()
    }
}

fn bundle() -> ConvModule {
    conv_module(2, 3, 1, dict! { norm_cfg: { type: "BN" } }).unwrap()
}

/// A state for [`bundle`], with `prefix` before each name: every float is 0.5, and the counter is 7.
fn entries(prefix: &str) -> Vec<Entry> {
    let entry = |(name, tensor): (String, Tensor)| {
        let shape = tensor.size().iter().map(|size| u64::try_from(*size).unwrap()).collect();
        let (dtype, element) = match tensor.kind() {
            Kind::Int64 => (Dtype::Int64, 7i64.to_le_bytes().to_vec()),
            _ => (Dtype::Float32, 0.5f32.to_le_bytes().to_vec()),
        };
        Entry { name: format!("{prefix}{name}"), dtype, shape, bytes: element.repeat(tensor.numel()) }
    };
    bundle().state_dict().into_iter().map(entry).collect()
}

/// Writes `entries` under the keys `wrappers`, and loads the file into `module`.
fn load(module: &ConvModule, entries: &[Entry], wrappers: &[&str], options: &LoadOptions) -> Result<LoadReport, Error> {
    let folder = tempfile::tempdir().unwrap();
    load_file(module, &write(folder.path(), entries, wrappers), options)
}

fn write(folder: &Path, entries: &[Entry], wrappers: &[&str]) -> PathBuf {
    let file = folder.join("weights.pth");
    let tensors = entries.iter().map(|entry| (entry.name.clone(), PthItem::from(entry.data())));
    let wrapped = wrappers.iter().rev().fold(PthItem::mapping(tensors), |inner, key| PthItem::mapping([(*key, inner)]));
    write_pth(&file, &wrapped).unwrap();
    file
}

fn without(name: &str) -> Vec<Entry> {
    entries("").into_iter().filter(|entry| entry.name != name).collect()
}

/// The sum of all tensors: 0.5 for each float and 7 for the counter, once everything is loaded.
fn sum(module: &ConvModule) -> f64 {
    module.state_dict().iter().map(|(_, tensor)| tensor.sum(Kind::Double).double_value(&[])).sum()
}

const LOADED_SUM: f64 = 0.5 * (6 + 4 * 3) as f64 + 7.0;

fn lenient() -> LoadOptions {
    LoadOptions { strict: false, ..LoadOptions::default() }
}

/// Loading fails with a message that holds each of `parts`, and changes nothing.
fn refused(entries: &[Entry], options: &LoadOptions, parts: &[&str]) {
    let module = bundle();
    let before = sum(&module);
    let message = load(&module, entries, &[], options).unwrap_err().to_string();
    assert!(parts.iter().all(|part| message.contains(part)), "{parts:?} in: {message}");
    assert!(message.contains("weights.pth"), "{message}");
    assert_eq!(sum(&module), before, "nothing may be written");
}

#[test]
fn everything_that_fits_is_written() {
    for wrappers in [&[][..], &["state_dict"], &["model"]] {
        let module = bundle();
        let report = load(&module, &entries(""), wrappers, &LoadOptions::default()).unwrap();
        assert!(report.is_complete(), "{wrappers:?}: {report}");
        assert_eq!((report.loaded.len(), sum(&module)), (6, LOADED_SUM));
        assert!(module.named_parameters().iter().all(|(_, tensor)| tensor.requires_grad()));
    }
}

#[test]
fn safetensors_are_read_too() {
    let (module, entries) = (bundle(), entries(""));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let tensors: Vec<_> = entries.iter().map(|entry| (entry.name.clone(), entry.data())).collect();
    write_safetensors(&file, &tensors, &[]).unwrap();
    load_file(&module, &file, &LoadOptions::default()).unwrap();
    assert_eq!(sum(&module), LOADED_SUM);
}

#[test]
fn the_prefix_of_data_parallel_training_is_removed() {
    let module = bundle();
    load(&module, &entries("module."), &["state_dict"], &LoadOptions::default()).unwrap();
    assert_eq!(sum(&module), LOADED_SUM);
}

#[test]
fn a_prefix_selects_tensors_and_is_removed() {
    for prefix in ["backbone", "backbone."] {
        let module = bundle();
        let mut all = entries("backbone.");
        all.extend(entries("backbone2."));
        let options = LoadOptions { prefix: Some(prefix.to_owned()), ..LoadOptions::default() };
        load(&module, &all, &[], &options).unwrap();
        assert_eq!(sum(&module), LOADED_SUM);
    }
}

#[test]
fn names_are_revised_with_groups_as_in_python() {
    let module = bundle();
    let revise_keys = ReviseKeys::new([(r"^net_(conv|bn)\.(?P<rest>.*)$", r"\1.\g<rest>")]).unwrap();
    let options = LoadOptions { revise_keys, ..LoadOptions::default() };
    load(&module, &entries("net_"), &[], &options).unwrap();
    assert_eq!(sum(&module), LOADED_SUM);
}

#[test]
fn two_tensors_of_one_name_are_refused() {
    let revise_keys = ReviseKeys::new([("running_(mean|var)", "running_mean")]).unwrap();
    let options = LoadOptions { revise_keys, ..LoadOptions::default() };
    refused(&entries(""), &options, &["bn.running_mean", "bn.running_var", "revise_keys"]);
}

#[test]
fn a_missing_tensor() {
    refused(&without("bn.bias"), &LoadOptions::default(), &["1 missing (bn.bias)", "nothing was loaded"]);
    let module = bundle();
    let report = load(&module, &without("bn.bias"), &[], &lenient()).unwrap();
    assert_eq!((report.loaded.len(), report.missing), (5, vec!["bn.bias".to_owned()]));
    assert_eq!(sum(&module), LOADED_SUM - 1.5, "the bias stays 0");
}

#[test]
fn an_unexpected_tensor() {
    let more = || {
        let mut more = entries("");
        more.push(Entry { name: "fc.weight".to_owned(), dtype: Dtype::Float32, shape: vec![1], bytes: vec![0; 4] });
        more
    };
    refused(&more(), &LoadOptions::default(), &["1 unexpected (fc.weight)"]);
    let report = load(&bundle(), &more(), &[], &lenient()).unwrap();
    assert_eq!((report.loaded.len(), report.unexpected), (6, vec!["fc.weight".to_owned()]));
}

#[test]
fn another_shape_or_type() {
    // A shape that libtorch would broadcast, and a type that it would convert.
    let shape = |entry: &mut Entry| (entry.shape, entry.bytes) = (vec![1], vec![0; 4]);
    let dtype = |entry: &mut Entry| (entry.dtype, entry.bytes) = (Dtype::Float64, vec![0; 24]);
    type Change<'a> = &'a dyn Fn(&mut Entry);
    let changes: [(Change<'_>, &str); 2] = [(&shape, "float32 [1]"), (&dtype, "float64 [3]")];
    for (change, found) in changes {
        let changed = || {
            let mut all = entries("");
            all.iter_mut().filter(|entry| entry.name == "bn.weight").for_each(change);
            all
        };
        let exact = |strict| LoadOptions { strict, dtype: DtypePolicy::Exact, ..LoadOptions::default() };
        refused(&changed(), &exact(true), &["bn.weight: float32 [3] in the network", found]);
        let report = load(&bundle(), &changed(), &[], &exact(false)).unwrap();
        assert_eq!((report.loaded.len(), report.mismatched.len()), (5, 1));
    }
}

#[test]
fn nothing_that_fits_is_an_error_even_where_not_strict() {
    refused(&entries("other."), &lenient(), &["missing", "unexpected"]);
}

#[test]
fn counters_of_old_files_may_be_missing() {
    let module = bundle();
    let report = load(&module, &without("bn.num_batches_tracked"), &[], &LoadOptions::default()).unwrap();
    assert_eq!((report.loaded.len(), report.missing.len()), (5, 0));
    assert_eq!(sum(&module), LOADED_SUM - 7.0);
}

#[test]
fn a_truncated_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &entries(""), &[]);
    let whole = std::fs::read(&file).unwrap();
    for length in [0, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let module = bundle();
        let before = sum(&module);
        let message = load_file(&module, &file, &LoadOptions::default()).unwrap_err().to_string();
        assert!(message.contains("weights.pth"), "{message}");
        assert_eq!(sum(&module), before, "{length} of {} bytes", whole.len());
    }
}

#[test]
fn several_files_with_an_index_are_one_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let conv =
        build_conv_layer(&config! { type: "Conv2d" }, &dict! { in_channels: 2, out_channels: 3, kernel_size: 1 });
    let conv = conv.unwrap();
    let filled = |shape: &[i64], value: f64| Tensor::full(shape, value, (Kind::Float, Device::Cpu));
    for (file, name, tensor) in [
        ("model-1.safetensors", "weight", filled(&[3, 2, 1, 1], 0.5)),
        ("model-2.safetensors", "bias", filled(&[3], 2.0)),
    ] {
        Tensor::write_safetensors(&[(name, tensor)], folder.path().join(file)).unwrap();
    }
    let index = folder.path().join("model.safetensors.index.json");
    let map = r#"{"metadata": {}, "weight_map": {"weight": "model-1.safetensors", "bias": "model-2.safetensors"}}"#;
    std::fs::write(&index, map).unwrap();
    let report = load_checkpoint(&*conv, index.to_str().unwrap(), &LoadOptions::default()).unwrap();
    assert!(report.is_complete() && report.loaded.len() == 2, "{report}");
    assert!(conv.state_dict().iter().all(|(name, tensor)| {
        f64::from(tensor.min().double_value(&[]) as f32) == if name == "bias" { 2.0 } else { 0.5 }
    }));
}
