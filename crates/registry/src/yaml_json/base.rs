//! Config files that inherit from others: `_base_` and `_delete_`. Reference: mmengine/config/config.py.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::limits::{MOST_BYTES, MOST_DEPTH, MOST_FILES};
use super::{file, template};
use crate::{Config, ConfigError, ConfigErrorKind, Dict, KeyPath};

const BASE: &str = "_base_";
const DELETE: &str = "_delete_";
const DEPRECATION: &str = "_deprecation_";

/// The config in a file, merged into its bases.
pub(super) fn load(file: &Path) -> Result<Config, ConfigError> {
    Loader::default().load(file)
}

/// Reads files and their bases.
#[derive(Debug, Default)]
struct Loader {
    /// The files that are being read, each a base of the one before it.
    chain: Vec<PathBuf>,
    files: usize,
    bytes: usize,
}

impl Loader {
    fn load(&mut self, path: &Path) -> Result<Config, ConfigError> {
        let identity = match std::fs::canonicalize(path) {
            Ok(canonical) => canonical,
            Err(_) => path.to_owned(),
        };
        if self.chain.contains(&identity) {
            let chain: Vec<String> = self.chain.iter().chain([&identity]).map(|file| shown(file)).collect();
            return Err(file_error(path, format!("it is a base of itself: {}", chain.join(" -> "))));
        }
        self.files += 1;
        if self.chain.len() >= MOST_DEPTH || self.files > MOST_FILES {
            let most = format!("{MOST_FILES} files, {MOST_DEPTH} below one another");
            return Err(file_error(path, format!("too many files are the bases of one config (at most {most})")));
        }
        let config = self.read(path)?;
        let Config::Dict(mut dict) = config else {
            if self.chain.is_empty() {
                return Ok(config);
            }
            return Err(file_error(path, "a base has to be a dict".to_owned()));
        };
        let bases = bases(dict.remove(BASE)).map_err(|reason| file_error(path, reason))?;
        self.chain.push(identity);
        let mut merged = Dict::new();
        for base in bases {
            self.add(path, &base, &mut merged)?;
        }
        self.chain.pop();
        dict.remove(DEPRECATION);
        merge(dict, &mut merged, &KeyPath::root()).map_err(|error| file_error(path, error.to_string()))?;
        // Names that Python sets, such as `__file__`, are not part of the config.
        let mut config = Dict::new();
        for (key, value) in merged {
            if !key.starts_with("__") {
                config.insert(key, value);
            }
        }
        Ok(Config::Dict(config))
    }

    /// Adds the keys of one base of `child` to those of the previous bases.
    fn add(&mut self, child: &Path, base: &str, merged: &mut Dict) -> Result<(), ConfigError> {
        if base.contains("::") {
            let reason = format!("its base {base:?} is a config of a Python package; give the path of a file");
            return Err(file_error(child, reason));
        }
        let file = child.parent().unwrap_or(Path::new("")).join(base);
        let Config::Dict(dict) = self.load(&file).map_err(|error| in_base(child, error))? else { return Ok(()) };
        for (key, value) in dict {
            if merged.insert(key.as_str(), value).is_some() {
                let reason = format!("the key {key:?} is in two of its bases, the second of which is {base:?}");
                return Err(file_error(child, reason));
            }
        }
        Ok(())
    }

    /// The config in one file, before merging.
    fn read(&mut self, path: &Path) -> Result<Config, ConfigError> {
        let extension = path.extension().unwrap_or_default();
        if is_read_as_mmengine(extension) && path.is_file() && !has_a_list(path, extension) {
            return read_as_mmengine(path);
        }
        let text = file::read(path).map_err(|reason| file_error(path, reason))?;
        self.bytes += text.len();
        if self.bytes > MOST_BYTES {
            let reason = format!("with it, the files of this config have more than {MOST_BYTES} bytes");
            return Err(file_error(path, reason));
        }
        let text = template::fill(&text, path).map_err(|reason| file_error(path, reason))?;
        let is_json = extension.eq_ignore_ascii_case("json");
        let config = if is_json { Config::from_json(&text) } else { Config::from_yaml(&text) };
        config.map_err(|error| file_error(path, error.to_string()))
    }
}

