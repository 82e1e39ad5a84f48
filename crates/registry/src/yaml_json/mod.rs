//! Configs from and to YAML and JSON; the only module that knows `serde_yaml` and `serde_json`.

mod base;
mod file;
mod limits;
#[cfg(feature = "pyconfig")]
mod python;
mod scan;
mod template;
mod visit;

#[cfg(test)]
mod tests;

#[cfg(feature = "pyconfig")]
pub use self::python::load_options;

use std::path::Path;

use serde::de::{Deserialize, DeserializeSeed, Deserializer};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{Config, ConfigError, ConfigErrorKind, KeyPath};
use visit::Reading;

impl Config {
    /// Reads YAML. Anchors, aliases and merge keys (`<<`) are resolved; `!!python/tuple` is read as a list,
    /// since other tags of the form `!!name` are ignored. A leading byte order mark is skipped.
    ///
    /// # Errors
    /// Returns an error if the text is not YAML (with line and column), has a key twice, a key that is not a string,
    /// number or bool, a tag of the form `!name`, a tag of Python that runs code there, or an integer that does not fit 64 bits; or if it is larger than 16
    /// MiB, nested more than 100 levels deep, or has more than 300,000 values, counting what aliases repeat.
    pub fn from_yaml(text: &str) -> Result<Self, ConfigError> {
        let text = file::without_mark(text);
        scan::yaml(text).map_err(|reason| parse_error(&KeyPath::root(), "YAML", reason))?;
        scan::tags(text).map_err(|reason| parse_error(&KeyPath::root(), "YAML", reason))?;
        let reading = Reading::new(true, None);
        let read = reading.deserialize(serde_yaml::Deserializer::from_str(text));
        read.map_err(|error| parse_error(&reading.path(), "YAML", error.to_string()))
    }

    /// Reads JSON, with the numbers `NaN`, `Infinity` and `-Infinity` as Python writes them. A leading byte order
    /// mark is skipped.
    ///
    /// # Errors
    /// Returns an error if the text is not JSON (with line and column), has a key twice, or an integer that does not
    /// fit 64 bits; limits are those of [`Self::from_yaml`].
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let text = file::without_mark(text);
        scan::size(text).map_err(|reason| parse_error(&KeyPath::root(), "JSON", reason))?;
        let (text, number_mark) = mark_numbers(text);
        let reading = Reading::new(false, number_mark);
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let mut read = reading.deserialize(&mut deserializer);
        if read.is_ok()
            && let Err(error) = deserializer.end()
        {
            read = Err(error);
        }
        read.map_err(|error| parse_error(&reading.path(), "JSON", error.to_string()))
    }

    /// Reads a file: JSON if its name ends in `.json`, YAML otherwise.
    ///
    /// With the feature `pyconfig`, files whose names end in `.py`, `.yaml`, `.yml` and `.json` are read as by mmengine,
    /// which differs from [`Self::from_yaml`] and [`Self::from_json`] in details: `yes` is true, and the last of equal keys
    /// counts. Files with a list at the top level, which mmengine refuses, are read as by these two.
    ///
    /// The key `_base_` names one base or a list of bases, relative to the file. The config is merged into them, dict
    /// by dict; a dict with `_delete_: true` replaces that of the base. `{{ fileDirname }}` and similar templates are
    /// expanded. Reference: `mmengine.Config.fromfile`.
    ///
    /// # Errors
    /// Returns an error if the file or a base cannot be read or is not a regular file, a file is its own base, two
    /// bases have the same key, a dict is merged into another kind of value; and as [`Self::from_yaml`] and
    /// [`Self::from_json`]. The message names the file.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        base::load(file.as_ref())
    }

    /// The config as JSON on one line. Infinities and NaN, which JSON lacks, become `null`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The config as YAML in block style.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(self).unwrap_or_default()
    }
}

/// The error of a parser, without the path that the parser puts in front of its message.
fn parse_error(path: &KeyPath, format: &'static str, reason: String) -> ConfigError {
    let prefix = format!("{}: ", path.in_yaml_errors());
    let reason = reason.strip_prefix(&prefix).unwrap_or(&reason).to_owned();
    ConfigError::new(path, ConfigErrorKind::Parse { format, reason })
}

/// Replaces numbers that are not finite by strings that begin with a mark, and returns the mark. Without such numbers
/// the text is returned unchanged.
fn mark_numbers(text: &str) -> (std::borrow::Cow<'_, str>, Option<String>) {
    const NAMES: [&str; 3] = ["-Infinity", "Infinity", "NaN"];
    if !text.contains("Infinity") && !text.contains("NaN") {
        return (text.into(), None);
    }
    let mut mark = "number ".to_owned();
    while text.contains(&mark) {
        mark.push('#');
    }
    let mut marked = String::with_capacity(text.len());
    let mut rest = text;
    // Alternates between the text outside of strings and the strings.
    while let Some(quote) = rest.find('"') {
        let (outside, string) = rest.split_at(quote);
        push_marked(&mut marked, outside, &NAMES, &mark);
        let mut end = string.len();
        let mut escaped = false;
        for (at, byte) in string.bytes().enumerate().skip(1) {
            if byte == b'"' && !escaped {
                end = at + 1;
                break;
            }
            escaped = byte == b'\\' && !escaped;
        }
        let (string, after) = string.split_at(end);
        marked.push_str(string);
        rest = after;
    }
    push_marked(&mut marked, rest, &NAMES, &mark);
    (marked.into(), Some(mark))
}

/// Appends text that contains no strings.
fn push_marked(marked: &mut String, mut rest: &str, names: &[&str], mark: &str) {
    while let Some(at) = rest.find(['N', 'I', '-']) {
        let (before, found) = rest.split_at(at);
        marked.push_str(before);
        let Some(name) = names.iter().find(|name| found.starts_with(**name)) else {
            let (first, after) = found.split_at(1);
            marked.push_str(first);
            rest = after;
            continue;
        };
        marked.push_str(&format!("\"{mark}{name}\""));
        rest = found.split_at(name.len()).1;
    }
    marked.push_str(rest);
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Str(value) => serializer.serialize_str(value),
            Self::List(items) | Self::Tuple(items) => serializer.collect_seq(items),
            Self::Dict(dict) => {
                let mut map = serializer.serialize_map(Some(dict.len()))?;
                for (key, value) in dict.iter() {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reading::default().deserialize(deserializer)
    }
}
