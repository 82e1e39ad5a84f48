//! A checkpoint file that was opened and checked, with its tensors still in the file.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path as FilePath, PathBuf};

use serde_json::Value as JsonValue;

use crate::any::with_prefix;
use crate::error::{Error, ErrorKind};
use crate::file::File;
use crate::json::{self, Json};
use crate::limits::max_unfolded_bytes;
use crate::options::Options;
use crate::pickle::{AllowList, Graph, Node, Value};
use crate::raw::RawTensor;
use crate::source::Source;
use crate::tensor::Tensor;
use crate::tree::{self, Budget, Holders, Path};
use crate::{archive, bare, legacy, opaque, safetensors, zip};

/// The file formats that are read, found by content and never by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `torch.save` since torch 1.6.
    PthZip,
    /// `torch.save` before torch 1.6.
    PthLegacy,
    /// `torch.jit.save`.
    TorchScript,
    /// The `safetensors` library.
    Safetensors,
    /// A plain pickle of numpy arrays, as Detectron2 and Caffe2 have them. [`AnyCheckpoint`](crate::AnyCheckpoint) reads it.
    Pickle,
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PthZip => "pth-zip",
            Self::PthLegacy => "pth-legacy",
            Self::TorchScript => "torchscript",
            Self::Safetensors => "safetensors",
            Self::Pickle => "pickle",
        })
    }
}

/// An open checkpoint. Structure, names, types, sizes and bounds were checked when it was opened; the bytes of the
/// tensors are read from the file when they are asked for.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    format: Format,
    graph: Graph,
    holders: Holders,
    tensors: Vec<Path>,
    source: Source,
}

impl Checkpoint {
    /// Opens `path`.
    ///
    /// # Errors
    /// The file is no regular file, is in none of the known formats, is damaged, names a class or function that is on
    /// no list, or is over a limit.
    pub fn open(path: impl AsRef<FilePath>) -> Result<Self, Error> {
        Self::open_with(path, &Options::default())
    }

