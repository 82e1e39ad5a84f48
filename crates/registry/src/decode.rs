//! Typed decoding: [`FromConfig`] for single values, [`Decoder`] for dicts.

use crate::error::nearest;
use crate::{Config, ConfigError, ConfigErrorKind, Dict, KeyPath};

/// A type that can be read from a config value, and written as one.
pub trait FromConfig: Sized {
    /// What the value has to be, for messages: `an integer`.
    fn expected() -> String;

    /// Reads the value that stands at `path`.
    ///
    /// # Errors
    /// Where the value is of another type, or not allowed; the error has the path.
    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError>;

    /// The value as a config, which [`Self::from_config`] reads again; documentation shows defaults in this form.
    fn to_config(&self) -> Config;
}

/// One argument of a registered type: what documentation, messages and checks know about it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it means, with unit or range.
    pub doc: &'static str,
    /// What the value has to be.
    pub expected: fn() -> String,
    /// The default; `None` where the key is required.
    pub default: Option<fn() -> Config>,
}

/// How many mistakes of a kind are told one by one.
const MOST_TOLD: usize = 20;

/// What is said of those mistakes of `count` that are not told.
fn more(path: &KeyPath, count: usize) -> Option<ConfigError> {
    let count = count.checked_sub(MOST_TOLD).filter(|count| *count > 0)?;
    Some(ConfigError::new(path, ConfigErrorKind::More { count }))
}

/// Reads the keys of a dict one by one, and collects every mistake in it.
#[derive(Debug)]
pub struct Decoder<'a> {
    dict: &'a Dict,
    path: &'a KeyPath,
    defaults: Dict,
    errors: Vec<ConfigError>,
}

/// A value could not be read; the reason is in the [`Decoder`], whose `finish` returns it.
#[derive(Debug, Clone, Copy)]
pub struct Reported;

impl<'a> Decoder<'a> {
    /// A decoder of the dict that stands at `path`.
    #[must_use]
    pub fn new(dict: &'a Dict, path: &'a KeyPath) -> Self {
        Self { dict, path, defaults: Dict::new(), errors: Vec::new() }
    }

    /// Reads a key that has to be there.
    ///
    /// # Errors
    /// [`Reported`] where it is missing or cannot be read.
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
    /// [`Reported`] where it is there and cannot be read; a bad value never becomes the default.
    pub fn optional<T: FromConfig>(&mut self, key: &str, default: impl FnOnce() -> T) -> Result<T, Reported> {
        match self.dict.get(key) {
            Some(value) => self.read(key, value),
            None => match self.defaults.remove(key) {
                Some(value) => self.read(key, &value),
                None => Ok(default()),
            },
        }
    }

    /// Gives a key another default than the one with which it will be read.
    pub fn set_default(&mut self, key: &str, default: impl FnOnce() -> Config) {
        if !self.dict.contains_key(key) && !self.defaults.contains_key(key) {
            self.defaults.insert(key, default());
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All mistakes that were found, and all keys of the dict that are not among `allowed`.
    pub fn finish<'n>(mut self, allowed: impl Iterator<Item = &'n str> + Clone) -> Result<(), ConfigError> {
        let mut unknown = 0;
        for key in self.dict.keys() {
            if allowed.clone().any(|name| name == key) {
                continue;
            }
            unknown += 1;
            if unknown <= MOST_TOLD {
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
        T::from_config(value, &self.path.key(key)).map_err(|error| {
            self.errors.push(error);
            Reported
        })
    }
}

/// Only reached where a decoder that recorded an error did not return it, which `finish` rules out.
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
    f64, "a number", Config::Float(value) => *value, Config::Int(value) => *value as f64;
    String, "a string", Config::Str(value) => value.clone();
    Config, "any value", value => value.clone();
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
        match value {
            Config::Null => Ok(None),
            value => T::from_config(value, path).map(Some).map_err(|mut error| {
                if let (ConfigErrorKind::WrongType { expected, .. }, true) = (&mut *error.kind, error.path == *path) {
                    expected.push_str(" or null");
                }
                error
            }),
        }
    }

    fn to_config(&self) -> Config {
        self.as_ref().map_or(Config::Null, FromConfig::to_config)
    }
}

impl<T: FromConfig> FromConfig for Vec<T> {
    fn expected() -> String {
        format!("a list, each item {}", T::expected())
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        let Config::List(items) = value else { return Err(ConfigError::wrong_type(path, Self::expected(), value)) };
        let mut read = Vec::with_capacity(items.len());
        let (mut errors, mut wrong) = (Vec::new(), 0);
        for (index, item) in items.iter().enumerate() {
            match T::from_config(item, &path.index(index)) {
                Ok(item) => read.push(item),
                Err(error) => {
                    wrong += 1;
                    errors.extend((wrong <= MOST_TOLD).then_some(error));
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
