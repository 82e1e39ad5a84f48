//! [`convert`]: a checkpoint in a different file format.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as JsonValue};

use crate::checkpoint::{Checkpoint, FileCheckpoint, ShardedCheckpoint};
use crate::error::{Error, ErrorKind};
use crate::format::METADATA;
use crate::tensor::{Dtype, MemoryRange, RawTensor, is_floating_point};
use crate::tools::side_data::SideData;
use crate::unpickler::Value;
use crate::write::{self, Loss, TensorData, Tree, VERSIONS, resolve_destination};

/// A file format that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// A `.pth` file in the format of `torch.save`.
    Pth,
    /// Safetensors.
    Safetensors,
}

/// Options of [`convert`].
#[derive(Clone, Copy, Default)]
pub struct ConvertOptions<'a> {
    /// Converts only what is below this entry, a dotted path such as `state_dict` or `nets.teacher`, and removes that part
    /// from the keys. Default: everything.
    pub entry: Option<&'a str>,
    /// Casts floating-point tensors to this type: float16, bfloat16, float32 or float64. Default: types are unchanged.
    pub dtype: Option<Dtype>,
    /// Whether values that the output format cannot hold are left out. Default: false, they are an error that names them.
    pub lossy: bool,
    /// Called from time to time with the number of bytes written.
    pub progress: Option<&'a dyn Fn(u64)>,
}

impl std::fmt::Debug for ConvertOptions<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { entry, dtype, lossy, .. } = self;
        let mut options = formatter.debug_struct("ConvertOptions");
        options.field("entry", entry).field("dtype", dtype).field("lossy", lossy).finish_non_exhaustive()
    }
}

impl ConvertOptions<'_> {
    /// The type to which a type is cast.
    fn cast(&self, from: Dtype) -> Dtype {
        match self.dtype {
            Some(to) if is_floating_point(from) => to,
            _ => from,
        }
    }
}

/// The result of [`convert`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ConversionReport {
    /// The number of tensors written.
    pub tensors: usize,
    /// The number of tensors that were cast to a different type.
    pub cast: usize,
    /// The number of tensors that overlap others in memory, and have a copy of their own in safetensors.
    pub unshared: usize,
    /// The values that the output format cannot hold: path and description. An object in JSON.
    #[serde(serialize_with = "serialize_as_object")]
    pub left_out: Vec<(String, String)>,
}

fn serialize_as_object<S: Serializer>(entries: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(path, description)| (path, description)))
}

/// Writes the contents of an open checkpoint to another file, which gets its name only when it is complete.
///
/// A `.pth` file keeps the order, nesting, shared storages, strides and the attribute `_metadata` of a converted `.pth` file.
/// Of a TorchScript archive or several files with an index, only the tensors are taken, as a flat state dict. Safetensors
/// have the keys of [`FileCheckpoint::tensors`], and hold everything but tensors as JSON texts under their paths in
/// `__metadata__`. Converted back to a `.pth` file, these texts become Python attributes of the state dict, which are ignored
/// when it is loaded.
///
/// # Errors
/// Returns an error if there is nothing below the entry, the source is damaged, the output cannot be written, or its format
/// cannot hold a value and `lossy` is not set.
pub fn convert(
    checkpoint: &Checkpoint,
    path: impl AsRef<Path>,
    format: OutputFormat,
    options: &ConvertOptions<'_>,
) -> Result<ConversionReport, Error> {
    let path = path.as_ref();
    resolve_destination(path)?;
    let source_error = |kind| Error::new(checkpoint.path(), kind);
    let part = Part::find(checkpoint, options.entry).map_err(source_error)?;
    let written = match format {
        OutputFormat::Pth => part.write_pth(path, options),
        OutputFormat::Safetensors => part.write_safetensors(path, options),
    };
    match written {
        Ok(report) => Ok(ConversionReport { cast: part.count_cast(options), ..report }),
        Err(kind @ (ErrorKind::Io(_) | ErrorKind::Write(_) | ErrorKind::Destination { .. })) => {
            Err(Error::new(path, kind))
        }
        Err(kind) => Err(source_error(kind)),
    }
}

