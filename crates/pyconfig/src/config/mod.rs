//! [`load`]: mmengine's `Config.fromfile`.

mod convert;
mod each;
mod file;
pub(crate) mod json;
mod lazy;
mod loader;
pub(crate) mod merge;
mod options;
mod packages;
mod plain;
mod templates;
mod yaml;

use std::path::{Path, PathBuf};

pub use each::load_each;
pub(crate) use plain::is_base_assignment;

use crate::data::{Data, Place};
use crate::error::{Error, Fault};

/// How a config is read.
#[derive(Debug, Default, Clone)]
pub struct LoadOptions {
    /// Folders in which other packages' configs are found: `FOLDER/mmdet/.mim/configs` and `FOLDER/mmdet/configs`.
    pub package_path: Vec<PathBuf>,
    /// Overrides, `KEY=VALUE` each, by the rules of mmengine's `DictAction`.
    pub cfg_options: Vec<String>,
}

/// A config that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file.
    pub file: PathBuf,
    /// Its values: a dict.
    pub data: Data,
}

/// Reads a `.py`, `.yaml`, `.yml` or `.json` config with its bases.
///
/// # Errors
/// Returns an error if a file cannot be read, is no valid config, does what configs may not do, or exceeds a limit.
pub fn load(file: &Path, options: &LoadOptions) -> std::result::Result<Config, Error> {
    let mut outcome = None;
    load_each(&[file], options, |_, config| config, |config| outcome = Some(config));
    outcome.unwrap_or_else(|| Err(failed()))
}

fn failed() -> Error {
    Fault::limit("reading the config failed").into_error()
}

impl Config {
    /// The value at a key path such as `model.backbone.depth`, or `pipeline.0.type` for an item of a list.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Data> {
        let mut data = &self.data;
        for key in path.split('.') {
            data = match data {
                Data::List(items) | Data::Tuple(items) => items.get(key.parse::<usize>().ok()?)?,
                data => data.get(key)?,
            };
        }
        Some(data)
    }

    /// Where the value at a key path was written: the place of the innermost dict entry on the path.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<&Place> {
        let (mut data, mut place) = (&self.data, None);
        for key in path.split('.') {
            data = match data {
                Data::List(items) | Data::Tuple(items) => items.get(key.parse::<usize>().ok()?)?,
                data => {
                    let entry = data.entry(key)?;
                    place = entry.place.as_deref().or(place);
                    &entry.value
                }
            };
        }
        place
    }
}
