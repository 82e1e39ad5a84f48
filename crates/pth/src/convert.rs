//! From one file format to another.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value as JsonValue};

use crate::checkpoint::{Checkpoint, Format};
use crate::error::{Error, ErrorKind};
use crate::json::Json;
use crate::pickle::{Graph, Mapping, Value};
use crate::raw::RawTensor;
use crate::safetensors::METADATA;
use crate::tree::{Budget, Holders};
use crate::write::{self, Loss, TensorData, Tree, opaque};

/// The Python attribute of a state dict that holds the versions of modules.
pub(crate) const VERSIONS: &str = "_metadata";

/// A format that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A `.pth` file as `torch.save` writes it.
    Pth,
    /// Safetensors.
    Safetensors,
}

/// How [`convert`] goes about it.
#[derive(Clone, Copy, Default)]
pub struct ConvertOptions<'a> {
    /// Only what is below this top-level entry, such as `state_dict`; its keys lose that part. Default: everything.
    pub entry: Option<&'a str>,
    /// Whether what the target cannot hold is left out. Default: false, it is an error that names it.
    pub lossy: bool,
    /// Is told how many bytes have been written, now and then.
    pub progress: Option<&'a dyn Fn(u64)>,
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Converted {
    /// Number of tensors.
    pub tensors: usize,
    /// Tensors that overlap others in memory, and in safetensors have a copy of their own.
    pub unshared: usize,
    /// What the target cannot hold: the path to it, and what it is.
    pub left_out: Vec<(String, String)>,
}

/// Writes what an open checkpoint holds as another file, which appears under its name only when it is complete.
///
/// A `.pth` file keeps order, nesting, shared storages, strides and the attribute `_metadata` of one that is converted;
/// of a TorchScript archive the tensors are taken, as a flat state dict. Safetensors have the keys that
/// [`Checkpoint::tensors`] gives, and hold everything that is no tensor as JSON texts under its path in `__metadata__`;
/// back in a `.pth` file these are Python attributes of the state dict, which loading it does not see.
///
/// # Errors
/// There is nothing below the entry, the source is damaged, the target cannot be written, or it cannot hold something
/// and `lossy` is not set.
pub fn convert(
    checkpoint: &Checkpoint,
    path: impl AsRef<Path>,
    target: Target,
    options: &ConvertOptions<'_>,
) -> Result<Converted, Error> {
    let path = path.as_ref();
    let part = Part::find(checkpoint, options.entry).map_err(|kind| Error::new(checkpoint.path(), kind))?;
    let written = match target {
        Target::Pth => part.write_pth(path, options),
        Target::Safetensors => part.write_safetensors(path, options),
    };
    written.map_err(|kind| match kind {
        // What is wrong with the source is said of the source.
        ErrorKind::Io(_) | ErrorKind::Write(_) => Error::new(path, kind),
        _ => Error::new(checkpoint.path(), kind),
    })
}

/// Tensors and their keys.
type Named<'a> = Vec<(String, TensorData<'a>)>;

/// What of a checkpoint is converted.
struct Part<'a> {
    checkpoint: &'a Checkpoint,
    /// The value in the pickle of a `.pth` file, whose nesting is kept.
    root: Option<Value>,
    /// What the keys begin with that is left off.
    prefix: String,
    tensors: Vec<RawTensor<'a>>,
}

impl<'a> Part<'a> {
    fn find(checkpoint: &'a Checkpoint, entry: Option<&str>) -> Result<Self, ErrorKind> {
        let nested = matches!(checkpoint.format(), Format::PthZip | Format::PthLegacy);
        let Some(entry) = entry else {
            let root = nested.then_some(checkpoint.graph().root);
            return Ok(Self { checkpoint, root, prefix: String::new(), tensors: checkpoint.tensors().collect() });
        };
        let tensors = checkpoint.below(entry);
        if tensors.is_empty() {
            return Err(ErrorKind::NoEntry { entry: entry.to_owned(), found: checkpoint.entries() });
        }
        let root = checkpoint.child(checkpoint.graph().root, entry).filter(|_| nested);
        Ok(Self {
            checkpoint,
            root: root.filter(|root| checkpoint.holders().holds_tensor(*root)),
            prefix: format!("{entry}."),
            tensors,
        })
    }

