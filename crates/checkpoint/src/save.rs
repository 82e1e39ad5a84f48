//! [`save_checkpoint`]: a module with the state of its training, in a file that PyTorch reads.

use std::collections::HashMap;
use std::path::Path;

use mmcv_layers::{Module, ModuleExt, named_modules};
use mmcv_pth::{Dtype, PthItem, TensorData, write_pth};
use serde_json::{Map, Value as JsonValue, json};
use tch::Tensor;

use crate::error::ErrorKind;
use crate::{Error, tensor};

/// What is saved beside the weights.
#[derive(Debug, Default)]
pub struct SaveOptions {
    /// The entry `meta`: anything that JSON has. mmengine's runner resumes a training where it finds `epoch` and `iter`.
    pub meta: Map<String, JsonValue>,
    /// The entry `optimizer`: a mapping with `state` and `param_groups`, as of an optimiser's `state_dict()`. Where
    /// `params` of the groups and the keys of `state` are the same texts, such as the names of the parameters, PyTorch's
    /// optimisers load it.
    pub optimizer: Option<State>,
    /// Further entries of the file, in order. `message_hub`, which mmengine's runner wants to find, is added where it
    /// is not among them.
    pub entries: Vec<(String, State)>,
}

/// A tree of tensors and of what JSON has.
#[derive(Debug)]
pub enum State {
    /// A tensor.
    Tensor(Tensor),
    /// Anything without tensors.
    Json(JsonValue),
    /// A list.
    List(Vec<State>),
    /// A mapping, in this order.
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
/// Order, shared memory and `_metadata` of the state dict are kept. The file appears under its name only when it is
/// complete. A copy of all tensors is held in memory meanwhile.
///
/// # Errors
/// Where the file cannot be written, or a tensor has a type that it cannot hold.
///
/// Reference: `mmengine.runner.save_checkpoint`.
pub fn save_checkpoint(module: &dyn Module, file: impl AsRef<Path>, options: &SaveOptions) -> Result<(), Error> {
    let file = file.as_ref();
    let save = || {
        let mut buffers = Buffers::default();
        let state_dict = module.state_dict();
        for (name, tensor) in &state_dict {
            buffers.add(name, tensor)?;
        }
        let others = options.optimizer.iter().map(|state| ("optimizer", state));
        let others: Vec<_> = others.chain(options.entries.iter().map(|(key, state)| (key.as_str(), state))).collect();
        for (key, state) in &others {
            buffers.add_all(key, state)?;
        }
        let weights = state_dict.iter().map(|(name, tensor)| Ok((name.clone(), buffers.item(name, tensor)?)));
        let weights =
            PthItem::Mapping { entries: weights.collect::<Result<_, ErrorKind>>()?, metadata: Some(versions(module)) };
        let mut root = vec![
            ("meta".to_owned(), PthItem::Json(JsonValue::Object(options.meta.clone()))),
            ("state_dict".to_owned(), weights),
        ];
        if !others.iter().any(|(key, _)| *key == "message_hub") {
            let empty = json!({"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}});
            root.push(("message_hub".to_owned(), empty.into()));
        }
        for (key, state) in &others {
            root.push(((*key).to_owned(), buffers.tree(key, state)?));
        }
        write_pth(file, &PthItem::mapping(root)).map_err(ErrorKind::from)
    };
    save().map_err(|kind| Error::new(&file.display().to_string(), kind))
}

/// The `_metadata` of a state dict: versions of the modules' own formats, 2 where `num_batches_tracked` is counted.
fn versions(module: &dyn Module) -> JsonValue {
    let version = |class: &[&str]| if class.iter().any(|name| COUNTING.contains(name)) { 2 } else { 1 };
    let modules = named_modules(module).into_iter();
    modules.map(|(path, module)| (path, json!({"version": version(module.class())}))).collect()
}

/// Base classes of norms that count batches.
const COUNTING: [&str; 2] = ["_BatchNorm", "_InstanceNorm"];

/// The bytes of tensors, by where their elements lie: what shares memory is held, and written, once.
#[derive(Default)]
struct Buffers(HashMap<Place, Vec<u8>>);

/// Address, elements, strides and type.
type Place = (usize, Vec<i64>, Vec<i64>, Dtype);

impl Buffers {
    fn add_all(&mut self, name: &str, state: &State) -> Result<(), ErrorKind> {
        match state {
            State::Tensor(tensor) => self.add(name, tensor),
            State::Json(_) => Ok(()),
            State::List(states) => states.iter().try_for_each(|state| self.add_all(name, state)),
            State::Mapping(entries) => {
                entries.iter().try_for_each(|(key, state)| self.add_all(&format!("{name}.{key}"), state))
            }
        }
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
        let refuse = |reason: String| ErrorKind::Tensor { name: name.to_owned(), reason };
        let bytes = self.0.get(&place).ok_or_else(|| refuse("it changed while it was saved".to_owned()))?;
        let shape: Vec<u64> = tensor.size().iter().map(|size| u64::try_from(*size).unwrap_or(0)).collect();
        Ok(TensorData::new(place.3, &shape, bytes).map_err(|kind| refuse(kind.to_string()))?.into())
    }

    fn tree(&self, name: &str, state: &State) -> Result<PthItem<'_>, ErrorKind> {
        Ok(match state {
            State::Tensor(tensor) => self.item(name, tensor)?,
            State::Json(value) => PthItem::Json(value.clone()),
            State::List(states) => {
                PthItem::List(states.iter().map(|state| self.tree(name, state)).collect::<Result<_, _>>()?)
            }
            State::Mapping(entries) => {
                let item =
                    |(key, state): &(String, State)| Ok((key.clone(), self.tree(&format!("{name}.{key}"), state)?));
                PthItem::mapping(entries.iter().map(item).collect::<Result<Vec<_>, ErrorKind>>()?)
            }
        })
    }
}

fn place(name: &str, tensor: &Tensor) -> Result<Place, ErrorKind> {
    let refuse = |reason| ErrorKind::Tensor { name: name.to_owned(), reason };
    if !tensor.defined() || tensor.is_sparse() {
        return Err(refuse("only tensors with plain elements can be saved".to_owned()));
    }
    let kind = tensor.f_kind()?;
    let dtype = tensor::dtype(kind).ok_or_else(|| refuse(format!("the type {kind:?} cannot be saved")))?;
    Ok((tensor.data_ptr() as usize, tensor.size(), tensor.stride(), dtype))
}
