//! From one file format to another.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value as JsonValue};

use crate::any::AnyCheckpoint;
use crate::cast;
use crate::checkpoint::{Checkpoint, Format};
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind};
use crate::json::Json;
use crate::pickle::{Graph, Mapping, Value};
use crate::raw::RawTensor;
use crate::safetensors::METADATA;
use crate::sharded::Sharded;
use crate::tree::{Budget, Holders};
use crate::write::{self, Loss, TensorData, Tree, destination, of_object, opaque};

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
    /// Only what is below this entry, a dotted path such as `state_dict` or `nets.teacher`; its keys lose that part. Default:
    /// everything.
    pub entry: Option<&'a str>,
    /// The type that floating-point tensors get: float16, bfloat16, float32 or float64; others stay as they are. Default:
    /// each keeps its own.
    pub dtype: Option<Dtype>,
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
    /// Tensors whose numbers are of another type than in the source.
    pub cast: usize,
    /// Tensors that overlap others in memory, and in safetensors have a copy of their own.
    pub unshared: usize,
    /// What the target cannot hold: the path to it, and what it is.
    pub left_out: Vec<(String, String)>,
}

/// Writes what an open checkpoint holds as another file, which appears under its name only when it is complete.
///
/// A `.pth` file keeps order, nesting, shared storages, strides and the attribute `_metadata` of one that is converted;
/// of a TorchScript archive, and of several files with an index, the tensors are taken, as a flat state dict. Safetensors
/// have the keys that [`Checkpoint::tensors`] gives, and hold everything that is no tensor as JSON texts under its path in
/// `__metadata__`; back in a `.pth` file these are Python attributes of the state dict, which loading it does not see.
///
/// # Errors
/// There is nothing below the entry, the source is damaged, the target cannot be written, or it cannot hold something
/// and `lossy` is not set.
pub fn convert(
    checkpoint: &AnyCheckpoint,
    path: impl AsRef<Path>,
    target: Target,
    options: &ConvertOptions<'_>,
) -> Result<Converted, Error> {
    let path = path.as_ref();
    destination(path)?;
    let part = Part::find(checkpoint, options.entry).map_err(|kind| Error::new(checkpoint.path(), kind))?;
    let written = match target {
        Target::Pth => part.write_pth(path, options),
        Target::Safetensors => part.write_safetensors(path, options),
    };
    let converted = written.map_err(|kind| match kind {
        // What is wrong with the source is said of the source.
        ErrorKind::Io(_) | ErrorKind::Write(_) | ErrorKind::Destination { .. } => Error::new(path, kind),
        _ => Error::new(checkpoint.path(), kind),
    })?;
    Ok(Converted { cast: part.cast(options), ..converted })
}

/// Tensors and their keys.
type Named<'a> = Vec<(String, TensorData<'a>)>;

/// What of a checkpoint is converted.
struct Part<'a> {
    checkpoint: &'a AnyCheckpoint,
    /// A `.pth` file and the value in its pickle whose nesting is kept.
    root: Option<(&'a Checkpoint, Value)>,
    /// What the keys begin with that is left off.
    prefix: String,
    tensors: Vec<RawTensor<'a>>,
}

impl<'a> Part<'a> {
    fn find(checkpoint: &'a AnyCheckpoint, entry: Option<&str>) -> Result<Self, ErrorKind> {
        let nested = checkpoint.file().filter(|file| is_nested(file));
        let Some(entry) = entry else {
            let root = nested.map(|file| (file, file.graph().root));
            return Ok(Self { checkpoint, root, prefix: String::new(), tensors: checkpoint.tensors().collect() });
        };
        let tensors = checkpoint.find_below(Some(entry))?.tensors;
        let root = nested.and_then(|file| Some((file, file.resolve(file.graph().root, entry)?)));
        let root = root.filter(|(file, root)| file.holders().holds_tensor(*root));
        Ok(Self { checkpoint, root, prefix: format!("{entry}."), tensors })
    }

    /// How many tensors get another type.
    fn cast(&self, options: &ConvertOptions<'_>) -> usize {
        let Some(to) = options.dtype else { return 0 };
        let types = self.tensors.iter().filter_map(RawTensor::dtype);
        types.filter(|&from| from != to && cast::is_floating_point(from)).count()
    }

    fn write_pth(&self, path: &Path, options: &ConvertOptions<'_>) -> Result<Converted, ErrorKind> {
        let mut converted = Converted { tensors: self.tensors.len(), ..Converted::default() };
        let Some((file, root)) = self.root else {
            let (tensors, mut losses) = self.writable(options, |_| None)?;
            let (texts, lost) = self.texts();
            losses.extend(lost);
            converted.left_out = allowed(losses, options)?;
            converted.tensors = tensors.len();
            write::write_flat(path, &tensors, &attributes(texts), options.progress)?;
            return Ok(converted);
        };
        let raw = |node| file.raw("".into(), node);
        let tree = Tree { graph: file.graph(), holders: file.holders(), root, dtype: options.dtype, raw };
        converted.left_out = write::write_tree(path, &tree, !options.lossy, options.progress)?;
        converted.tensors -= self.tensors.iter().filter(|raw| raw.unsupported().is_some()).count();
        Ok(converted)
    }

