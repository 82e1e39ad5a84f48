//! Configs from and to YAML and JSON; the only module that knows `serde_yaml` and `serde_json`.

use std::fmt;
use std::path::Path;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{Config, ConfigError, ConfigErrorKind, Dict, KeyPath};

impl Config {
    /// Reads YAML. Anchors, aliases and merge keys (`<<`) are resolved; `!!python/tuple` is read as a list,
    /// since tags of the form `!!name` are not looked at.
    ///
    /// # Errors
    /// Where the text is not YAML (with line and column), has a key twice, a key that is no string, number or bool,
    /// a tag of the form `!name`, or an integer that does not fit 64 bits.
    pub fn from_yaml(text: &str) -> Result<Self, ConfigError> {
        let refuse = |error: &dyn fmt::Display| parse_error("YAML", error.to_string());
        let mut value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|error| refuse(&error))?;
        value.apply_merge().map_err(|error| refuse(&error))?;
        from_yaml_value(value, &KeyPath::root())
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// Where the text is not JSON (with line and column), has a key twice, or an integer that does not fit 64 bits.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        serde_json::from_str(text).map_err(|error| parse_error("JSON", error.to_string()))
    }

    /// Reads a file: JSON where its name ends in `.json`, else YAML.
    ///
    /// # Errors
    /// Where the file cannot be read, and as [`Self::from_yaml`] and [`Self::from_json`]; the message names the file.
    pub fn from_file(file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let file = file.as_ref();
        let name = file.display().to_string();
        let refuse =
            |reason: String| ConfigError::new(&KeyPath::root(), ConfigErrorKind::File { file: name.clone(), reason });
        let text = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
        let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let config = if is_json { Self::from_json(&text) } else { Self::from_yaml(&text) };
        config.map_err(|error| refuse(error.to_string()))
    }

    /// Writes JSON on one line. Infinite numbers and NaN, which JSON lacks, become `null`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Writes YAML in block style.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(self).unwrap_or_default()
    }
}

fn parse_error(format: &'static str, reason: String) -> ConfigError {
    ConfigError::new(&KeyPath::root(), ConfigErrorKind::Parse { format, reason })
}

fn from_yaml_value(value: serde_yaml::Value, path: &KeyPath) -> Result<Config, ConfigError> {
    use serde_yaml::Value;
    let refuse = |reason: String| ConfigError::new(path, ConfigErrorKind::Parse { format: "YAML", reason });
    match value {
        Value::Null => Ok(Config::Null),
        Value::Bool(value) => Ok(Config::Bool(value)),
        Value::Number(number) if number.is_f64() => Ok(Config::Float(number.as_f64().unwrap_or(f64::NAN))),
        Value::Number(number) => {
            let read = number.as_i64().map(Config::Int);
            read.ok_or_else(|| refuse(format!("{number} does not fit a 64-bit signed integer")))
        }
        Value::String(text) => Ok(Config::Str(text)),
        Value::Sequence(items) => {
            let items = items.into_iter().enumerate();
            items
                .map(|(index, item)| from_yaml_value(item, &path.index(index)))
                .collect::<Result<_, _>>()
                .map(Config::List)
        }
        Value::Mapping(entries) => {
            let mut dict = Dict::new();
            for (key, value) in entries {
                let key = match key {
                    Value::String(key) => key,
                    Value::Number(key) => key.to_string(),
                    Value::Bool(key) => key.to_string(),
                    other => {
                        return Err(refuse(format!("a key has to be a string, a number or a bool, got {other:?}")));
                    }
                };
                let value = from_yaml_value(value, &path.key(&key))?;
                if dict.contains_key(&key) {
                    return Err(refuse(format!("the key {key:?} stands twice in one dict")));
                }
                dict.insert(key, value);
            }
            Ok(Config::Dict(dict))
        }
        Value::Tagged(tagged) => Err(refuse(format!("the tag {} is not allowed; remove it", tagged.tag))),
    }
}

impl Serialize for Config {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Str(value) => serializer.serialize_str(value),
            Self::List(items) => serializer.collect_seq(items),
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
        deserializer.deserialize_any(ConfigVisitor)
    }
}

struct ConfigVisitor;

impl<'de> Visitor<'de> for ConfigVisitor {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a config value")
    }

    fn visit_unit<E>(self) -> Result<Config, E> {
        Ok(Config::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Config, E> {
        Ok(Config::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Config, E> {
        Ok(Config::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Config, E> {
        let too_large = |_| E::custom(format!("{value} does not fit a 64-bit signed integer"));
        i64::try_from(value).map(Config::Int).map_err(too_large)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Config, E> {
        Ok(Config::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Config, E> {
        Ok(Config::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Config, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Config::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Config, A::Error> {
        let mut dict = Dict::new();
        while let Some((key, value)) = entries.next_entry::<String, Config>()? {
            if dict.contains_key(&key) {
                return Err(de::Error::custom(format!("the key {key:?} stands twice in one dict")));
            }
            dict.insert(key, value);
        }
        Ok(Config::Dict(dict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_gives_ordered_values_of_the_right_type() {
        let text =
            "b: 1\na: [1.5, 1e-3, yes, 'x', ~]\nc: &base {type: BN, eps: 1.0e-5}\nd: {<<: *base, eps: 2}\n0: z\n";
        let config = Config::from_yaml(text).unwrap();
        assert_eq!(
            config.to_string(),
            r#"{b: 1, a: [1.5, 0.001, "yes", "x", null], c: {type: "BN", eps: 1e-5}, d: {eps: 2, type: "BN"}, 0: "z"}"#
        );
    }

    #[test]
    fn python_tuples_are_lists_and_other_tags_are_refused() {
        assert_eq!(Config::from_yaml("a: !!python/tuple [1, 2]").unwrap().to_string(), "{a: [1, 2]}");
        let error = Config::from_yaml("a: {b: !path [1]}").unwrap_err().to_string();
        assert!(error.starts_with("a.b: ") && error.contains("!path"), "{error}");
    }

    #[test]
    fn mistakes_have_line_and_column() {
        let error = Config::from_yaml("a: [1, 2\nb: 3").unwrap_err().to_string();
        assert!(error.contains("YAML") && error.contains("line 2"), "{error}");
        let error = Config::from_yaml("a: 1\na: 2").unwrap_err().to_string();
        assert!(error.contains("duplicate entry with key \"a\""), "{error}");
        for text in ["{\"a\": 1,}", "{\"a\": 1, \"a\": 2}", "{\"a\": 18446744073709551615}"] {
            let error = Config::from_json(text).unwrap_err().to_string();
            assert!(error.contains("JSON") && error.contains("line 1 column"), "{error}");
        }
    }

    #[test]
    fn json_and_yaml_come_back() {
        let config = crate::config! { type: "BN", eps: 1e-5, sizes: [1, 2], act_cfg: null, inner: { flag: true } };
        assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
        assert_eq!(Config::from_yaml(&config.to_yaml()).unwrap(), config);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::from_file("/nonexistent/x.yaml").unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x.yaml"), "{error}");
    }
}
