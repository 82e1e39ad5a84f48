//! What a checkpoint holds, as data, JSON and text.

use std::fmt;
use std::io;
use std::path::Path;

use serde::ser::{Serialize, SerializeMap, Serializer};
use sha2::{Digest as _, Sha256};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, one_line};
use crate::json::hexadecimal;
use crate::options::Options;
use crate::raw::RawTensor;

/// Characters of a key or value in the text form.
const MAX_TEXT: usize = 200;

/// A checkpoint with the digests of its tensors, if they were asked for. It serializes to the JSON of
/// `mmcv ckpt inspect --json`, and displays as a text for people.
#[derive(Debug)]
pub struct Inspection {
    checkpoint: Checkpoint,
    /// For each tensor, if asked for; `None` for those without plain bytes.
    digests: Option<Vec<Option<[u8; 32]>>>,
}

/// Opens `path`, checks it and the checksums of its storages, and with `digest` takes the SHA-256 of every tensor.
///
/// # Errors
/// The file cannot or will not be read, or the bytes of a tensor are damaged.
pub fn inspect(path: impl AsRef<Path>, options: &Options, digest: bool) -> Result<Inspection, Error> {
    let checkpoint = Checkpoint::open_with(path, options)?;
    let digests = digest.then(|| digests(&checkpoint)).transpose()?;
    checkpoint.verify()?;
    Ok(Inspection { checkpoint, digests })
}

impl Inspection {
    /// The checkpoint itself.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    fn entries(&self) -> impl Iterator<Item = (RawTensor<'_>, Option<&[u8; 32]>)> {
        let digests = self.digests.as_deref().unwrap_or_default();
        let tensors = self.checkpoint.tensors().enumerate();
        tensors.map(|(index, tensor)| (tensor, digests.get(index).and_then(Option::as_ref)))
    }
}

/// The digests in the order of the tensors, taken in the order of the storages, so that each is read once.
fn digests(checkpoint: &Checkpoint) -> Result<Vec<Option<[u8; 32]>>, Error> {
    let mut tensors: Vec<_> = checkpoint.tensors().enumerate().collect();
    tensors.sort_by_key(|(_, tensor)| tensor.storage());
    let mut digests = vec![None; tensors.len()];
    for (index, tensor) in tensors {
        if tensor.unsupported().is_some() {
            continue;
        }
        let mut hasher = Sha256::new();
        tensor.for_each_chunk(|chunk| hasher.update(chunk))?;
        if let Some(slot) = digests.get_mut(index) {
            *slot = Some(hasher.finalize().into());
        }
    }
    Ok(digests)
}

impl Serialize for Inspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("format", &self.checkpoint.format().to_string())?;
        map.serialize_entry("tensors", &Tensors(self))?;
        map.serialize_entry("meta", &self.checkpoint.meta_json())?;
        map.end()
    }
}

struct Tensors<'a>(&'a Inspection);

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (tensor, digest) in self.0.entries() {
            map.serialize_entry(tensor.key(), &Summary { tensor: &tensor, digest })?;
        }
        map.end()
    }
}

struct Summary<'a> {
    tensor: &'a RawTensor<'a>,
    digest: Option<&'a [u8; 32]>,
}

impl Serialize for Summary<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.tensor.dtype() {
            Some(dtype) => {
                map.serialize_entry("dtype", dtype.name())?;
                map.serialize_entry("shape", self.tensor.shape())?;
            }
            None => map.serialize_entry("unsupported", &self.tensor.unsupported())?,
        }
        if let Some(digest) = self.digest {
            map.serialize_entry("sha256", &hexadecimal(digest))?;
        }
        map.end()
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensors = self.checkpoint.tensors();
        let bytes: u64 = self.checkpoint.tensors().map(|tensor| tensor.byte_count()).fold(0, u64::saturating_add);
        writeln!(formatter, "format: {}", self.checkpoint.format())?;
        writeln!(formatter, "tensors: {} ({})", tensors.len(), megabytes(bytes))?;
        let width = tensors.map(|tensor| tensor.key().chars().count()).max().unwrap_or(0).min(60);
        for (tensor, digest) in self.entries() {
            let key = one_line(tensor.key(), MAX_TEXT);
            let kind = tensor.dtype().map_or_else(|| tensor.unsupported().unwrap_or_default(), |dtype| dtype.name());
            write!(formatter, "  {key:width$}  {kind:<8}  {:?}", tensor.shape())?;
            match digest {
                Some(digest) => writeln!(formatter, "  {}", hexadecimal(digest))?,
                None => writeln!(formatter)?,
            }
        }
        writeln!(formatter, "meta: {} entries", self.checkpoint.meta_entries().count())?;
        for (key, value) in self.checkpoint.meta_entries() {
            writeln!(formatter, "  {}: {}", one_line(&key, MAX_TEXT), one_line(&start_of(&value), MAX_TEXT))?;
        }
        Ok(())
    }
}

/// The JSON of `value`, of which only the start is made when it is long.
fn start_of(value: &impl Serialize) -> String {
    let mut start = Start(Vec::new());
    // The error says that the start is complete.
    let _ = serde_json::to_writer(&mut start, value);
    String::from_utf8_lossy(&start.0).into_owned()
}

/// Takes a little more than [`MAX_TEXT`] characters.
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

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
