//! [`FileCheckpoint`]: an open checkpoint file whose tensors are still in the file.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use serde_json::Value as JsonValue;

use crate::error::{Error, ErrorKind};
use crate::file::File;
use crate::format::{self, Contents, Format};
use crate::limits::max_unfolded_bytes;
use crate::options::OpenOptions;
use crate::tensor::{RawTensor, StorageReader, TensorDesc, strip_prefix};
use crate::tree::{self, Budget, Holders, Json, TensorPath};
use crate::unpickler::{Graph, Node, Value};

/// An open checkpoint file. Structure, names, types, sizes and bounds were checked when it was opened; the bytes of tensors
/// are read from the file on demand.
#[derive(Debug)]
pub struct FileCheckpoint {
    path: PathBuf,
    format: Format,
    graph: Graph,
    holders: Holders,
    tensors: Vec<TensorPath>,
    storages: StorageReader,
}

impl FileCheckpoint {
    /// Opens `path`.
    ///
    /// # Errors
    /// Returns an error if the file is not a regular file, is in none of the known formats, is damaged, names a class or
    /// function that is on no list, or exceeds a limit.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// Opens `path` with options.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::read(path, options).map_err(|kind| Error::new(path, kind))
    }

    fn read(path: &Path, options: &OpenOptions) -> Result<Self, ErrorKind> {
        let file = File::open(path)?;
        let Contents { format, mut graph, storages, archive, big_endian } = format::read(&file, options)?;
        // The root of the tree is the attributes of the root module.
        if let Some(&Node::Module(Some(attributes))) = graph.node(graph.root) {
            graph.root = attributes;
        }
        let holders = Holders::find(&graph, graph.root)?;
        let mut budget = Budget::default();
        let tensors = tree::flatten(&graph, &holders, graph.root, &mut budget)?;
        let storages = StorageReader::new(file, storages, archive, big_endian);
        let checkpoint = Self { path: path.to_owned(), format, graph, holders, tensors, storages };
        checkpoint.check_tensors()?;
        checkpoint.check_meta(&mut budget)?;
        Ok(checkpoint)
    }

    fn check_tensors(&self) -> Result<(), ErrorKind> {
        let bytes = self.tensors().map(|tensor| tensor.byte_count()).fold(0, u64::saturating_add);
        let mut keys = HashSet::with_capacity(self.tensors.len());
        for path in &self.tensors {
            if !keys.insert(path.key.as_str()) {
                return Err(ErrorKind::DuplicateTensor(path.key.clone()));
            }
        }
        ErrorKind::check_limit("bytes of all tensors", bytes, max_unfolded_bytes(self.storages.file_bytes()))
    }

    fn check_meta(&self, budget: &mut Budget) -> Result<(), ErrorKind> {
        let mut keys = HashSet::new();
        for (key, value) in self.meta_values() {
            let key = match key {
                TopKey::Key(key) => tree::key_text(&self.graph, key, budget)?.into_owned(),
                other => other.render(&self.graph).into_owned(),
            };
            budget.text(key.len() as u64)?;
            tree::check_json(&self.graph, value, budget)?;
            if let Some(key) = keys.replace(key) {
                return Err(ErrorKind::DuplicateKey(key));
            }
        }
        Ok(())
    }

    /// The path of the file, as passed by the caller.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The format of the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Reads all storages that were not read yet, and verifies their checksums, if the file has some.
    ///
    /// # Errors
    /// Returns an error if the bytes of a storage are damaged.
    pub fn verify(&self) -> Result<(), Error> {
        self.storages.verify().map_err(|kind| Error::new(&self.path, kind))
    }

    /// All tensors in the order of the file. The key of a tensor is its path from the root, joined by `.`.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = RawTensor<'_>> {
        self.tensors.iter().map(|path| self.raw_tensor(path.key.as_str().into(), path.node))
    }

    /// The tensor at this index among [`tensors`](Self::tensors).
    pub(crate) fn tensor(&self, index: usize) -> Option<RawTensor<'_>> {
        let path = self.tensors.get(index)?;
        Some(self.raw_tensor(path.key.as_str().into(), path.node))
    }

    /// The tensors below `path`, a chain of mapping keys or list indices from the root, with keys that start there:
    /// `tensors_below(&["state_dict"])` returns `conv1.weight`. `None` if there is nothing at that path; an empty list if
    /// there is something without tensors.
    pub fn tensors_below(&self, path: &[&str]) -> Option<Vec<RawTensor<'_>>> {
        let start = self.value_at(path)?;
        // The limits were checked when the checkpoint was opened.
        let found = tree::flatten(&self.graph, &self.holders, start, &mut Budget::default()).ok()?;
        Some(found.into_iter().map(|path| self.raw_tensor(path.key.into(), path.node)).collect())
    }

    /// The tensors below an entry, a dotted path from the root such as `state_dict` or `nets.teacher`. This includes those of
    /// a flat file whose keys start with the entry and a dot. That part is removed from the keys. Empty if there are none.
    pub fn below(&self, entry: &str) -> Vec<RawTensor<'_>> {
        strip_prefix(self.tensors(), entry)
    }

    /// The number of tensors below a value.
    pub(crate) fn count_below(&self, value: Value) -> usize {
        tree::flatten(&self.graph, &self.holders, value, &mut Budget::default()).unwrap_or_default().len()
    }

    /// The top-level entries that hold no tensor, as JSON. Values that JSON lacks are objects with a single `$` key: `$int`,
    /// `$float`, `$bytes`, `$set`, `$complex`, `$dtype`, `$device`, `$opaque`.
    pub fn meta(&self) -> JsonValue {
        // Every value has JSON, because every key of an object is a string.
        serde_json::to_value(self.meta_json()).unwrap_or_default()
    }

    /// The Python attribute `_metadata` of the `OrderedDict` at `path`, as JSON. It holds the versions of modules.
    pub fn metadata(&self, path: &[&str]) -> Option<JsonValue> {
        let attributes = self.graph.mapping(self.value_at(path)?)?.attributes?;
        self.json_of(self.graph.mapping(attributes)?.get(&self.graph, "_metadata")?)
    }

    /// The value at `path`, a chain of mapping keys or list indices from the root, as JSON, for example
    /// `["meta", "dataset_meta", "classes"]`; see [`meta`](Self::meta) for values that JSON lacks. `None` if there is nothing
    /// at that path or it holds a tensor.
    pub fn json_below(&self, path: &[&str]) -> Option<JsonValue> {
        self.json_of(self.value_at(path)?)
    }

    /// A value as JSON. Nothing about the value was checked when the file was opened: attributes are not part of the tree,
    /// and values next to tensors are not part of `meta`.
    fn json_of(&self, value: Value) -> Option<JsonValue> {
        let holders = Holders::find(&self.graph, value).ok()?;
        tree::check_json(&self.graph, value, &mut Budget::default()).ok()?;
        if holders.holds_tensor(value) {
            return None;
        }
        serde_json::to_value(Json { graph: &self.graph, value }).ok()
    }

    /// The entries of [`meta`](Self::meta), without allocating memory for all of them.
    pub(crate) fn meta_entries(&self) -> impl Iterator<Item = (Cow<'_, str>, Json<'_>)> {
        let graph = &self.graph;
        self.meta_values().into_iter().map(move |(key, value)| (key.render(graph), Json { graph, value }))
    }

    pub(crate) fn meta_json(&self) -> Meta<'_> {
        Meta(self)
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn holders(&self) -> &Holders {
        &self.holders
    }

    pub(crate) fn raw_tensor<'a>(&'a self, key: Cow<'a, str>, node: u32) -> RawTensor<'a> {
        let desc = match self.graph.nodes.get(node as usize) {
            Some(Node::Tensor(desc)) => desc,
            // Paths lead only to tensors.
            _ => &TensorDesc::Unsupported("missing"),
        };
        RawTensor::new(&self.path, &self.storages, key, desc)
    }

    fn value_at(&self, path: &[&str]) -> Option<Value> {
        let mut value = self.graph.root;
        for part in path {
            value = self.child(value, part)?;
        }
        Some(value)
    }

    pub(crate) fn child(&self, value: Value, part: &str) -> Option<Value> {
        let graph = &self.graph;
        match graph.node(value)? {
            Node::Mapping(mapping) => {
                for &(key, value) in &mapping.items {
                    if let Ok(text) = tree::key_text(graph, key, &mut Budget::default())
                        && text == part
                    {
                        return Some(value);
                    }
                }
                None
            }
            Node::Module(attributes) => self.child((*attributes)?, part),
            Node::Opaque(opaque) => {
                let children = tree::children(graph, opaque);
                let (_, value) = children.into_iter().find(|(key, _)| key.text(graph) == part)?;
                Some(value)
            }
            _ => graph.sequence(value)?.get(part.parse::<usize>().ok()?).copied(),
        }
    }

    /// The top-level entries that hold no tensor.
    fn meta_values(&self) -> Vec<(TopKey, Value)> {
        let root = self.graph.root;
        let mut values: Vec<_> = match (self.graph.mapping(root), self.graph.sequence(root)) {
            (Some(mapping), _) => mapping.items.iter().map(|&(key, value)| (TopKey::Key(key), value)).collect(),
            (None, Some(items)) => {
                items.iter().enumerate().map(|(index, &item)| (TopKey::Index(index), item)).collect()
            }
            (None, None) => vec![(TopKey::Root, root)],
        };
        values.retain(|&(_, value)| !self.holders.holds_tensor(value));
        values
    }
}

/// The key of a top-level entry.
#[derive(Debug, Clone, Copy)]
enum TopKey {
    Key(Value),
    Index(usize),
    /// The root is neither a mapping nor a list.
    Root,
}

impl TopKey {
    fn render(self, graph: &Graph) -> Cow<'_, str> {
        match self {
            Self::Key(key) => tree::render_key(graph, key),
            Self::Index(index) => index.to_string().into(),
            Self::Root => "".into(),
        }
    }
}

/// The meta of a checkpoint, to be serialized.
pub(crate) struct Meta<'a>(&'a FileCheckpoint);

impl Serialize for Meta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.meta_entries())
    }
}
