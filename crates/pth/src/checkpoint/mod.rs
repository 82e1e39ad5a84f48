//! Open checkpoints: [`Checkpoint`] is a [`FileCheckpoint`] or a [`ShardedCheckpoint`].

mod file;
mod sharded;
mod state_dict;
pub(crate) mod tensor_group;

use std::collections::HashSet;
use std::path::Path;
use std::slice;

pub use file::FileCheckpoint;
pub use sharded::ShardedCheckpoint;
pub use state_dict::StateDict;
pub use tensor_group::TensorGroup;

use crate::error::Error;
use crate::options::OpenOptions;
use crate::tensor::{RawTensor, strip_prefix};

/// An open checkpoint: a single file, or several with an index.
#[derive(Debug)]
pub enum Checkpoint {
    /// A single file.
    File(Box<FileCheckpoint>),
    /// Several files with an index.
    Sharded(ShardedCheckpoint),
}

impl From<FileCheckpoint> for Checkpoint {
    fn from(checkpoint: FileCheckpoint) -> Self {
        Self::File(Box::new(checkpoint))
    }
}

impl Checkpoint {
    /// Opens `path`. If it has the [name of an index](ShardedCheckpoint::is_index), opens the files of the index. In addition
    /// to the formats of [`FileCheckpoint::open`], this reads plain pickles of NumPy arrays, as written by Detectron2 and
    /// Caffe2.
    ///
    /// # Errors
    /// As for [`FileCheckpoint::open`] and [`ShardedCheckpoint::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// Opens `path` as [`open`](Self::open) does, with options.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        if ShardedCheckpoint::is_index(path) {
            return ShardedCheckpoint::open_with(path, options).map(Self::Sharded);
        }
        let options = OpenOptions { plain_pickles: true, ..options.clone() };
        FileCheckpoint::open_with(path, &options).map(Self::from)
    }

    /// The path of the file or the index, as passed by the caller.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(checkpoint) => checkpoint.path(),
            Self::Sharded(sharded) => sharded.path(),
        }
    }

    /// The file; `None` if there are several.
    pub fn file(&self) -> Option<&FileCheckpoint> {
        match self {
            Self::File(checkpoint) => Some(checkpoint),
            Self::Sharded(_) => None,
        }
    }

    /// The file, or the files of the index.
    pub fn files(&self) -> &[FileCheckpoint] {
        match self {
            Self::File(checkpoint) => slice::from_ref(checkpoint),
            Self::Sharded(sharded) => sharded.shards(),
        }
    }

    /// All tensors in the order of the file or the index.
    pub fn tensors(&self) -> Box<dyn Iterator<Item = RawTensor<'_>> + '_> {
        match self {
            Self::File(checkpoint) => Box::new(checkpoint.tensors()),
            Self::Sharded(sharded) => Box::new(sharded.tensors()),
        }
    }

    /// The tensors below an entry; see [`FileCheckpoint::below`].
    pub fn below(&self, entry: &str) -> Vec<RawTensor<'_>> {
        strip_prefix(self.tensors(), entry)
    }

    /// The top-level entries that hold tensors: the distinct parts of the keys before the first dot.
    pub fn entries(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        for tensor in self.tensors() {
            let entry = tensor.key().split('.').next().unwrap_or_default();
            if seen.insert(entry.to_owned()) {
                entries.push(entry.to_owned());
            }
        }
        entries
    }

    /// Reads all storages that were not read yet, and verifies their checksums, if the files have some.
    ///
    /// # Errors
    /// Returns an error if the bytes of a storage are damaged.
    pub fn verify(&self) -> Result<(), Error> {
        self.files().iter().try_for_each(FileCheckpoint::verify)
    }
}