    /// Opens `path` with further inert classes.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<FilePath>, options: &Options) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::read(path, options).map_err(|kind| Error::new(path, kind))
    }

    fn read(path: &FilePath, options: &Options) -> Result<Self, ErrorKind> {
        let file = File::open(path)?;
        let head = file.head(HEAD_BYTES)?;
        let allowed = AllowList { inert: &options.inert, unknown: options.unknown, torchscript: false, arrays: false };
        let (format, mut graph, source) = if head.starts_with(&zip::LOCAL_SIGNATURE) {
            let contents = archive::read(&file, allowed)?;
            let format = if contents.torchscript { Format::TorchScript } else { Format::PthZip };
            let source = Source::new(file, contents.storages, Some(contents.archive), contents.big_endian);
            (format, contents.graph, source)
        } else if let Some(length) = safetensors::header_length(&head, file.length()) {
            let (graph, storages) = safetensors::read(&file, length)?;
            (Format::Safetensors, graph, Source::new(file, storages, None, false))
        } else if legacy::is_legacy(&head) {
            let (graph, storages) = legacy::read(&file, allowed)?;
            (Format::PthLegacy, graph, Source::new(file, storages, None, false))
        } else if options.plain_pickles && bare::is_pickle(&head) {
            let (graph, storages) = bare::read(&file, allowed)?;
            (Format::Pickle, graph, Source::new(file, storages, None, false))
        } else {
            return Err(ErrorKind::UnknownFormat { found: looks_like(&head) });
        };
        // The attributes of the root module are the root of the tree.
        if let Some(&Node::Module(Some(attributes))) = graph.node(graph.root) {
            graph.root = attributes;
        }
        Self::check(path, format, graph, source)
    }

    fn check(path: &FilePath, format: Format, graph: Graph, source: Source) -> Result<Self, ErrorKind> {
        let holders = Holders::find(&graph, graph.root)?;
        let mut budget = Budget::default();
        let tensors = tree::flatten(&graph, &holders, graph.root, &mut budget)?;
        let mut keys = HashSet::with_capacity(tensors.len());
        if let Some(path) = tensors.iter().find(|path| !keys.insert(path.key.as_str())) {
            return Err(ErrorKind::DuplicateTensor(path.key.clone()));
        }
        let logical = tensors.iter().map(|path| match graph.nodes.get(path.node as usize) {
            Some(Node::Tensor(Tensor::Strided(tensor))) => tensor.logical_bytes(),
            _ => 0,
        });
        let logical = logical.fold(0, u64::saturating_add);
        ErrorKind::check_limit("bytes of all tensors", logical, max_unfolded_bytes(source.file_bytes()))?;
        let checkpoint = Self { path: path.to_owned(), format, graph, holders, tensors, source };
        checkpoint.check_meta(&mut budget)?;
        Ok(checkpoint)
    }

    fn check_meta(&self, budget: &mut Budget) -> Result<(), ErrorKind> {
        let entries = self.top_level().into_iter().filter(|&(_, value)| !self.holders.holds_tensor(value));
        let mut keys = HashSet::new();
        for (key, value) in entries {
            let key = match key {
                TopKey::Key(key) => json::key_text(&self.graph, key, budget)?.into_owned(),
                TopKey::Index(index) => index.to_string(),
                TopKey::Root => String::new(),
            };
            budget.text(key.len() as u64)?;
            json::check(&self.graph, value, budget)?;
            if let Some(key) = keys.replace(key) {
                return Err(ErrorKind::DuplicateKey(key));
            }
        }
        Ok(())
    }

    /// The file, as it was given.
    pub fn path(&self) -> &FilePath {
        &self.path
    }

    /// The format of the file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Reads all storages that were not read yet, and compares their checksums where the file has some.
    ///
    /// # Errors
    /// The bytes of a storage are damaged.
    pub fn verify(&self) -> Result<(), Error> {
        self.source.verify().map_err(|kind| Error::new(&self.path, kind))
    }

    /// All tensors in the order of the file. The key of each is its path from the root, joined by `.`.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = RawTensor<'_>> {
        self.tensors.iter().map(|path| self.raw(path.key.as_str().into(), path.node))
    }

    /// The tensor at this place among [`tensors`](Self::tensors).
    pub(crate) fn tensor(&self, place: usize) -> Option<RawTensor<'_>> {
        self.tensors.get(place).map(|path| self.raw(path.key.as_str().into(), path.node))
    }

    /// The tensors below `path`, a chain of mapping keys or list indices from the root, with keys that start there:
    /// `tensors_below(&["state_dict"])` gives `conv1.weight`. `None` when there is nothing at that path; an empty list
    /// when there is something without tensors.
    pub fn tensors_below(&self, path: &[&str]) -> Option<Vec<RawTensor<'_>>> {
        let start = path.iter().try_fold(self.graph.root, |value, part| self.child(value, part))?;
        // All of this was counted when the checkpoint was opened.
        let found = tree::flatten(&self.graph, &self.holders, start, &mut Budget::default()).ok()?;
        Some(found.into_iter().map(|path| self.raw(path.key.into(), path.node)).collect())
    }

    /// The tensors below an entry, a dotted path from the root such as `state_dict` or `nets.teacher`, also those of a flat
    /// file whose keys begin with it and a dot; their keys lack that part. Empty where there are none.
    pub fn below(&self, entry: &str) -> Vec<RawTensor<'_>> {
        with_prefix(self.tensors(), entry)
    }

    /// How many tensors are below a value.
    pub(crate) fn count_below(&self, value: Value) -> usize {
        let found = tree::flatten(&self.graph, &self.holders, value, &mut Budget::default());
        found.map_or(0, |found| found.len())
    }

    /// The top-level entries that hold no tensor, as JSON. What JSON does not have is an object with one `$` key:
    /// `$int`, `$float`, `$bytes`, `$set`, `$complex`, `$dtype`, `$device`, `$opaque`.
    pub fn meta(&self) -> JsonValue {
        // Every value has JSON, because every key of an object is a string.
        serde_json::to_value(self.meta_json()).unwrap_or_default()
    }

    /// The Python attribute `_metadata` of the `OrderedDict` at `path`, which holds the versions of modules, as JSON.
    pub fn metadata(&self, path: &[&str]) -> Option<JsonValue> {
        let value = path.iter().try_fold(self.graph.root, |value, part| self.child(value, part))?;
        let attributes = self.graph.mapping(value)?.attributes?;
        let mut attributes = self.graph.mapping(attributes)?.items.iter();
        let &(_, metadata) = attributes.find(|(key, _)| self.graph.text(*key) == Some("_metadata"))?;
        self.json_of(metadata)
    }

    /// What is at `path`, a chain of mapping keys or list indices from the root, as JSON, such as
    /// `["meta", "dataset_meta", "classes"]`; see [`meta`](Self::meta) for what JSON does not have. `None` where there is
    /// nothing, or where a tensor is in it.
    pub fn json_below(&self, path: &[&str]) -> Option<JsonValue> {
        let value = path.iter().try_fold(self.graph.root, |value, part| self.child(value, part))?;
        self.json_of(value)
    }

    /// A value as JSON, of which nothing was checked when the file was opened: attributes are no part of the tree, and
    /// what is beside a tensor is no part of `meta`.
    fn json_of(&self, value: Value) -> Option<JsonValue> {
        let holders = Holders::find(&self.graph, value).ok()?;
        json::check(&self.graph, value, &mut Budget::default()).ok()?;
        let plain = !holders.holds_tensor(value);
        plain.then(|| serde_json::to_value(Json { graph: &self.graph, value }).ok()).flatten()
    }

    /// The entries of [`meta`](Self::meta), without taking memory for all of them.
    pub(crate) fn meta_entries(&self) -> impl Iterator<Item = (std::borrow::Cow<'_, str>, Json<'_>)> {
        let graph = &self.graph;
        let entries = self.top_level().into_iter().filter(|&(_, value)| !self.holders.holds_tensor(value));
        entries.map(move |(key, value)| {
            let key = match key {
                TopKey::Key(key) => json::render_key(graph, key),
                TopKey::Index(index) => index.to_string().into(),
                TopKey::Root => "".into(),
            };
            (key, Json { graph, value })
        })
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

    pub(crate) fn raw<'a>(&'a self, key: std::borrow::Cow<'a, str>, node: u32) -> RawTensor<'a> {
        let tensor = match self.graph.nodes.get(node as usize) {
            Some(Node::Tensor(tensor)) => tensor,
            // Paths lead to tensors only.
            _ => &Tensor::Unsupported("missing"),
        };
        RawTensor::new(&self.path, &self.source, key, tensor)
    }

    pub(crate) fn child(&self, value: Value, part: &str) -> Option<Value> {
        match self.graph.node(value)? {
            Node::Mapping(mapping) => {
                let found = mapping.items.iter().find(|&&(key, _)| {
                    json::key_text(&self.graph, key, &mut Budget::default()).is_ok_and(|text| text == part)
                });
                found.map(|&(_, value)| value)
            }
            Node::Module(attributes) => self.child((*attributes)?, part),
            Node::Opaque(opaque) => {
                let children = opaque::children(&self.graph, opaque);
                let found = children.into_iter().find(|(key, _)| key.text(&self.graph) == part);
                found.map(|(_, value)| value)
            }
            _ => self.graph.sequence(value)?.get(part.parse::<usize>().ok()?).copied(),
        }
    }

    fn top_level(&self) -> Vec<(TopKey, Value)> {
        let root = self.graph.root;
        match (self.graph.mapping(root), self.graph.sequence(root)) {
            (Some(mapping), _) => mapping.items.iter().map(|&(key, value)| (TopKey::Key(key), value)).collect(),
            (None, Some(items)) => {
                items.iter().enumerate().map(|(index, &item)| (TopKey::Index(index), item)).collect()
            }
            (None, None) => vec![(TopKey::Root, root)],
        }
    }
}

