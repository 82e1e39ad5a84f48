//! [`ShardedCheckpoint`]: a state dict in several files with an index.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::checkpoint::FileCheckpoint;
use crate::error::{Error, ErrorKind};
use crate::format::{JsonObject, StringEntries};
use crate::limits::{MAX_INDEX_BYTES, MAX_SHARDS};
use crate::options::OpenOptions;
use crate::tensor::RawTensor;

/// The end of the name of an index: `pytorch_model.bin.index.json`, `model.safetensors.index.json`.
const SUFFIX: &str = ".index.json";

/// A state dict in several files of one directory, as written by Hugging Face's libraries: an index `*.index.json` whose
/// `weight_map` assigns each tensor to a file. The files may be in any supported format.
#[derive(Debug)]
pub struct ShardedCheckpoint {
    path: PathBuf,
    shards: Vec<FileCheckpoint>,
    /// The shard of each tensor in the order of the index, and the index of the tensor in the shard.
    tensors: Vec<(usize, usize)>,
}

impl ShardedCheckpoint {
    /// Whether `path` has the name of an index.
    pub fn is_index(path: &Path) -> bool {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX))
    }

    /// Opens an index and its files.
    ///
    /// # Errors
    /// Returns an error if the index is not JSON of this form (with line and column), names a tensor twice or a file outside
    /// its directory and those below, or if a file cannot be opened or lacks a tensor.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// Opens an index and its files with options.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        let index = read(path).map_err(|kind| Error::new(path, kind))?;
        let mut opener = Opener { path, options, shards: Vec::new(), numbers: HashMap::new(), positions: Vec::new() };
        let mut tensors = Vec::new();
        for (key, file) in index.weight_map.0 {
            let shard = opener.open(&file)?;
            let Some(position) = opener.position(shard, &key) else {
                return Err(Error::new(path, ErrorKind::ShardLacks { key, file }));
            };
            tensors.push((shard, position));
        }
        Ok(Self { path: path.to_owned(), shards: opener.shards, tensors })
    }

    /// The path of the index, as passed by the caller.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files, in the order of their first use in the index.
    pub fn shards(&self) -> &[FileCheckpoint] {
        &self.shards
    }

    /// All tensors in the order of the index.
    pub fn tensors(&self) -> impl Iterator<Item = RawTensor<'_>> {
        self.tensors.iter().filter_map(|&(shard, position)| self.shards.get(shard)?.tensor(position))
    }

    /// The tensors that are in a file but not in the index, with their file.
    pub(crate) fn unlisted(&self) -> Vec<(&FileCheckpoint, RawTensor<'_>)> {
        let listed: HashSet<_> = self.tensors.iter().copied().collect();
        let mut unlisted = Vec::new();
        for (shard, file) in self.shards.iter().enumerate() {
            for (position, tensor) in file.tensors().enumerate() {
                if !listed.contains(&(shard, position)) {
                    unlisted.push((file, tensor));
                }
            }
        }
        unlisted
    }
}

/// Opens the files of an index, each once.
struct Opener<'a> {
    path: &'a Path,
    options: &'a OpenOptions,
    shards: Vec<FileCheckpoint>,
    /// The number of each file among the shards.
    numbers: HashMap<String, usize>,
    /// The positions of the tensors of each shard by key.
    positions: Vec<HashMap<String, usize>>,
}

impl Opener<'_> {
    /// Opens a file unless it is open already. Returns its number among the shards.
    fn open(&mut self, file: &str) -> Result<usize, Error> {
        if let Some(&number) = self.numbers.get(file) {
            return Ok(number);
        }
        let number = self.shards.len();
        if let Err(kind) = ErrorKind::check_limit("files of an index", number as u64 + 1, MAX_SHARDS) {
            return Err(Error::new(self.path, kind));
        }
        if !is_inside_directory(file) {
            return Err(Error::new(self.path, ErrorKind::ShardOutside { file: file.to_owned() }));
        }
        let shard = FileCheckpoint::open_with(self.path.with_file_name(file), self.options)?;
        let keys = shard.tensors().enumerate();
        self.positions.push(keys.map(|(position, tensor)| (tensor.key().to_owned(), position)).collect());
        self.shards.push(shard);
        self.numbers.insert(file.to_owned(), number);
        Ok(number)
    }

    fn position(&self, shard: usize, key: &str) -> Option<usize> {
        self.positions.get(shard)?.get(key).copied()
    }
}

fn read(path: &Path) -> Result<Index, ErrorKind> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(ErrorKind::NotRegularFile);
    }
    ErrorKind::check_limit("bytes of an index", metadata.len(), MAX_INDEX_BYTES)?;
    let JsonObject(index): JsonObject<Index> = match serde_json::from_slice(&std::fs::read(path)?) {
        Ok(index) => index,
        Err(error) => return Err(ErrorKind::Index(error.to_string())),
    };
    Ok(index)
}

/// Whether a path is relative and stays in the directory.
fn is_inside_directory(file: &str) -> bool {
    let mut components = Path::new(file).components();
    !file.is_empty() && !file.contains('\\') && components.all(|component| matches!(component, Component::Normal(_)))
}

#[derive(Debug, Deserialize)]
struct Index {
    /// Tensors and their files, in order, each key once.
    weight_map: StringEntries,
}