/// The part of a checkpoint to convert.
struct Part<'a> {
    checkpoint: &'a Checkpoint,
    /// A file with a pickled tree, and the value whose nesting is kept.
    tree: Option<(&'a FileCheckpoint, Value)>,
    /// The prefix that is removed from keys.
    prefix: String,
    tensors: Vec<RawTensor<'a>>,
}

/// The tensors to write by key.
type NamedTensors<'a> = Vec<(String, TensorData<'a>)>;

impl<'a> Part<'a> {
    fn find(checkpoint: &'a Checkpoint, entry: Option<&str>) -> Result<Self, ErrorKind> {
        let file = match checkpoint.file() {
            Some(file) if file.format().is_pickled_tree() => Some(file),
            _ => None,
        };
        let Some(entry) = entry else {
            let tree = file.map(|file| (file, file.graph().root));
            return Ok(Self { checkpoint, tree, prefix: String::new(), tensors: checkpoint.tensors().collect() });
        };
        let tensors = checkpoint.find_state_dict(Some(entry))?.tensors;
        let mut tree = None;
        if let Some(file) = file
            && let Some(root) = file.resolve(file.graph().root, entry)
            && file.holders().holds_tensor(root)
        {
            tree = Some((file, root));
        }
        Ok(Self { checkpoint, tree, prefix: format!("{entry}."), tensors })
    }

    /// The number of tensors that are cast to a different type.
    fn count_cast(&self, options: &ConvertOptions<'_>) -> usize {
        let types = self.tensors.iter().filter_map(RawTensor::dtype);
        types.filter(|&from| options.cast(from) != from).count()
    }

    fn write_pth(&self, path: &Path, options: &ConvertOptions<'_>) -> Result<ConversionReport, ErrorKind> {
        if let Some((file, root)) = self.tree {
            let tree = Tree { file, root, dtype: options.dtype };
            let left_out = write::write_tree(path, &tree, !options.lossy, options.progress)?;
            let tensors = self.tensors.iter().filter(|tensor| tensor.unsupported().is_none()).count();
            return Ok(ConversionReport { tensors, left_out, ..ConversionReport::default() });
        }
        let (tensors, mut losses) = self.writable_tensors(options, OutputFormat::Pth)?;
        let side_data = self.side_data();
        losses.extend(side_data.losses);
        let left_out = check_losses(losses, options)?;
        write::write_flat(path, &tensors, &attributes(side_data.texts), options.progress)?;
        Ok(ConversionReport { tensors: tensors.len(), left_out, ..ConversionReport::default() })
    }

    fn write_safetensors(&self, path: &Path, options: &ConvertOptions<'_>) -> Result<ConversionReport, ErrorKind> {
        let (tensors, mut losses) = self.writable_tensors(options, OutputFormat::Safetensors)?;
        let SideData { mut texts, losses: lost } = self.side_data();
        losses.extend(lost);
        if !texts.iter().any(|(key, _)| key == "format") {
            // Some Python libraries refuse the file without it.
            texts.insert(0, ("format".to_owned(), "pt".to_owned()));
        }
        let mut keys = HashSet::new();
        for (key, _) in &texts {
            if !keys.insert(key) {
                return Err(ErrorKind::DuplicateKey(key.clone()));
            }
        }
        let left_out = check_losses(losses, options)?;
        write::write_safetensors_with(path, &tensors, &texts, options.progress)?;
        Ok(ConversionReport { tensors: tensors.len(), unshared: count_overlapping(&self.tensors), left_out, cast: 0 })
    }

    /// The tensors that can be written, and why the others cannot.
    fn writable_tensors(
        &self,
        options: &ConvertOptions<'_>,
        format: OutputFormat,
    ) -> Result<(NamedTensors<'a>, Vec<Loss>), ErrorKind> {
        let (mut tensors, mut losses) = (Vec::with_capacity(self.tensors.len()), Vec::new());
        for raw in &self.tensors {
            if let Some(reason) = describe_unwritable(raw, options, format) {
                losses.push((raw.key().to_owned(), reason));
                continue;
            }
            let mut tensor = TensorData::of_file(raw)?;
            if let Some(dtype) = options.dtype {
                tensor = tensor.cast(dtype)?;
            }
            tensors.push((raw.key().to_owned(), tensor));
        }
        Ok((tensors, losses))
    }

