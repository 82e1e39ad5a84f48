//! [`CheckpointFile`]: an open checkpoint, in which the state dict was found.

use std::path::Path;

use mmcv_layers::Module;
use mmcv_pth::{AnyCheckpoint, Checkpoint, RawTensor};
use serde_json::Value as JsonValue;
use tch::{Device, Tensor};

use crate::error::ErrorKind;
use crate::load::{Values, load_values, with_dot};
use crate::value::{self, Value};
use crate::{Error, LoadOptions, LoadReport};

/// Keys under which training programs put the state dict, the first that is there.
const WRAPPERS: [&str; 3] = ["state_dict", "model", "ema"];

/// An open checkpoint file. Its structure was checked when it was opened; tensors are read when they are asked for.
#[derive(Debug)]
pub struct CheckpointFile {
    source: String,
    prefix: String,
    content: AnyCheckpoint,
}

impl CheckpointFile {
    /// Opens a file of any format that [`mmcv_pth`] reads, or the index `*.index.json` of several.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn open(file: impl AsRef<Path>) -> Result<Self, Error> {
        let file = file.as_ref();
        Self::open_part(&file.display().to_string(), file, None)
    }

    /// Opens `file` for a source; of its state dict only what is under `prefix` counts.
    pub(crate) fn open_part(source: &str, file: &Path, prefix: Option<&str>) -> Result<Self, Error> {
        let content = AnyCheckpoint::open(file).map_err(|error| Error::new(source, error))?;
        Ok(Self { source: source.to_owned(), prefix: with_dot(prefix), content })
    }

    /// The file as the file reader sees it: every tensor, under its path from the root; `None` where there are several.
    #[must_use]
    pub fn raw(&self) -> Option<&Checkpoint> {
        self.content.file()
    }

    /// The top-level entries that hold no tensors, such as `meta`; see [`Checkpoint::meta`].
    #[must_use]
    pub fn meta(&self) -> JsonValue {
        self.raw().map_or_else(|| JsonValue::Object(serde_json::Map::new()), Checkpoint::meta)
    }

    /// Loads the state dict into `module`.
    ///
    /// Names, shapes, types and checksums are checked before the first tensor is written. Tensors are copied piece by
    /// piece from the file, so that loading needs little memory beyond the module's own.
    ///
    /// # Errors
    /// Where the file is damaged or does not fit `module`.
    pub fn load_into(&self, module: &dyn Module, options: &LoadOptions) -> Result<LoadReport, Error> {
        let load = || load_values(module, self.values(options)?, options);
        load().map_err(|kind| self.error(kind))
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
        let found = match &options.entry {
            Some(entry) => {
                let found = self.content.below(entry);
                if found.is_empty() {
                    return Err(ErrorKind::NoEntry {
                        entry: entry.clone(),
                        found: self.content.places().into_iter().map(|place| place.entry).collect(),
                    });
                }
                found
            }
            None => {
                let mut wrapped = WRAPPERS.iter().map(|entry| self.wrapped(entry));
                let found = wrapped.find(|found| !found.is_empty());
                found.unwrap_or_else(|| self.content.tensors().collect())
            }
        };
        let own = found.into_iter().filter_map(|raw| {
            let name = raw.key().strip_prefix(&self.prefix)?.to_owned();
            Some((name, Value::File(raw)))
        });
        Ok(own.collect())
    }

    /// What is under one of the usual entries.
    fn wrapped(&self, entry: &str) -> Vec<RawTensor<'_>> {
        // In a flat file a part of a network may be called `model`, so that only this one says what it is.
        if entry == "state_dict" {
            return self.content.below(entry);
        }
        self.raw().and_then(|file| file.tensors_below(&[entry])).unwrap_or_default()
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::new(&self.source, kind)
    }
}
