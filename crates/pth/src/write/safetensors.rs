//! Writing safetensors.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use crate::error::{Error, ErrorKind};
use crate::limits::MAX_HEADER_BYTES;
use crate::safetensors::METADATA;
use crate::write::{Progress, TensorData, atomic};

/// The header ends at a multiple of this many bytes.
const ALIGNMENT: usize = 8;

/// Writes `tensors` and the texts of `metadata` as safetensors. Views are gathered; tensors that share memory are written
/// once each. The file appears under its name only when it is complete.
///
/// # Errors
/// The file cannot be written, a name is there twice, or a type is none of the format.
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
    // The largest elements first, so that all are aligned; the header keeps the order.
    let mut placed: Vec<_> = tensors.iter().map(|(_, tensor)| (tensor, [0, 0])).collect();
    let mut order: Vec<_> = placed.iter_mut().collect();
    order.sort_by_key(|(tensor, _)| std::cmp::Reverse(tensor.dtype().size()));
    let mut end = 0;
    for (tensor, offsets) in &mut order {
        let start = end;
        end += tensor.bytes();
        *offsets = [start, end];
    }
    let ordered: Vec<_> = order.iter().map(|(tensor, _)| *tensor).collect();
    let header = header(tensors, placed.iter().map(|&(_, offsets)| offsets), metadata)?;
    atomic::write_file(path, progress, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        for tensor in ordered {
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

fn header(
    tensors: &[(String, TensorData<'_>)],
    offsets: impl Iterator<Item = [u64; 2]>,
    metadata: &[(String, String)],
) -> Result<Vec<u8>, ErrorKind> {
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        let texts: serde_json::Map<_, _> = metadata.iter().map(|(key, text)| (key.clone(), json!(text))).collect();
        header.insert(METADATA.to_owned(), texts.into());
    }
    let mut names = HashSet::from([METADATA]);
    for ((name, tensor), offsets) in tensors.iter().zip(offsets) {
        if !names.insert(name) {
            return Err(ErrorKind::DuplicateTensor(name.clone()));
        }
        let dtype = tensor.dtype();
        let unknown = || ErrorKind::Write(format!("tensor `{name}`: safetensors has no type {dtype}"));
        let dtype = dtype.safetensors_name().ok_or_else(unknown)?;
        header.insert(name.clone(), json!({"dtype": dtype, "shape": tensor.view.shape, "data_offsets": offsets}));
    }
    let mut bytes = serde_json::Value::Object(header).to_string().into_bytes();
    // A larger one is refused by readers.
    ErrorKind::check_limit("bytes of the safetensors header", bytes.len() as u64, MAX_HEADER_BYTES)?;
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(bytes)
}