    fn write_pth(&self, path: &Path, options: &ConvertOptions<'_>) -> Result<Converted, ErrorKind> {
        let mut converted = Converted { tensors: self.tensors.len(), ..Converted::default() };
        let Some(root) = self.root else {
            let (tensors, losses) = self.writable(|_| None)?;
            converted.left_out = allowed(losses, options)?;
            converted.tensors = tensors.len();
            write::write_flat(path, &tensors, &attributes(self.texts().0), options.progress)?;
            return Ok(converted);
        };
        let raw = |node| self.checkpoint.raw("".into(), node);
        let tree = Tree { graph: self.checkpoint.graph(), root, raw };
        converted.left_out = write::write_tree(path, &tree, !options.lossy, options.progress)?;
        converted.tensors -= self.tensors.iter().filter(|raw| raw.unsupported().is_some()).count();
        Ok(converted)
    }

    fn write_safetensors(&self, path: &Path, options: &ConvertOptions<'_>) -> Result<Converted, ErrorKind> {
        let lacking = |raw: &RawTensor<'_>| {
            let dtype = raw.dtype().filter(|dtype| dtype.safetensors_name().is_none())?;
            Some(format!("a tensor of type {dtype}, which safetensors do not have"))
        };
        let (tensors, mut losses) = self.writable(lacking)?;
        let (mut texts, lost) = self.texts();
        losses.extend(lost);
        if !texts.iter().any(|(key, _)| key == "format") {
            // Without it, some Python libraries refuse the file.
            texts.insert(0, ("format".to_owned(), "pt".to_owned()));
        }
        let mut keys = HashSet::new();
        if let Some((key, _)) = texts.iter().find(|(key, _)| !keys.insert(key)) {
            return Err(ErrorKind::DuplicateKey(key.clone()));
        }
        let left_out = allowed(losses, options)?;
        write::write_safetensors_with(path, &tensors, &texts, options.progress)?;
        Ok(Converted { tensors: tensors.len(), unshared: overlapping(&self.tensors), left_out })
    }

    /// The tensors that can be written, and why the others cannot.
    fn writable(
        &self,
        lacking: impl Fn(&RawTensor<'_>) -> Option<String>,
    ) -> Result<(Named<'a>, Vec<Loss>), ErrorKind> {
        let (mut tensors, mut losses) = (Vec::with_capacity(self.tensors.len()), Vec::new());
        for raw in &self.tensors {
            let reason = raw.unsupported().map(|word| format!("a tensor that is {word}")).or_else(|| lacking(raw));
            match reason {
                Some(reason) => losses.push((raw.key().to_owned(), reason)),
                None => tensors.push((raw.key().to_owned(), TensorData::of_file(raw)?)),
            }
        }
        Ok((tensors, losses))
    }

    /// What is no tensor, as texts by path, and what of it is lost.
    fn texts(&self) -> (Vec<(String, String)>, Vec<Loss>) {
        let graph = self.checkpoint.graph();
        if let Some(root) = self.root {
            let mut texts = Texts { graph, holders: self.checkpoint.holders(), found: Vec::new(), losses: Vec::new() };
            texts.visit(root, "");
            return (texts.found, texts.losses);
        }
        let metadata = graph.mapping(graph.root).and_then(|root| {
            root.items.iter().find(|(key, _)| graph.text(*key) == Some(METADATA)).map(|&(_, value)| value)
        });
        let metadata = metadata.filter(|_| self.checkpoint.format() == Format::Safetensors);
        let pairs = metadata.and_then(|value| graph.mapping(value)).into_iter().flat_map(|texts| &texts.items);
        let pair = |&(key, text): &(Value, Value)| {
            let key = graph.text(key)?;
            Some((key.strip_prefix(&self.prefix).unwrap_or(key).to_owned(), graph.text(text)?.to_owned()))
        };
        (pairs.filter_map(pair).collect(), Vec::new())
    }
}