/// Whether a file is read as by mmengine: with the feature, all that mmengine reads, so that a file has the same values
/// however it is read.
fn is_read_as_mmengine(extension: &OsStr) -> bool {
    let extensions: &[&str] = if cfg!(feature = "pyconfig") { &["py", "yaml", "yml", "json"] } else { &["py"] };
    extensions.iter().any(|known| extension == *known)
}

/// Whether a YAML or JSON file has a list at the top level, such as the layers of a `Sequential`, which mmengine refuses.
fn has_a_list(path: &Path, extension: &OsStr) -> bool {
    if extension == "py" {
        return false;
    }
    // What cannot be read is told by the reader.
    let Ok(text) = file::read(path) else { return false };
    for line in file::without_mark(&text).lines() {
        let line = line.trim_start();
        if !line.is_empty() && !line.starts_with(['#', '%']) && line.trim_end() != "---" {
            return line.starts_with('[') || line.starts_with("- ") || line.trim_end() == "-";
        }
    }
    false
}

#[cfg(feature = "pyconfig")]
fn read_as_mmengine(path: &Path) -> Result<Config, ConfigError> {
    super::python::load(path).map_err(|reason| file_error(path, reason))
}

#[cfg(not(feature = "pyconfig"))]
fn read_as_mmengine(path: &Path) -> Result<Config, ConfigError> {
    let reason = "Python configs are not read without the feature `pyconfig` of mmcv-registry; or write it as YAML in Python, by \
                  mmengine.Config.fromfile(\"NAME.py\").dump(\"NAME.yaml\"), and give that file";
    Err(file_error(path, reason.to_owned()))
}

/// The paths under `_base_`.
fn bases(value: Option<Config>) -> Result<Vec<String>, String> {
    let items = match value {
        None => return Ok(Vec::new()),
        Some(Config::List(items) | Config::Tuple(items)) => items,
        Some(other) => vec![other],
    };
    let mut paths = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Config::Str(path) => paths.push(path),
            other => {
                return Err(format!("{BASE}: expected the path of a file or a list of them, got {}", other.quoted()));
            }
        }
    }
    Ok(paths)
}

/// Merges `child` into `base`: dicts are merged key by key, other values are replaced.
fn merge(child: Dict, base: &mut Dict, path: &KeyPath) -> Result<(), ConfigError> {
    for (key, value) in child {
        let Config::Dict(mut inner) = value else {
            base.insert(key, value);
            continue;
        };
        let Some(existing) = base.get_mut(&key) else {
            base.insert(key, inner);
            continue;
        };
        let replaces = match inner.remove(DELETE) {
            Some(value) => is_true(&value),
            None => false,
        };
        if replaces {
            *existing = Config::Dict(inner);
            continue;
        }
        match existing {
            Config::Dict(existing) => merge(inner, existing, &path.key(&key))?,
            other => {
                let reason = format!(
                    "a dict cannot be merged with what the base has here; add {DELETE}: true to the dict to replace it"
                );
                return Err(ConfigError::invalid(&path.key(&key), other.quoted(), reason));
            }
        }
    }
    Ok(())
}

/// Whether the value is true in Python.
fn is_true(value: &Config) -> bool {
    match value {
        Config::Null => false,
        Config::Bool(value) => *value,
        Config::Int(value) => *value != 0,
        Config::Float(value) => *value != 0.0,
        Config::Str(text) => !text.is_empty(),
        Config::List(items) | Config::Tuple(items) => !items.is_empty(),
        Config::Dict(dict) => !dict.is_empty(),
    }
}

fn file_error(file: &Path, reason: String) -> ConfigError {
    ConfigError::new(&KeyPath::root(), ConfigErrorKind::File { file: shown(file), reason })
}

/// Adds the name of the inheriting file to the error of a base.
fn in_base(child: &Path, error: ConfigError) -> ConfigError {
    match *error.kind {
        ConfigErrorKind::File { file, reason } if !reason.contains(" (a base of ") => {
            let reason = format!("{reason} (a base of {})", shown(child));
            ConfigError::new(&error.path, ConfigErrorKind::File { file, reason })
        }
        _ => error,
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}