    fn write_safetensors(&self, path: &Path, options: &ConvertOptions<'_>) -> Result<Converted, ErrorKind> {
        let lacking = |raw: &RawTensor<'_>| {
            let cast = |from| options.dtype.filter(|_| cast::is_floating_point(from)).unwrap_or(from);
            let dtype = raw.dtype().map(cast).filter(|dtype| dtype.safetensors_name().is_none())?;
            Some(format!("a tensor of type {dtype}, which safetensors do not have"))
        };
        let (tensors, mut losses) = self.writable(options, lacking)?;
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
        Ok(Converted { tensors: tensors.len(), unshared: overlapping(&self.tensors), left_out, cast: 0 })
    }

    /// The tensors that can be written, and why the others cannot.
    fn writable(
        &self,
        options: &ConvertOptions<'_>,
        lacking: impl Fn(&RawTensor<'_>) -> Option<String>,
    ) -> Result<(Named<'a>, Vec<Loss>), ErrorKind> {
        let (mut tensors, mut losses) = (Vec::with_capacity(self.tensors.len()), Vec::new());
        for raw in &self.tensors {
            let reason = raw.unsupported().map(|word| format!("a tensor that is {word}")).or_else(|| lacking(raw));
            match reason {
                Some(reason) => losses.push((raw.key().to_owned(), reason)),
                None => {
                    let tensor = TensorData::of_file(raw)?;
                    let tensor = if let Some(dtype) = options.dtype { tensor.cast(dtype)? } else { tensor };
                    tensors.push((raw.key().to_owned(), tensor));
                }
            }
        }
        Ok((tensors, losses))
    }

    /// What is no tensor, as texts by path, and what of it is lost.
    fn texts(&self) -> (Vec<(String, String)>, Vec<Loss>) {
        match (self.root, self.checkpoint) {
            (Some((file, root)), _) => Texts::of(file, root),
            (None, AnyCheckpoint::File(file)) => (self.metadata(file), Vec::new()),
            (None, AnyCheckpoint::Sharded(sharded)) => self.texts_of_shards(sharded),
        }
    }

    /// What the files of an index say, taken together; where two differ, the first is kept and the other one lost.
    fn texts_of_shards(&self, sharded: &Sharded) -> (Vec<(String, String)>, Vec<Loss>) {
        let unlisted = sharded.unlisted().filter(|(_, raw)| raw.key().starts_with(&self.prefix));
        let loss = |(file, raw): (&Checkpoint, RawTensor<'_>)| {
            (raw.key().to_owned(), format!("a tensor of {} that the index lacks", file.path().display()))
        };
        let (mut texts, mut losses): (Vec<(String, String)>, Vec<Loss>) = (Vec::new(), unlisted.map(loss).collect());
        let mut known = HashMap::new();
        for file in sharded.shards() {
            let (found, lost) = if is_nested(file) {
                let (found, lost) = Texts::of(file, file.graph().root);
                (found.into_iter().map(|(key, text)| (self.without_prefix(&key), text)).collect(), lost)
            } else {
                (self.metadata(file), Vec::new())
            };
            losses.extend(lost);
            for (key, text) in found {
                match known.get(&key) {
                    Some(known) if *known == text => {}
                    Some(_) => losses.push((key, format!("another value in {}", file.path().display()))),
                    None => {
                        known.insert(key.clone(), text.clone());
                        texts.push((key, text));
                    }
                }
            }
        }
        (texts, losses)
    }

    /// The texts of a safetensors file.
    fn metadata(&self, file: &Checkpoint) -> Vec<(String, String)> {
        let graph = file.graph();
        let metadata = graph.mapping(graph.root).and_then(|root| {
            root.items.iter().find(|(key, _)| graph.text(*key) == Some(METADATA)).map(|&(_, value)| value)
        });
        let metadata = metadata.filter(|_| file.format() == Format::Safetensors);
        let pairs = metadata.and_then(|value| graph.mapping(value)).into_iter().flat_map(|texts| &texts.items);
        let pair =
            |&(key, text): &(Value, Value)| Some((self.without_prefix(graph.text(key)?), graph.text(text)?.to_owned()));
        pairs.filter_map(pair).collect()
    }

    fn without_prefix(&self, key: &str) -> String {
        key.strip_prefix(&self.prefix).unwrap_or(key).to_owned()
    }
}

/// Whether a file holds a tree, not only tensors by name.
fn is_nested(file: &Checkpoint) -> bool {
    matches!(file.format(), Format::PthZip | Format::PthLegacy | Format::Pickle)
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

impl<'a> Texts<'a> {
    /// The texts below `root`, and what is lost.
    fn of(file: &'a Checkpoint, root: Value) -> (Vec<(String, String)>, Vec<Loss>) {
        let mut texts = Self { graph: file.graph(), holders: file.holders(), found: Vec::new(), losses: Vec::new() };
        texts.visit(root, "");
        (texts.found, texts.losses)
    }

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
            (None, None) => self.losses.extend(of_object(graph, value).map(|reason| (path.to_owned(), reason))),
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
        pending.extend(graph.node(value).into_iter().flat_map(|node| crate::tree::parts(graph, node)));
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
