//! [`Sharded`]: a state dict in several files, with an index that says which tensor is where.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, ErrorKind};
use crate::limits::{MAX_INDEX_BYTES, MAX_SHARDS, MAX_VALUES};
use crate::object::Object;
use crate::options::Options;
use crate::raw::RawTensor;

/// The end of an index's name: `pytorch_model.bin.index.json`, `model.safetensors.index.json`.
const SUFFIX: &str = ".index.json";

/// A state dict in several files of one folder, as Hugging Face's libraries write it: an index `*.index.json` whose
/// `weight_map` has the file of each tensor. The files may be in any format that is read.
#[derive(Debug)]
pub struct Sharded {
    path: PathBuf,
    shards: Vec<Checkpoint>,
    /// The shard of each tensor, in the order of the index, and its number there.
    tensors: Vec<(usize, usize)>,
}

impl Sharded {
    /// Whether `path` has the name of an index.
    pub fn is_index(path: &Path) -> bool {
        path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX))
    }

    /// Opens an index and its files.
    ///
    /// # Errors
    /// The index is no JSON of that form (with line and column), names a tensor twice, or a file that is not in its folder
    /// or a folder below; a file cannot be opened, or lacks a tensor.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &Options::default())
    }

    /// As [`open`](Self::open), with further inert classes.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<Self, Error> {
        let path = path.as_ref();
        let fail = |kind| Error::new(path, kind);
        let index = read(path).map_err(fail)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (mut shards, mut numbers, mut tensors) = (Vec::<Checkpoint>::new(), HashMap::new(), Vec::new());
        let mut places: Vec<HashMap<String, usize>> = Vec::new();
        for (key, file) in index.weight_map.0 {
            let number = match numbers.get(&file) {
                Some(number) => *number,
                None => {
                    ErrorKind::check_limit("files of an index", shards.len() as u64 + 1, MAX_SHARDS).map_err(fail)?;
                    let inside = inside(&file).ok_or_else(|| fail(ErrorKind::ShardOutside { file: file.clone() }))?;
                    let shard = Checkpoint::open_with(folder.join(inside), options)?;
                    places
                        .push(shard.tensors().enumerate().map(|(place, raw)| (raw.key().to_owned(), place)).collect());
                    shards.push(shard);
                    numbers.insert(file.clone(), shards.len() - 1);
                    shards.len() - 1
                }
            };
            let place = places.get(number).and_then(|places| places.get(&key)).copied();
            let place = place.ok_or_else(|| fail(ErrorKind::ShardLacks { key, file }))?;
            tensors.push((number, place));
        }
        Ok(Self { path: path.to_owned(), shards, tensors })
    }

    /// The index, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files, in the order in which the index names them first.
    pub fn shards(&self) -> &[Checkpoint] {
        &self.shards
    }

    /// All tensors in the order of the index.
    pub fn tensors(&self) -> impl Iterator<Item = RawTensor<'_>> {
        self.tensors.iter().filter_map(|&(shard, place)| self.shards.get(shard)?.tensor(place))
    }

    /// The tensors of the files that the index does not name, with their file.
    pub(crate) fn unlisted(&self) -> impl Iterator<Item = (&Checkpoint, RawTensor<'_>)> {
        let listed: HashSet<_> = self.tensors.iter().copied().collect();
        let files = self.shards.iter().enumerate();
        let tensors = files
            .flat_map(|(shard, file)| file.tensors().enumerate().map(move |(place, raw)| (shard, file, place, raw)));
        tensors
            .filter(move |&(shard, _, place, _)| !listed.contains(&(shard, place)))
            .map(|(_, file, _, raw)| (file, raw))
    }
}

/// The index's bytes as its content.
fn read(path: &Path) -> Result<Index, ErrorKind> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(ErrorKind::NotRegularFile);
    }
    ErrorKind::check_limit("bytes of an index", metadata.len(), MAX_INDEX_BYTES)?;
    let Object(index): Object<Index> =
        serde_json::from_slice(&std::fs::read(path)?).map_err(|error| ErrorKind::Index(error.to_string()))?;
    ErrorKind::check_limit("tensors of an index", index.weight_map.0.len() as u64, MAX_VALUES)?;
    Ok(index)
}

/// A relative path that stays in the folder; `None` for all others.
fn inside(file: &str) -> Option<&Path> {
    let path = Path::new(file);
    let plain = !file.contains('\\') && path.components().all(|component| matches!(component, Component::Normal(_)));
    (plain && !file.is_empty()).then_some(path)
}

#[derive(Debug, Deserialize)]
struct Index {
    weight_map: WeightMap,
}

/// Tensors and their files, in order; a key that is there twice is an error.
#[derive(Debug)]
struct WeightMap(Vec<(String, String)>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = WeightMap;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensor names and file names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let (mut entries, mut seen) = (Vec::new(), HashSet::new());
                while let Some((key, file)) = map.next_entry::<String, String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(de::Error::custom(format_args!("the tensor {key:?} is there twice")));
                    }
                    entries.push((key, file));
                }
                Ok(WeightMap(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
