//! Files that mmengine reads, through mmcv-pyconfig.

use std::path::{Path, PathBuf};

use mmcv_pyconfig::{Data, Entry, LoadOptions};

use crate::{Config, Dict};

/// Folders with other packages' configs.
const PACKAGE_PATH: &str = "MMCV_CONFIG_PATH";

/// How configs are read: other packages' configs, `mmdet::path/config.py`, are looked up in the folders in
/// `MMCV_CONFIG_PATH`.
#[must_use]
pub fn load_options() -> LoadOptions {
    LoadOptions { package_path: package_path(), ..LoadOptions::default() }
}

fn package_path() -> Vec<PathBuf> {
    match std::env::var_os(PACKAGE_PATH) {
        Some(folders) => std::env::split_paths(&folders).collect(),
        None => Vec::new(),
    }
}

/// The config in a file, with its bases.
pub(super) fn load(path: &Path) -> Result<Config, String> {
    match mmcv_pyconfig::load(path, &load_options()) {
        Ok(config) => Ok(Config::from(&config.data)),
        Err(error) => {
            let message = error.to_string();
            // The caller names the file, too.
            let whole = format!("{}: ", path.display());
            Err(message.strip_prefix(&whole).unwrap_or(&message).to_owned())
        }
    }
}

/// Sets become lists, and whole numbers that do not fit 64 bits become texts, as do keys that are none.
impl From<&Data> for Config {
    fn from(data: &Data) -> Self {
        match data {
            Data::None => Self::Null,
            Data::Bool(value) => Self::Bool(*value),
            Data::Int(value) => Self::Int(*value),
            Data::Big(value) => Self::Str(value.to_string()),
            Data::Float(value) => Self::Float(*value),
            Data::Str(text) => Self::Str(text.clone()),
            Data::List(items) | Data::Set(items) => Self::List(items.iter().map(Self::from).collect()),
            Data::Tuple(items) => Self::Tuple(items.iter().map(Self::from).collect()),
            Data::Dict(entries) => {
                let mut dict = Dict::new();
                for Entry { key, value, .. } in entries {
                    dict.insert(key_text(key), Self::from(value));
                }
                Self::Dict(dict)
            }
        }
    }
}

fn key_text(key: &Data) -> String {
    match Config::from(key) {
        Config::Str(text) => text,
        other => other.to_json(),
    }
}
