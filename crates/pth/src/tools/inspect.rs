//! [`inspect`]: the contents of a checkpoint as JSON and text.

use std::fmt;
use std::io;
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};
use sha2::{Digest as _, Sha256};

use crate::checkpoint::FileCheckpoint;
use crate::error::{Error, one_line};
use crate::options::OpenOptions;
use crate::tensor::RawTensor;
use crate::tree::hex;

/// Characters of a key or value in the text.
const MAX_TEXT: usize = 200;

/// A checkpoint with the digests of its tensors, if they were requested. Serializes to an object with the keys `format`,
/// `tensors` and `meta`, and displays as text.
#[derive(Debug)]
pub struct Inspection {
    checkpoint: FileCheckpoint,
    /// The digest of each tensor, if requested; `None` for tensors without plain bytes.
    digests: Option<Vec<Option<[u8; 32]>>>,
}

/// Opens `path`, checks it and the checksums of its storages, and with `digest` computes the SHA-256 of every tensor.
///
/// # Errors
/// Returns an error if the file cannot be opened or the bytes of a tensor are damaged.
pub fn inspect(path: impl AsRef<Path>, options: &OpenOptions, digest: bool) -> Result<Inspection, Error> {
    let checkpoint = FileCheckpoint::open_with(path, options)?;
    let digests = if digest { Some(digests(&checkpoint)?) } else { None };
    checkpoint.verify()?;
    Ok(Inspection { checkpoint, digests })
}

impl Inspection {
    /// The checkpoint.
    pub fn checkpoint(&self) -> &FileCheckpoint {
        &self.checkpoint
    }

    /// The digest of the tensor at this index, in hexadecimal.
    fn digest(&self, index: usize) -> Option<String> {
        let digest = (*self.digests.as_ref()?.get(index)?)?;
        Some(hex(&digest))
    }
}

/// The digests in the order of the tensors. They are computed in the order of the storages, so that each is read once.
fn digests(checkpoint: &FileCheckpoint) -> Result<Vec<Option<[u8; 32]>>, Error> {
    let mut tensors: Vec<_> = checkpoint.tensors().enumerate().collect();
    tensors.sort_by_key(|(_, tensor)| tensor.storage());
    let mut digests = vec![None; tensors.len()];
    for (index, tensor) in tensors {
        if tensor.unsupported().is_some() {
            continue;
        }
        let mut hasher = Sha256::new();
        tensor.for_each_chunk(|chunk| hasher.update(chunk))?;
        if let Some(digest) = digests.get_mut(index) {
            *digest = Some(hasher.finalize().into());
        }
    }
    Ok(digests)
}

impl Serialize for Inspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("format", &self.checkpoint.format())?;
        map.serialize_entry("tensors", &Tensors(self))?;
        map.serialize_entry("meta", &self.checkpoint.meta_json())?;
        map.end()
    }
}

struct Tensors<'a>(&'a Inspection);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (index, tensor) in self.0.checkpoint.tensors().enumerate() {
            map.serialize_entry(tensor.key(), &Summary { tensor: &tensor, digest: self.0.digest(index) })?;
        }
        map.end()
    }
}

struct Summary<'a> {
    tensor: &'a RawTensor<'a>,
    digest: Option<String>,
}

impl Serialize for Summary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.tensor.dtype() {
            Some(dtype) => {
                map.serialize_entry("dtype", &dtype)?;
                map.serialize_entry("shape", self.tensor.shape())?;
            }
            None => map.serialize_entry("unsupported", &self.tensor.unsupported())?,
        }
        if let Some(digest) = &self.digest {
            map.serialize_entry("sha256", digest)?;
        }
        map.end()
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensors: Vec<_> = self.checkpoint.tensors().collect();
        let (mut bytes, mut width) = (0_u64, 0);
        for tensor in &tensors {
            bytes = bytes.saturating_add(tensor.byte_count());
            width = tensor.key().chars().count().max(width).min(60);
        }
        writeln!(formatter, "format: {}", self.checkpoint.format())?;
        writeln!(formatter, "tensors: {} ({:.1} MB)", tensors.len(), bytes as f64 / 1e6)?;
        for (index, tensor) in tensors.iter().enumerate() {
            let key = one_line(tensor.key(), MAX_TEXT);
            write!(formatter, "  {key:width$}  {:<8}  {:?}", tensor.type_name(), tensor.shape())?;
            match self.digest(index) {
                Some(digest) => writeln!(formatter, "  {digest}")?,
                None => writeln!(formatter)?,
            }
        }
        writeln!(formatter, "meta: {} entries", self.checkpoint.meta_entries().count())?;
        for (key, value) in self.checkpoint.meta_entries() {
            writeln!(formatter, "  {}: {}", one_line(&key, MAX_TEXT), one_line(&start_of_json(&value), MAX_TEXT))?;
        }
        Ok(())
    }
}

/// The JSON of `value`, of which only the start is generated if it is long.
fn start_of_json(value: &impl Serialize) -> String {
    let mut start = Start(Vec::new());
    // An error means that the start is complete.
    let _ = serde_json::to_writer(&mut start, value);
    String::from_utf8_lossy(&start.0).into_owned()
}

/// A writer that accepts a little more than [`MAX_TEXT`] characters.
struct Start(Vec<u8>);

impl io::Write for Start {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (8 * MAX_TEXT).saturating_sub(self.0.len());
        self.0.extend(bytes.iter().take(room));
        Ok(room.min(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
