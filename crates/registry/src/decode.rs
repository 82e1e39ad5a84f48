//! Typed decoding: [`FromConfig`] for single values, [`Decoder`] for dicts.

use crate::error::nearest;
use crate::{Config, ConfigError, ConfigErrorKind, Dict, KeyPath};

/// A type that can be read from a config value and written as one.
pub trait FromConfig: Sized {
    /// A description of the accepted values, for messages: `an integer`.
    fn expected() -> String;

    /// Reads the value at `path`.
    ///
    /// # Errors
    /// Returns an error with the path if the value has the wrong type or is not allowed.
    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError>;

    /// The inverse of [`Self::from_config`]; documentation shows defaults in this form.
    fn to_config(&self) -> Config;
}

/// One argument of a registered type, for documentation, messages and checks.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// The meaning, with unit or range.
    pub doc: &'static str,
    /// A description of the accepted values.
    pub expected: fn() -> String,
    /// The default; `None` if the key is required.
    pub default: Option<fn() -> Config>,
}

/// The number of errors of one kind that are listed individually.
const MOST_LISTED: usize = 20;

/// The error that stands for those of `count` errors that are not listed.
fn more(path: &KeyPath, count: usize) -> Option<ConfigError> {
    if count <= MOST_LISTED {
        return None;
    }
    Some(ConfigError::new(path, ConfigErrorKind::More { count: count - MOST_LISTED }))
}

/// Reads the keys of a dict one by one and collects every error.
#[derive(Debug)]
pub struct Decoder<'a> {
    dict: &'a Dict,
    path: &'a KeyPath,
    defaults: Dict,
    errors: Vec<ConfigError>,
}

/// A value could not be read. [`Decoder::finish`] returns the reason.
#[derive(Debug, Clone, Copy)]
pub struct Reported;

impl<'a> Decoder<'a> {
    /// A decoder for the dict at `path`.
    #[must_use]
    pub fn new(dict: &'a Dict, path: &'a KeyPath) -> Self {
        Self { dict, path, defaults: Dict::new(), errors: Vec::new() }
    }

    /// Reads a required key.
    ///
    /// # Errors
    /// Returns an error if it is missing or cannot be read.
    pub fn required<T: FromConfig>(&mut self, key: &str) -> Result<T, Reported> {
        match self.dict.get(key) {
            Some(value) => self.read(key, value),
            None => {
                let kind = ConfigErrorKind::Missing { expected: T::expected() };
                self.errors.push(ConfigError::new(&self.path.key(key), kind));
                Err(Reported)
            }
        }
    }

    /// Reads a key that has a default.
    ///
    /// # Errors
    /// Returns an error if the value cannot be read: a bad value never becomes the default.
    pub fn optional<T: FromConfig>(&mut self, key: &str, default: impl FnOnce() -> T) -> Result<T, Reported> {
        match self.dict.get(key) {
            Some(value) => self.read(key, value),
            None => match self.defaults.remove(key) {
                Some(value) => self.read(key, &value),
                None => Ok(default()),
            },
        }
    }

    /// Overrides the default that a key will be read with.
    pub fn set_default(&mut self, key: &str, default: impl FnOnce() -> Config) {
        if !self.dict.contains_key(key) && !self.defaults.contains_key(key) {
            self.defaults.insert(key, default());
        }
    }

    /// Finishes decoding.
    ///
    /// # Errors
    /// Returns an error if a value could not be read or a key is not in `allowed`; it lists all of them.
    pub fn finish<'n>(mut self, allowed: impl Iterator<Item = &'n str> + Clone) -> Result<(), ConfigError> {
        let mut unknown = 0;
        for key in self.dict.keys() {
            if allowed.clone().any(|name| name == key) {
                continue;
            }
            unknown += 1;
            if unknown <= MOST_LISTED {
                let kind = ConfigErrorKind::UnknownKey {
                    nearest: nearest(key, allowed.clone()),
                    allowed: allowed.clone().map(str::to_owned).collect(),
                };
                self.errors.push(ConfigError::new(&self.path.key(key), kind));
            }
        }
        self.errors.extend(more(self.path, unknown));
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigError::many(self.path, self.errors)) }
    }

    fn read<T: FromConfig>(&mut self, key: &str, value: &Config) -> Result<T, Reported> {
        match T::from_config(value, &self.path.key(key)) {
            Ok(value) => Ok(value),
            Err(error) => {
                self.errors.push(error);
                Err(Reported)
            }
        }
    }
}

