//! Writing safetensors, with the header types of the `safetensors` crate. Its own writer needs whole tensors in memory and
//! sorts the header, so the data is written here.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::Path;

use ::safetensors::tensor::{Metadata, TensorInfo};
use serde_json::json;

use crate::error::{Error, ErrorKind};
use crate::format::METADATA;
use crate::limits::MAX_HEADER_BYTES;
use crate::write::{Progress, TensorData, atomic};

/// The alignment of the end of the header.
const ALIGNMENT: usize = 8;

/// Writes `tensors` and the texts of `metadata` as safetensors. Views are copied; of tensors that share memory, each is
/// written. The file gets its name only when it is complete.
///
/// # Errors
/// Returns an error if the file cannot be written, a name occurs twice, or a type is not part of the format.
pub fn write_safetensors(
    path: impl AsRef<Path>,
    tensors: &[(String, TensorData<'_>)],
    metadata: &[(String, String)],
) -> Result<(), Error> {
    let path = path.as_ref();
    write_safetensors_with(path, tensors, metadata, None).map_err(|kind| Error::new(path, kind))
}

pub(crate) fn write_safetensors_with(
    path: &Path,
    tensors: &[(String, TensorData<'_>)],
    metadata: &[(String, String)],
    progress: Progress<'_>,
) -> Result<(), ErrorKind> {
    // The largest elements come first, so that all are aligned. The header keeps the order of the tensors.
    let mut placed: Vec<_> = tensors.iter().collect();
    placed.sort_by_key(|(_, tensor)| Reverse(tensor.dtype().size()));
    let header = header(tensors, layout(&placed)?, metadata)?;
    atomic::write_file(path, progress, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for (_, tensor) in placed {
            let mut result = Ok(());
            tensor.for_each_chunk(|chunk| {
                if result.is_ok() {
                    result = writer.write_all(chunk);
                }
            })?;
            result?;
        }
        Ok(())
    })
}

/// The header entry of each tensor; the tensors are written in the given order.
fn layout<'a>(tensors: &[&'a (String, TensorData<'_>)]) -> Result<HashMap<&'a str, TensorInfo>, ErrorKind> {
    let mut infos = Vec::with_capacity(tensors.len());
    let mut end = 0;
    for (name, tensor) in tensors {
        let Some(dtype) = tensor.dtype().safetensors() else {
            let text = format!("tensor `{name}`: safetensors has no type {}", tensor.dtype());
            return Err(ErrorKind::Write(text));
        };
        let start = end;
        end += tensor.bytes() as usize;
        let shape = tensor.shape().iter().map(|&size| size as usize).collect();
        infos.push((name.as_str(), TensorInfo { dtype, shape, data_offsets: (start, end) }));
    }
    let checked = infos.iter().map(|(name, info)| ((*name).to_owned(), info.clone())).collect();
    if let Err(error) = Metadata::new(None, checked) {
        return Err(ErrorKind::Write(error.to_string()));
    }
    Ok(infos.into_iter().collect())
}

fn header(
    tensors: &[(String, TensorData<'_>)],
    infos: HashMap<&str, TensorInfo>,
    metadata: &[(String, String)],
) -> Result<Vec<u8>, ErrorKind> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        let texts: serde_json::Map<_, _> = metadata.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
        header.insert(METADATA.to_owned(), texts.into());
    }
    let mut names = HashSet::from([METADATA]);
    for (name, _) in tensors {
        if !names.insert(name) {
            return Err(ErrorKind::DuplicateTensor(name.clone()));
        }
        header.insert(name.clone(), json!(infos.get(name.as_str())));
    }
    let mut bytes = serde_json::Value::Object(header).to_string().into_bytes();
    // Readers refuse a larger header.
    ErrorKind::check_limit("bytes of the safetensors header", bytes.len() as u64, MAX_HEADER_BYTES)?;
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(bytes)
}
