//! [`save_checkpoint`]: a module and the state of its training, in a file that PyTorch reads.

use std::collections::HashMap;
use std::path::Path;

use mmcv_layers::{Module, ModuleExt, named_modules};
use mmcv_pth::{Dtype, PthItem, TensorData, write_pth};
use serde_json::{Map, Value as JsonValue, json};
use tch::Tensor;

use crate::error::ErrorKind;
use crate::{Error, dtype};

/// What is saved with the weights.
#[derive(Debug, Default)]
pub struct SaveOptions {
    /// The entry `meta`. mmengine's runner resumes training if it has `epoch` and `iter`.
    pub meta: Map<String, JsonValue>,
    /// The entry `optimizer`: a mapping with `state` and `param_groups`, like an optimizer's `state_dict()`. PyTorch's
    /// optimizers load it if `params` of the groups and the keys of `state` are the same strings, such as the names of the
    /// parameters.
    pub optimizer: Option<State>,
    /// More entries of the file, in order. `message_hub`, which mmengine's runner expects, is added if it is missing.
    pub entries: Vec<(String, State)>,
}

/// A tree of tensors and JSON values.
#[derive(Debug)]
pub enum State {
    /// A tensor.
    Tensor(Tensor),
    /// A value without tensors.
    Json(JsonValue),
    /// A list.
    List(Vec<State>),
    /// A mapping, in order.
    Mapping(Vec<(String, State)>),
}

impl State {
    /// A mapping.
    pub fn mapping<K: Into<String>>(entries: impl IntoIterator<Item = (K, State)>) -> Self {
        Self::Mapping(entries.into_iter().map(|(key, state)| (key.into(), state)).collect())
    }
}

impl From<Tensor> for State {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<JsonValue> for State {
    fn from(value: JsonValue) -> Self {
        Self::Json(value)
    }
}

/// Saves `module` as a `.pth` file `{meta, state_dict, optimizer, ...}` that `torch.load(weights_only=True)` reads.
///
/// Order, shared memory and `_metadata` of the state dict are kept. The file gets its name only once it is complete. All
/// tensors are copied in memory meanwhile.
///
/// # Errors
/// Returns an error if the file cannot be written, or if the format does not have the type of a tensor.
///
/// Reference: `mmengine.runner.save_checkpoint`.
pub fn save_checkpoint(module: &dyn Module, file: impl AsRef<Path>, options: &SaveOptions) -> Result<(), Error> {
    let file = file.as_ref();
    save(module, file, options).map_err(|kind| Error::new(&file.display().to_string(), kind))
}

fn save(module: &dyn Module, file: &Path, options: &SaveOptions) -> Result<(), ErrorKind> {
    let state_dict = module.state_dict();
    let mut others: Vec<(&str, &State)> = Vec::new();
    if let Some(optimizer) = &options.optimizer {
        others.push(("optimizer", optimizer));
    }
    for (key, state) in &options.entries {
        others.push((key, state));
    }
    let mut buffers = Buffers::default();
    for (name, tensor) in &state_dict {
        buffers.add(name, tensor)?;
    }
    for (key, state) in &others {
        buffers.add_all(key, state)?;
    }

    let mut weights = Vec::new();
    for (name, tensor) in &state_dict {
        weights.push((name.clone(), buffers.item(name, tensor)?));
    }
    let mut root = vec![
        ("meta".to_owned(), PthItem::Json(JsonValue::Object(options.meta.clone()))),
        ("state_dict".to_owned(), PthItem::Mapping { entries: weights, metadata: Some(versions(module)) }),
    ];
    if !others.iter().any(|(key, _)| *key == "message_hub") {
        let empty = json!({"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}});
        root.push(("message_hub".to_owned(), empty.into()));
    }
    for (key, state) in others {
        root.push((key.to_owned(), buffers.tree(key, state)?));
    }
    Ok(write_pth(file, &PthItem::mapping(root))?)
}

/// The `_metadata` of a state dict: the version of each module's format, 2 for those that have `num_batches_tracked`.
fn versions(module: &dyn Module) -> JsonValue {
    let mut versions = Map::new();
    for (path, module) in named_modules(module) {
        let counts = module.class().iter().any(|name| COUNTING.contains(name));
        versions.insert(path, json!({"version": if counts { 2 } else { 1 }}));
    }
    versions.into()
}

/// The base classes of norms that count batches.
const COUNTING: [&str; 2] = ["_BatchNorm", "_InstanceNorm"];

/// The bytes of tensors, by the place of their elements: shared memory is copied and written once.
#[derive(Default)]
struct Buffers(HashMap<Place, Vec<u8>>);

/// Address, sizes, strides and type.
type Place = (usize, Vec<i64>, Vec<i64>, Dtype);

impl Buffers {
    fn add_all(&mut self, name: &str, state: &State) -> Result<(), ErrorKind> {
        match state {
            State::Tensor(tensor) => self.add(name, tensor)?,
            State::Json(_) => {}
            State::List(states) => {
                for state in states {
                    self.add_all(name, state)?;
                }
            }
            State::Mapping(entries) => {
                for (key, state) in entries {
                    self.add_all(&format!("{name}.{key}"), state)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, name: &str, tensor: &Tensor) -> Result<(), ErrorKind> {
        let place = place(name, tensor)?;
        if self.0.contains_key(&place) {
            return Ok(());
        }
        let plain = tensor.f_detach()?.f_resolve_conj()?.f_resolve_neg()?;
        let mut bytes = vec![0; tensor.numel() * place.3.size()];
        plain.f_copy_data_u8(&mut bytes, tensor.numel())?;
        self.0.insert(place, bytes);
        Ok(())
    }

    fn item(&self, name: &str, tensor: &Tensor) -> Result<PthItem<'_>, ErrorKind> {
        let place = place(name, tensor)?;
        let Some(bytes) = self.0.get(&place) else {
            return Err(unsupported(name, "it was changed while it was saved"));
        };
        let shape: Vec<u64> = tensor.size().iter().map(|size| u64::try_from(*size).unwrap_or(0)).collect();
        match TensorData::new(place.3, &shape, bytes) {
            Ok(data) => Ok(data.into()),
            Err(kind) => Err(unsupported(name, kind.to_string())),
        }
    }

    fn tree(&self, name: &str, state: &State) -> Result<PthItem<'_>, ErrorKind> {
        match state {
            State::Tensor(tensor) => self.item(name, tensor),
            State::Json(value) => Ok(PthItem::Json(value.clone())),
            State::List(states) => {
                let mut items = Vec::new();
                for state in states {
                    items.push(self.tree(name, state)?);
                }
                Ok(PthItem::List(items))
            }
            State::Mapping(entries) => {
                let mut items = Vec::new();
                for (key, state) in entries {
                    items.push((key.clone(), self.tree(&format!("{name}.{key}"), state)?));
                }
                Ok(PthItem::mapping(items))
            }
        }
    }
}

fn place(name: &str, tensor: &Tensor) -> Result<Place, ErrorKind> {
    if !tensor.defined() || tensor.is_sparse() {
        return Err(unsupported(name, "only dense tensors can be saved"));
    }
    let kind = tensor.f_kind()?;
    let Some(dtype) = dtype::dtype(kind) else {
        return Err(unsupported(name, format!("the type {kind:?} cannot be saved")));
    };
    Ok((tensor.data_ptr() as usize, tensor.size(), tensor.stride(), dtype))
}

fn unsupported(name: &str, reason: impl Into<String>) -> ErrorKind {
    ErrorKind::Tensor { name: name.to_owned(), reason: reason.into() }
}