/// What is left out, if that is allowed.
fn allowed(losses: Vec<Loss>, options: &ConvertOptions<'_>) -> Result<Vec<Loss>, ErrorKind> {
    if losses.is_empty() || options.lossy { Ok(losses) } else { Err(ErrorKind::Unwritable(losses)) }
}

/// The texts of a safetensors file as Python attributes: the versions as what they are, the others as they are.
fn attributes(texts: Vec<(String, String)>) -> Map<String, JsonValue> {
    let (mut attributes, mut others) = (Map::new(), Map::new());
    for (key, text) in texts {
        match serde_json::from_str::<Map<String, JsonValue>>(&text) {
            Ok(versions) if key == VERSIONS => attributes.insert(key, versions.into()),
            _ => others.insert(key, text.into()),
        };
    }
    // The format is told again when it is written as safetensors again.
    others.retain(|key, text| key != "format" || text != "pt");
    if !others.is_empty() {
        attributes.insert(METADATA.to_owned(), others.into());
    }
    attributes
}

/// Finds the largest parts of a tree that hold no tensor.
struct Texts<'a> {
    graph: &'a Graph,
    holders: &'a Holders,
    found: Vec<(String, String)>,
    losses: Vec<Loss>,
}

impl Texts<'_> {
    fn visit(&mut self, value: Value, path: &str) {
        let graph = self.graph;
        if !self.holders.holds_tensor(value) {
            return self.text(value, path.to_owned());
        }
        match (graph.mapping(value), graph.sequence(value)) {
            (Some(mapping), _) => {
                for &(key, value) in &mapping.items {
                    self.visit(value, &join(path, &crate::json::render_key(graph, key)));
                }
                self.attributes(mapping, path);
            }
            (None, Some(items)) => {
                items.iter().enumerate().for_each(|(index, &item)| self.visit(item, &join(path, &index.to_string())));
            }
            (None, None) => {}
        }
    }

    fn attributes(&mut self, mapping: &Mapping, path: &str) {
        let graph = self.graph;
        let attributes = mapping.attributes.and_then(|attributes| graph.mapping(attributes));
        for &(key, value) in attributes.into_iter().flat_map(|attributes| &attributes.items) {
            let name = crate::json::render_key(graph, key);
            // Attributes are no part of the tree that was checked.
            let plain = Holders::find(graph, value).is_ok_and(|holders| !holders.holds_tensor(value))
                && crate::json::check(graph, value, &mut Budget::default()).is_ok();
            match graph.mapping(value).filter(|_| path.is_empty() && name == METADATA) {
                _ if !plain => self.losses.push((join(path, &name), "an attribute with tensors".to_owned())),
                Some(texts) => {
                    let pairs = texts.items.iter();
                    let pair = |&(key, text)| Some((graph.text(key)?.to_owned(), graph.text(text)?.to_owned()));
                    self.found.extend(pairs.filter_map(pair));
                }
                None => self.text(value, join(path, &name)),
            }
        }
    }

    fn text(&mut self, value: Value, path: String) {
        if let Some(reason) = hidden(self.graph, value) {
            self.losses.push((path.clone(), reason));
        }
        let json = serde_json::to_string(&Json { graph: self.graph, value });
        // Every value has JSON, because every key of an object is a string.
        self.found.extend(json.ok().map(|json| (path, json)));
    }
}

fn join(path: &str, part: &str) -> String {
    if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") }
}

/// The first thing in a value without tensors of which JSON has the name only.
fn hidden(graph: &Graph, value: Value) -> Option<String> {
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        if let Some(reason) = opaque(graph, value) {
            return Some(reason);
        }
        pending.extend(graph.node(value).into_iter().flat_map(crate::tree::parts));
    }
    None
}

/// How many of the tensors overlap one before them.
fn overlapping(tensors: &[RawTensor<'_>]) -> usize {
    let mut ranges: Vec<_> = tensors.iter().filter_map(RawTensor::extent).collect();
    ranges.sort_unstable();
    let (mut count, mut last, mut reached) = (0, None, 0);
    for (storage, start, end) in ranges {
        if last != Some(storage) {
            (last, reached) = (Some(storage), 0);
        }
        count += usize::from(start < reached);
        reached = reached.max(end);
    }
    count
}
