//! [`AnyCheckpoint`]: one file, or several with an index.

use std::collections::HashSet;
use std::path::Path;
use std::slice;

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::options::Options;
use crate::raw::RawTensor;
use crate::sharded::Sharded;

/// What a path leads to: a checkpoint in one file, or in several with an index.
#[derive(Debug)]
pub enum AnyCheckpoint {
    /// One file.
    File(Box<Checkpoint>),
    /// Several files with an index.
    Sharded(Sharded),
}

impl From<Checkpoint> for AnyCheckpoint {
    fn from(checkpoint: Checkpoint) -> Self {
        Self::File(Box::new(checkpoint))
    }
}

impl AnyCheckpoint {
    /// Opens `path`, and where it has the [name of an index](Sharded::is_index), the files that it names. Beside the
    /// formats of [`Checkpoint::open`], plain pickles of numpy arrays are read, as Detectron2 and Caffe2 have them.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] or [`Sharded::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &Options::default())
    }

    /// As [`open`](Self::open), with further inert classes.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let path = path.as_ref();
        if Sharded::is_index(path) {
            return Sharded::open_with(path, options).map(Self::Sharded);
        }
        let options = Options { plain_pickles: true, ..options.clone() };
        Checkpoint::open_with(path, &options).map(Self::from)
    }

    /// The file or the index, as it was given.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(checkpoint) => checkpoint.path(),
            Self::Sharded(sharded) => sharded.path(),
        }
    }

    /// The one file; `None` where there are several.
    pub fn file(&self) -> Option<&Checkpoint> {
        match self {
            Self::File(checkpoint) => Some(checkpoint),
            Self::Sharded(_) => None,
        }
    }

    /// The file, or the files of the index.
    pub fn files(&self) -> &[Checkpoint] {
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

    /// The tensors below an entry, as [`Checkpoint::below`] has them.
    pub fn below(&self, entry: &str) -> Vec<RawTensor<'_>> {
        match self {
            Self::File(checkpoint) => checkpoint.below(entry),
            Self::Sharded(sharded) => with_prefix(sharded.tensors(), entry),
        }
    }

    /// The top-level entries that hold tensors, and what the keys of a flat file have before their first dot.
    pub fn entries(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let first = |raw: RawTensor<'_>| raw.key().split('.').next().map(str::to_owned);
        self.tensors().filter_map(first).filter(|first| seen.insert(first.clone())).collect()
    }

    /// Reads all storages that were not read yet, and compares their checksums where the files have some.
    ///
    /// # Errors
    /// The bytes of a storage are damaged.
    pub fn verify(&self) -> Result<(), Error> {
        self.files().iter().try_for_each(Checkpoint::verify)
    }
}

/// The tensors whose keys begin with `entry` and a dot; their keys lack that part.
pub(crate) fn with_prefix<'a>(tensors: impl Iterator<Item = RawTensor<'a>>, entry: &str) -> Vec<RawTensor<'a>> {
    let prefix = format!("{entry}.");
    tensors.filter_map(|raw| raw.without(&prefix)).collect()
}
