//! Saving: a module's state dict, and what a training program wants to find again.

use std::path::Path;

use mmcv_layers::{Module, ModuleExt};
use mmcv_pth::{Checkpoint, Dtype, Item, TensorData, write_pth};
use tch::Tensor;

use crate::error::ErrorKind;
use crate::{Error, tensor};

/// Something that is saved under a key of its own, beside the state dict.
#[derive(Debug)]
pub enum Entry {
    /// Tensors by name, such as an optimiser's.
    Tensors(Vec<(String, Tensor)>),
    /// Anything without tensors, such as the number of epochs.
    Json(serde_json::Value),
}

/// The bytes of a tensor, with what they mean.
struct Bytes {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    bytes: Vec<u8>,
}

/// Writes a `.pth` file with the module's state dict under `state_dict`, as OpenMMLab's training programs do, and
/// `entries` under their keys. `torch.load(weights_only=True)` reads it, and so do [`load_file`](crate::load_file) and
/// [`read_tensors`]. The file appears under its name only when it is complete.
///
/// # Errors
/// Where the file cannot be written, a tensor is of a type that such files do not have, or two keys are equal.
pub fn save_checkpoint(module: &dyn Module, file: &Path, entries: &[(&str, Entry)]) -> Result<(), Error> {
    let save = || -> Result<(), ErrorKind> {
        // The bytes are copied first: the items that are written borrow them.
        let state = copies(&module.state_dict())?;
        let copied = |(_, entry): &(&str, Entry)| match entry {
            Entry::Tensors(tensors) => copies(tensors),
            Entry::Json(_) => Ok(Vec::new()),
        };
        let copied = entries.iter().map(copied).collect::<Result<Vec<_>, _>>()?;
        let mut items = vec![("state_dict", mapping(&state)?)];
        for ((key, entry), tensors) in entries.iter().zip(&copied) {
            let item = match entry {
                Entry::Tensors(_) => mapping(tensors)?,
                Entry::Json(value) => Item::Json(value.clone()),
            };
            items.push((key, item));
        }
        Ok(write_pth(file, &Item::mapping(items))?)
    };
    save().map_err(|kind| Error::new(&file.display().to_string(), kind))
}

/// The tensors that stand in a checkpoint file under `key`, with their names and copied to the CPU; `None` where there
/// is no such key.
///
/// # Errors
/// Where the file cannot be read, or a tensor is of a type that libtorch does not have.
pub fn read_tensors(file: &Path, key: &str) -> Result<Option<Vec<(String, Tensor)>>, Error> {
    let read = || -> Result<_, ErrorKind> {
        let checkpoint = Checkpoint::open(file)?;
        let Some(tensors) = checkpoint.tensors_below(&[key]) else { return Ok(None) };
        let read = |raw: &mmcv_pth::RawTensor<'_>| {
            let dtype = raw.dtype().map_or_else(|| raw.unsupported().unwrap_or("unknown"), Dtype::name);
            let kind = raw.dtype().and_then(tensor::kind).ok_or_else(|| no_such_type(raw.key(), dtype))?;
            Ok((raw.key().to_owned(), tensor::read(raw, kind)?))
        };
        tensors.iter().map(read).collect::<Result<_, ErrorKind>>().map(Some)
    };
    read().map_err(|kind| Error::new(&file.display().to_string(), kind))
}

fn copies(tensors: &[(String, Tensor)]) -> Result<Vec<Bytes>, ErrorKind> {
    let copy = |(name, tensor): &(String, Tensor)| {
        let kind = tensor.f_kind().map_err(mmcv_layers::Error::from)?;
        let dtype = tensor::dtype(kind).ok_or_else(|| no_such_type(name, tensor::name(kind)))?;
        let shape = tensor.size().into_iter().map(i64::unsigned_abs).collect();
        let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel()).map_err(mmcv_layers::Error::from)?;
        Ok(Bytes { name: name.clone(), dtype, shape, bytes })
    };
    tensors.iter().map(copy).collect()
}

fn mapping(tensors: &[Bytes]) -> Result<Item<'_>, ErrorKind> {
    let mut entries = Vec::with_capacity(tensors.len());
    for Bytes { name, dtype, shape, bytes } in tensors {
        entries.push((name.as_str(), TensorData::new(*dtype, shape, bytes)?.into()));
    }
    Ok(Item::mapping(entries))
}

fn no_such_type(name: &str, dtype: &str) -> ErrorKind {
    ErrorKind::Type { name: name.to_owned(), dtype: dtype.to_owned() }
}
