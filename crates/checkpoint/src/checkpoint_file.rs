//! [`CheckpointFile`]: an open checkpoint and its state dict.

use std::path::Path;

use mmcv_layers::Module;
use mmcv_pth::{Checkpoint, FileCheckpoint, RawTensor, UnknownClasses};
use serde_json::Value as JsonValue;
use tch::{Device, Tensor};

use crate::error::ErrorKind;
use crate::load::{StateDict, load_sources, with_dot};
use crate::suggestion::Place;
use crate::tensor_source::{self, TensorSource};
use crate::{Error, LoadOptions, LoadReport};

/// At most this many state dicts of a file are compared with the network.
const MAX_PLACES: usize = 32;
/// Where training programs store the names of the classes; the first that exists counts.
const CLASSES: [&[&str]; 4] = [
    &["meta", "dataset_meta", "classes"],
    &["meta", "dataset_meta", "CLASSES"],
    &["meta", "CLASSES"],
    &["meta", "classes"],
];

/// An open checkpoint file. Its structure was checked when it was opened; tensors are read when they are needed.
#[derive(Debug)]
pub struct CheckpointFile {
    source: String,
    prefix: String,
    content: Checkpoint,
}

impl CheckpointFile {
    /// Opens a file of any format that [`mmcv_pth`] reads, or the index `*.index.json` of several files.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(file, UnknownClasses::default())
    }

    /// Like [`open`](Self::open), with a choice for classes that are not on the reader's list.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`open`](Self::open).
    pub fn open_with(file: impl AsRef<Path>, unknown_classes: UnknownClasses) -> Result<Self, Error> {
        let file = file.as_ref();
        Self::open_part(&file.display().to_string(), file, None, unknown_classes)
    }

    /// Opens the file of a source. Only tensors of the state dict with the prefix count.
    pub(crate) fn open_part(
        source: &str,
        file: &Path,
        prefix: Option<&str>,
        unknown_classes: UnknownClasses,
    ) -> Result<Self, Error> {
        let options = mmcv_pth::OpenOptions::new().unknown_classes(unknown_classes);
        let content = Checkpoint::open_with(file, &options).map_err(|error| Error::new(source, error))?;
        Ok(Self { source: source.to_owned(), prefix: with_dot(prefix), content })
    }

    /// The file with every tensor under its path from the root; `None` for an index of several files.
    #[must_use]
    pub fn raw(&self) -> Option<&FileCheckpoint> {
        self.content.file()
    }

    /// The local paths: that of the file, or those of the files of an index.
    #[must_use]
    pub fn paths(&self) -> Vec<&Path> {
        self.content.files().iter().map(FileCheckpoint::path).collect()
    }

    /// The top-level entries without tensors, such as `meta`; see [`FileCheckpoint::meta`].
    #[must_use]
    pub fn meta(&self) -> JsonValue {
        match self.raw() {
            Some(file) => file.meta(),
            None => JsonValue::Object(serde_json::Map::new()),
        }
    }

    /// The names of the classes that the network was trained for: `meta.dataset_meta.classes`, as mmengine writes it, or
    /// `meta.CLASSES`, as mmcv 1 did. `None` if there is no list of names.
    #[must_use]
    pub fn classes(&self) -> Option<Vec<String>> {
        let file = self.raw()?;
        for path in CLASSES {
            if let Some(value) = file.json_below(path)
                && let Ok(names) = serde_json::from_value::<Vec<String>>(value)
                && !names.is_empty()
            {
                return Some(names);
            }
        }
        None
    }

    /// Loads the state dict into `module`.
    ///
    /// Names, shapes, types and checksums are checked before the first tensor is written. Tensors with the type and layout of
    /// the file are read into the module's memory by several threads, others are copied chunk by chunk, so that loading
    /// needs little memory beyond the module's own.
    ///
    /// # Errors
    /// Returns an error if the file is damaged or does not fit `module`; the module is then unchanged. The exception is
    /// [`ErrorKind::PartlyWritten`]: copying failed after all checks, for example because the file was changed meanwhile.
    pub fn load_into(&self, module: &dyn Module, options: &LoadOptions) -> Result<LoadReport, Error> {
        let mut report = self.try_load_into(module, options).map_err(|kind| self.error(kind))?;
        report.classes = self.classes();
        Ok(report)
    }

    fn try_load_into(&self, module: &dyn Module, options: &LoadOptions) -> Result<LoadReport, ErrorKind> {
        let sources = self.find(options)?;
        load_sources(module, sources, options, &|| self.places(options))
    }

    /// The tensors of the state dict, copied to `device`, in the file's order.
    ///
    /// # Errors
    /// Returns an error if the file is damaged, or if libtorch's binding lacks the type of a tensor.
    pub fn state_dict(&self, device: Device) -> Result<Vec<(String, Tensor)>, Error> {
        let found = self.content.find(None);
        let found = found.map_err(|error| self.error(error.into()))?;
        self.read(self.under_prefix(found.tensors), device)
    }

    /// The tensors below a chain of mapping keys or list indices from the root, copied to `device`: below `["optimizer"]` the
    /// names start with `state.`. Empty if there are none.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`state_dict`](Self::state_dict).
    pub fn tensors_below(&self, path: &[&str], device: Device) -> Result<Vec<(String, Tensor)>, Error> {
        let mut found = Vec::new();
        if let Some(file) = self.raw() {
            for raw in file.tensors_below(path).unwrap_or_default() {
                found.push((raw.key().to_owned(), raw));
            }
        }
        self.read(found, device)
    }

    fn read(&self, tensors: Vec<(String, RawTensor<'_>)>, device: Device) -> Result<Vec<(String, Tensor)>, Error> {
        let mut read = Vec::new();
        for (name, raw) in tensors {
            let tensor = tensor_source::read(&raw, device).map_err(|kind| self.error(kind))?;
            read.push((name, tensor));
        }
        Ok(read)
    }

    /// The state dict: the requested entry, or one of the usual ones, or the whole file.
    fn find(&self, options: &LoadOptions) -> Result<StateDict<'_>, ErrorKind> {
        let found = self.content.find(options.entry.as_deref())?;
        Ok(self.sources(found.tensors))
    }

    fn sources<'a>(&self, tensors: Vec<RawTensor<'a>>) -> StateDict<'a> {
        self.under_prefix(tensors).into_iter().map(|(name, raw)| (name, TensorSource::File(raw))).collect()
    }

    /// The tensors with the prefix of the source, which is removed.
    fn under_prefix<'a>(&self, tensors: Vec<RawTensor<'a>>) -> Vec<(String, RawTensor<'a>)> {
        tensors.into_iter().filter_map(|raw| Some((raw.key().strip_prefix(&self.prefix)?.to_owned(), raw))).collect()
    }

    /// The state dicts of other values of `entry`. Those of an optimizer are excluded: their tensors have the shapes of the
    /// network's.
    fn places(&self, options: &LoadOptions) -> Vec<Place<'_>> {
        let mut found = Vec::new();
        let Some(file) = self.raw() else { return found };
        for place in self.content.tensor_groups() {
            let entry = place.entry;
            if entry.starts_with("optim") || options.entry.as_ref() == Some(&entry) {
                continue;
            }
            // In a flat file, the start of the keys is a prefix and not an entry.
            let keys: Vec<&str> = entry.split('.').collect();
            if file.tensors_below(&keys).unwrap_or_default().is_empty() {
                continue;
            }
            let sources = self.sources(self.content.below(&entry));
            found.push((entry, sources));
            if found.len() == MAX_PLACES {
                break;
            }
        }
        found
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.source, kind)
    }
}