/// Unreachable: `finish` returns the recorded error first.
impl From<Reported> for ConfigError {
    fn from(_: Reported) -> Self {
        ConfigError::new(&KeyPath::root(), ConfigErrorKind::Many(Vec::new()))
    }
}

macro_rules! from_config {
    ($($type:ty, $expected:literal, $($pattern:pat => $value:expr),+;)*) => {
        $(impl FromConfig for $type {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
                match value {
                    $($pattern => Ok($value),)+
                    #[allow(unreachable_patterns)]
                    other => Err(ConfigError::wrong_type(path, $expected, other)),
                }
            }

            fn to_config(&self) -> Config {
                Config::from(self.clone())
            }
        })*
    };
}

from_config! {
    bool, "true or false", Config::Bool(value) => *value;
    i64, "an integer", Config::Int(value) => *value;
    String, "a string", Config::Str(value) => value.clone();
    Config, "any value", value => value.clone();
}

impl FromConfig for f64 {
    fn expected() -> String {
        "a number".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        let number = match value {
            Config::Float(value) => Some(*value),
            Config::Int(value) => Some(*value as f64),
            Config::Str(text) => exponential(text),
            _ => None,
        };
        number.ok_or_else(|| ConfigError::wrong_type(path, Self::expected(), value))
    }

    fn to_config(&self) -> Config {
        Config::from(*self)
    }
}

/// The number in a text such as `1e-5`. PyYAML takes it for a text, since it has no point; where a number is wanted, it is
/// meant as one.
fn exponential(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    if digits(whole) && digits(fraction) && digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)) {
        return text.parse().ok();
    }
    None
}

impl FromConfig for Dict {
    fn expected() -> String {
        "a dict".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Dict(dict) => Ok(dict.clone()),
            other => Err(ConfigError::not_a_dict(path, other)),
        }
    }

    fn to_config(&self) -> Config {
        Config::Dict(self.clone())
    }
}

impl<T: FromConfig> FromConfig for Option<T> {
    fn expected() -> String {
        format!("{} or null", T::expected())
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        if value.is_null() {
            return Ok(None);
        }
        match T::from_config(value, path) {
            Ok(value) => Ok(Some(value)),
            Err(mut error) => {
                if let ConfigErrorKind::WrongType { expected, .. } = &mut *error.kind
                    && error.path == *path
                {
                    expected.push_str(" or null");
                }
                Err(error)
            }
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Some(value) => value.to_config(),
            None => Config::Null,
        }
    }
}

impl<T: FromConfig> FromConfig for Vec<T> {
    fn expected() -> String {
        format!("a list, each item {}", T::expected())
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        let (Config::List(items) | Config::Tuple(items)) = value else {
            return Err(ConfigError::wrong_type(path, Self::expected(), value));
        };
        let mut read = Vec::with_capacity(items.len());
        let (mut errors, mut wrong) = (Vec::new(), 0);
        for (index, item) in items.iter().enumerate() {
            match T::from_config(item, &path.index(index)) {
                Ok(item) => read.push(item),
                Err(error) => {
                    wrong += 1;
                    if wrong <= MOST_LISTED {
                        errors.push(error);
                    }
                }
            }
        }
        errors.extend(more(path, wrong));
        if errors.is_empty() { Ok(read) } else { Err(ConfigError::many(path, errors)) }
    }

    fn to_config(&self) -> Config {
        Config::List(self.iter().map(FromConfig::to_config).collect())
    }
}