/// The key of a top-level entry.
#[derive(Debug, Clone, Copy)]
enum TopKey {
    Key(Value),
    Index(usize),
    /// The root is no mapping and no list.
    Root,
}

/// The meta of a checkpoint, to be serialized.
pub(crate) struct Meta<'a>(&'a Checkpoint);

impl serde::Serialize for Meta<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.meta_entries())
    }
}

/// The start of a file, by which its format is known.
const HEAD_BYTES: u64 = 512;

/// What a file that is no checkpoint looks like, in words.
fn looks_like(file: &[u8]) -> &'static str {
    let text = file.trim_ascii_start();
    match file {
        [] => "the file is empty",
        [b'P', b'K', ..] => "a zip archive that is empty, split or does not start with an entry",
        [0x1f, 0x8b, ..] => "gzip",
        [b'7', b'z', 0xbc, 0xaf, ..] => "7z",
        [0x80, 1..=5, ..] => {
            "a bare pickle (one of numpy arrays, such as Detectron2's .pkl, becomes a checkpoint by `mmcv ckpt convert FILE NEW.pth`)"
        }
        _ if file.get(257..262) == Some(b"ustar") => "tar",
        _ if text.starts_with(b"<") => "HTML or XML (an error page of a server?)",
        _ if text.starts_with(b"{") => {
            "JSON (the index of a sharded checkpoint? its files are checkpoints, it is none)"
        }
        _ if text.starts_with(b"version https://git-lfs") => "a Git LFS pointer",
        _ => "neither of the known first bytes",
    }
}
