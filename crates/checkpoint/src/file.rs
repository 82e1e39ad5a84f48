//! [`CheckpointFile`]: an open checkpoint, in which the state dict was found.

use std::path::Path;

use mmcv_layers::Module;
use mmcv_pth::{Checkpoint, FileCheckpoint, RawTensor, UnknownClasses};
use serde_json::Value as JsonValue;
use tch::{Device, Tensor};

use crate::error::ErrorKind;
use crate::load::{Values, load_values, with_dot};
use crate::proposal::Place;
use crate::value::{self, Value};
use crate::{Error, LoadOptions, LoadReport};

/// So many state dicts of a file are compared with the network.
const MOST_PLACES: usize = 32;
/// Where training programs put the names of the classes, the first that is there.
const CLASSES: [&[&str]; 4] = [
    &["meta", "dataset_meta", "classes"],
    &["meta", "dataset_meta", "CLASSES"],
    &["meta", "CLASSES"],
    &["meta", "classes"],
];

/// An open checkpoint file. Its structure was checked when it was opened; tensors are read when they are asked for.
#[derive(Debug)]
pub struct CheckpointFile {
    source: String,
    prefix: String,
    content: Checkpoint,
}

impl CheckpointFile {
    /// Opens a file of any format that [`mmcv_pth`] reads, or the index `*.index.json` of several.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(file, UnknownClasses::default())
    }

    /// As [`open`](Self::open), where `unknown_classes` says what happens to classes that are on no list.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(file: impl AsRef<Path>, unknown_classes: UnknownClasses) -> Result<Self, Error> {
        let file = file.as_ref();
        Self::open_part(&file.display().to_string(), file, None, unknown_classes)
    }

    /// Opens `file` for a source; of its state dict only what is under `prefix` counts.
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

    /// The file as the file reader sees it: every tensor, under its path from the root; `None` where there are several.
    #[must_use]
    pub fn raw(&self) -> Option<&FileCheckpoint> {
        self.content.file()
    }

    /// The top-level entries that hold no tensors, such as `meta`; see [`FileCheckpoint::meta`].
    #[must_use]
    pub fn meta(&self) -> JsonValue {
        self.raw().map_or_else(|| JsonValue::Object(serde_json::Map::new()), FileCheckpoint::meta)
    }

    /// The names of the classes that the file was trained for: `meta.dataset_meta.classes`, as mmengine writes it, or
    /// `meta.CLASSES`, as mmcv 1 did. `None` where there is no list of names.
    #[must_use]
    pub fn classes(&self) -> Option<Vec<String>> {
        let file = self.raw()?;
        for path in CLASSES {
            let Some(JsonValue::Array(names)) = file.json_below(path) else { continue };
            let names: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            if let Some(names) = names.filter(|names| !names.is_empty()) {
                return Some(names);
            }
        }
        None
    }

    /// Loads the state dict into `module`.
    ///
    /// Names, shapes, types and checksums are checked before the first tensor is written. Tensors are copied piece by
    /// piece from the mapped file, so that loading needs little memory beyond the module's own.
    ///
    /// # Errors
    /// Where the file is damaged or does not fit `module`.
    pub fn load_into(&self, module: &dyn Module, options: &LoadOptions) -> Result<LoadReport, Error> {
        let load = || load_values(module, self.values(options)?, options, &|| self.places(options));
        let report = load().map_err(|kind| self.error(kind))?;
        Ok(LoadReport { classes: self.classes(), ..report })
    }

    /// The tensors of the state dict on `device`, as they are in the file and in its order.
    ///
    /// # Errors
    /// Where the file is damaged, or libtorch's binding lacks the type of a tensor.
    pub fn state_dict(&self, device: Device) -> Result<Vec<(String, Tensor)>, Error> {
        let found = self.values(&LoadOptions::default()).map_err(|kind| self.error(kind))?;
        self.read(
            found.into_iter().filter_map(|(name, value)| match value {
                Value::File(raw) => Some((name, raw)),
                Value::Memory(_) => None,
            }),
            device,
        )
    }

    /// The tensors below a chain of mapping keys or list indices from the root, on `device`: below `["optimizer"]` the
    /// names begin with `state.`. Empty where there is nothing.
    ///
    /// # Errors
    /// As [`state_dict`](Self::state_dict).
    pub fn tensors_below(&self, path: &[&str], device: Device) -> Result<Vec<(String, Tensor)>, Error> {
        let found = self.raw().and_then(|checkpoint| checkpoint.tensors_below(path)).unwrap_or_default();
        self.read(found.into_iter().map(|raw| (raw.key().to_owned(), raw)), device)
    }

    fn read<'a>(
        &self,
        tensors: impl Iterator<Item = (String, RawTensor<'a>)>,
        device: Device,
    ) -> Result<Vec<(String, Tensor)>, Error> {
        let read = |(name, raw)| Ok((name, value::read(&raw, device)?));
        tensors.map(read).collect::<Result<_, _>>().map_err(|kind| self.error(kind))
    }

    /// The state dict: under the entry that was asked for, or one of the usual ones, or all of the file.
    fn values(&self, options: &LoadOptions) -> Result<Values<'_>, ErrorKind> {
        Ok(self.own(self.content.find(options.entry.as_deref())?.tensors))
    }

    /// The tensors under the prefix of the source, without it.
    fn own<'a>(&self, found: Vec<RawTensor<'a>>) -> Values<'a> {
        let own = found.into_iter().filter_map(|raw| {
            let name = raw.key().strip_prefix(&self.prefix)?.to_owned();
            Some((name, Value::File(raw)))
        });
        own.collect()
    }

    /// The state dicts that another `entry` would give; without those of an optimizer, whose tensors have the shapes of the
    /// network's.
    fn places(&self, options: &LoadOptions) -> Vec<Place<'_>> {
        let Some(file) = self.raw() else { return Vec::new() };
        let places = self.content.tensor_groups().into_iter().map(|place| place.entry);
        let other = |entry: &String| {
            // In a flat file a beginning of the keys is a prefix.
            let keys: Vec<&str> = entry.split('.').collect();
            let is_dict = file.tensors_below(&keys).is_some_and(|tensors| !tensors.is_empty());
            is_dict && !entry.starts_with("optim") && options.entry.as_ref() != Some(entry)
        };
        let mut found = Vec::new();
        for entry in places.filter(other).take(MOST_PLACES) {
            let values = self.own(self.content.below(&entry));
            found.push((entry, values));
        }
        found
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.source, kind)
    }
}
