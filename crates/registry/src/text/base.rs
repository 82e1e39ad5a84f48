//! Config files that change others: `_base_` and `_delete_`. Reference: mmengine/config/config.py.

use std::path::{Path, PathBuf};

use super::limits::{MOST_BYTES, MOST_DEPTH, MOST_FILES};
use super::{file, template};
use crate::{Config, ConfigError, ConfigErrorKind, Dict, KeyPath};

const BASE: &str = "_base_";
const DELETE: &str = "_delete_";
const DEPRECATION: &str = "_deprecation_";

/// The config of a file, merged with the files that it names as its bases.
pub(super) fn load(file: &Path) -> Result<Config, ConfigError> {
    Loader::default().load(file)
}

/// Reads files and, before them, their bases.
#[derive(Debug, Default)]
struct Loader {
    /// The file that is being read, and before it those whose base it is.
    chain: Vec<PathBuf>,
    files: usize,
    bytes: usize,
}

impl Loader {
    fn load(&mut self, path: &Path) -> Result<Config, ConfigError> {
        let refuse = |reason: String| error(path, reason);
        let identity = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.chain.contains(&identity) {
            let chain: Vec<String> = self.chain.iter().chain([&identity]).map(|file| shown(file)).collect();
            return Err(refuse(format!("it is a base of itself: {}", chain.join(" -> "))));
        }
        self.files += 1;
        if self.chain.len() >= MOST_DEPTH || self.files > MOST_FILES {
            let most = format!("{MOST_FILES} files, {MOST_DEPTH} below one another");
            return Err(refuse(format!("too many files are the bases of one config (at most {most})")));
        }
        let config = self.read(path)?;
        let Config::Dict(mut own) = config else {
            return if self.chain.is_empty() { Ok(config) } else { Err(refuse("a base has to be a dict".to_owned())) };
        };
        let bases = bases(own.remove(BASE)).map_err(&refuse)?;
        self.chain.push(identity);
        let mut merged = Dict::new();
        for base in bases {
            self.add(path, &base, &mut merged)?;
        }
        self.chain.pop();
        own.remove(DEPRECATION);
        merge(own, &mut merged, &KeyPath::root()).map_err(|error| refuse(error.to_string()))?;
        // Python's own names, such as `__file__`, are no part of a config.
        let kept: Dict = merged.into_iter().filter(|(key, _)| !key.starts_with("__")).collect();
        Ok(Config::Dict(kept))
    }

    /// Adds the keys of one base of `child` to those of the bases before it.
    fn add(&mut self, child: &Path, base: &str, merged: &mut Dict) -> Result<(), ConfigError> {
        if base.contains("::") {
            let reason = format!("its base {base:?} is a config of a Python package; give the path of a file");
            return Err(error(child, reason));
        }
        let file = child.parent().unwrap_or(Path::new("")).join(base);
        let Config::Dict(dict) = self.load(&file).map_err(|error| of_base(child, error))? else { return Ok(()) };
        for (key, value) in dict {
            if merged.insert(key.as_str(), value).is_some() {
                let reason = format!("the key {key:?} is in two of its bases, the second of which is {base:?}");
                return Err(error(child, reason));
            }
        }
        Ok(())
    }

    /// The config in one file, as it stands there.
    fn read(&mut self, path: &Path) -> Result<Config, ConfigError> {
        let refuse = |reason: String| error(path, reason);
        let extension = path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("py") && path.is_file() {
            return Err(refuse(PYTHON.to_owned()));
        }
        let text = file::read(path).map_err(refuse)?;
        self.bytes += text.len();
        if self.bytes > MOST_BYTES {
            return Err(refuse(format!("with it, the files of this config have more than {MOST_BYTES} bytes")));
        }
        let text = template::fill(&text, path).map_err(refuse)?;
        let is_json = extension.eq_ignore_ascii_case("json");
        let config = if is_json { Config::from_json(&text) } else { Config::from_yaml(&text) };
        config.map_err(|error| refuse(error.to_string()))
    }
}

/// Why a Python file is not read.
const PYTHON: &str = "Python configs are not read; write it as YAML in Python, by \
    mmengine.Config.fromfile(\"NAME.py\").dump(\"NAME.yaml\"), and give that file";

/// The paths under `_base_`.
fn bases(value: Option<Config>) -> Result<Vec<String>, String> {
    let items = match value {
        None => return Ok(Vec::new()),
        Some(Config::List(items)) => items,
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

/// Merges `child` into `base`: dicts key by key, everything else in the place of what was there.
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
        if inner.remove(DELETE).is_some_and(|value| is_true(&value)) {
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

/// Whether Python takes the value for true.
fn is_true(value: &Config) -> bool {
    match value {
        Config::Null => false,
        Config::Bool(value) => *value,
        Config::Int(value) => *value != 0,
        Config::Float(value) => *value != 0.0,
        Config::Str(text) => !text.is_empty(),
        Config::List(items) => !items.is_empty(),
        Config::Dict(dict) => !dict.is_empty(),
    }
}

fn error(file: &Path, reason: String) -> ConfigError {
    ConfigError::new(&KeyPath::root(), ConfigErrorKind::File { file: shown(file), reason })
}

/// The error of a base, which says whose base it is.
fn of_base(child: &Path, error: ConfigError) -> ConfigError {
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