    /// Everything but tensors.
    fn side_data(&self) -> SideData {
        match (self.tree, self.checkpoint) {
            (Some((file, root)), _) => SideData::of_tree(file, root),
            (None, Checkpoint::File(file)) => {
                let SideData { texts, losses } = SideData::of_metadata(file);
                SideData { texts: self.without_prefix(texts), losses }
            }
            (None, Checkpoint::Sharded(sharded)) => self.side_data_of_shards(sharded),
        }
    }

    /// The side data of all files. If two files differ, the value of the first is kept and the other one is a loss.
    fn side_data_of_shards(&self, sharded: &ShardedCheckpoint) -> SideData {
        let mut data = SideData::default();
        for (file, tensor) in sharded.unlisted() {
            if tensor.key().starts_with(&self.prefix) {
                let reason = format!("a tensor of {} that the index lacks", file.path().display());
                data.losses.push((tensor.key().to_owned(), reason));
            }
        }
        let mut known = HashMap::new();
        for file in sharded.shards() {
            let found = if file.format().is_pickled_tree() {
                SideData::of_tree(file, file.graph().root)
            } else {
                SideData::of_metadata(file)
            };
            data.losses.extend(found.losses);
            for (key, text) in self.without_prefix(found.texts) {
                match known.get(&key) {
                    Some(known) if *known == text => {}
                    Some(_) => data.losses.push((key, format!("another value in {}", file.path().display()))),
                    None => {
                        known.insert(key.clone(), text.clone());
                        data.texts.push((key, text));
                    }
                }
            }
        }
        data
    }

    /// The texts with the prefix removed from their keys.
    fn without_prefix(&self, mut texts: Vec<(String, String)>) -> Vec<(String, String)> {
        for (key, _) in &mut texts {
            if let Some(rest) = key.strip_prefix(&self.prefix) {
                *key = rest.to_owned();
            }
        }
        texts
    }
}

/// Describes a tensor if the format cannot hold it.
fn describe_unwritable(tensor: &RawTensor<'_>, options: &ConvertOptions<'_>, format: OutputFormat) -> Option<String> {
    let Some(dtype) = tensor.dtype() else { return Some(format!("a tensor that is {}", tensor.type_name())) };
    let dtype = options.cast(dtype);
    if format == OutputFormat::Safetensors && dtype.safetensors().is_none() {
        return Some(format!("a tensor of type {dtype}, which safetensors lacks"));
    }
    None
}

/// Returns an error if there are losses and they are not allowed.
fn check_losses(losses: Vec<Loss>, options: &ConvertOptions<'_>) -> Result<Vec<Loss>, ErrorKind> {
    if losses.is_empty() || options.lossy { Ok(losses) } else { Err(ErrorKind::Unwritable(losses)) }
}

/// The texts of a safetensors file as Python attributes: the versions of modules as objects, all others as texts.
fn attributes(texts: Vec<(String, String)>) -> Map<String, JsonValue> {
    let (mut attributes, mut others) = (Map::new(), Map::new());
    for (key, text) in texts {
        if key == VERSIONS
            && let Ok(versions) = serde_json::from_str::<Map<String, JsonValue>>(&text)
        {
            attributes.insert(key, versions.into());
        } else if key != "format" || text != "pt" {
            // The format is added again when it is converted to safetensors.
            others.insert(key, text.into());
        }
    }
    if !others.is_empty() {
        attributes.insert(METADATA.to_owned(), others.into());
    }
    attributes
}

/// The number of tensors that overlap a tensor before them in memory.
fn count_overlapping(tensors: &[RawTensor<'_>]) -> usize {
    let mut by_storage: BTreeMap<_, Vec<(u64, u64)>> = BTreeMap::new();
    for tensor in tensors {
        if let Some(MemoryRange { storage, start, end }) = tensor.memory_range() {
            by_storage.entry(storage).or_default().push((start, end));
        }
    }
    let mut count = 0;
    for mut ranges in by_storage.into_values() {
        ranges.sort_unstable();
        let mut reached = 0;
        for (start, end) in ranges {
            count += usize::from(start < reached);
            reached = reached.max(end);
        }
    }
    count
}
