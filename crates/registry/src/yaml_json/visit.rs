//! [`Reading`]: deserializes a [`Config`](enum@Config) value by value, within limits.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

use super::limits::{MOST_DEPTH, MOST_STRINGS, MOST_VALUES};
use crate::error::cut;
use crate::{Config, Dict, KeyPath};

/// The key whose dicts are merged into the one that contains it.
const MERGE: &str = "<<";

/// A text that is being read: the current path, and the use of the limits.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Whether `<<` merges.
    merges: bool,
    /// The prefix of numbers that are not finite, in JSON.
    number_mark: Option<String>,
    path: RefCell<KeyPath>,
    values: Cell<usize>,
    strings: Cell<usize>,
}

impl Reading {
    /// `merges` tells whether `<<` merges; `number_mark` is the prefix of numbers that are not finite.
    pub(super) fn new(merges: bool, number_mark: Option<String>) -> Self {
        Self { merges, number_mark, ..Self::default() }
    }

    /// The path of the value that was read last; after an error, that of the wrong value.
    pub(super) fn path(&self) -> KeyPath {
        self.path.borrow().clone()
    }

    fn count<E: de::Error>(&self, string: usize) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        self.strings.set(self.strings.get().saturating_add(string));
        if self.values.get() > MOST_VALUES {
            return Err(E::custom(format!("it has more than {MOST_VALUES} values, counting what aliases repeat")));
        }
        if self.strings.get() > MOST_STRINGS {
            return Err(E::custom(format!(
                "its strings have more than {MOST_STRINGS} bytes, counting what aliases repeat"
            )));
        }
        Ok(())
    }

    fn enter<E: de::Error>(&self) -> Result<(), E> {
        if self.path.borrow().depth() >= MOST_DEPTH {
            return Err(E::custom(format!("it is nested more than {MOST_DEPTH} levels deep")));
        }
        self.count(0)
    }

    fn string<E: de::Error>(&self, text: &str) -> Result<Config, E> {
        self.count(text.len())?;
        let number = match &self.number_mark {
            Some(mark) => text.strip_prefix(mark.as_str()),
            None => None,
        };
        Ok(match number {
            Some("NaN") => Config::Float(f64::NAN),
            Some("Infinity") => Config::Float(f64::INFINITY),
            Some("-Infinity") => Config::Float(f64::NEG_INFINITY),
            _ => Config::from(text),
        })
    }

    /// The dicts under `<<`, in the order in which they override one another.
    fn merged<E: de::Error>(value: Config) -> Result<Vec<Dict>, E> {
        let items = match value {
            Config::List(items) => items,
            other => vec![other],
        };
        let mut dicts = Vec::with_capacity(items.len());
        for item in items.into_iter().rev() {
            match item {
                Config::Dict(dict) => dicts.push(dict),
                other => {
                    let found = other.quoted();
                    return Err(E::custom(format!("{MERGE} takes a dict or a list of dicts, got {found}")));
                }
            }
        }
        Ok(dicts)
    }
}

impl<'de> DeserializeSeed<'de> for &Reading {
    type Value = Config;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Config, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Reading {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a config value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Config, E> {
        self.count(0).map(|()| Config::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Config, E> {
        self.count(0).map(|()| Config::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Config, E> {
        self.count(0).map(|()| Config::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Config, E> {
        self.count(0)?;
        i64::try_from(value).map(Config::Int).map_err(|_| too_large(value))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Config, E> {
        Err(too_large(value))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Config, E> {
        Err(too_large(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Config, E> {
        self.count(0).map(|()| Config::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Config, E> {
        self.string(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Config, A::Error> {
        self.enter()?;
        let mut list = Vec::new();
        self.path.borrow_mut().push_index(0);
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
            self.path.borrow_mut().pop();
            self.path.borrow_mut().push_index(list.len());
        }
        self.path.borrow_mut().pop();
        Ok(Config::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Config, A::Error> {
        self.enter()?;
        let (mut dict, mut merged) = (Dict::new(), Dict::new());
        while let Some(key) = entries.next_key_seed(Key)? {
            self.count(key.len())?;
            self.path.borrow_mut().push_key(key.clone());
            let value = entries.next_value_seed(self)?;
            if self.merges && key == MERGE {
                for (key, value) in Reading::merged::<A::Error>(value)?.into_iter().flatten() {
                    merged.insert(key, value);
                }
            } else if dict.insert(key.as_str(), value).is_some() {
                self.path.borrow_mut().pop();
                return Err(de::Error::custom(format!("the key {:?} appears twice in one dict", cut(&key))));
            }
            self.path.borrow_mut().pop();
        }
        if merged.is_empty() {
            return Ok(Config::Dict(dict));
        }
        for (key, value) in dict {
            merged.insert(key, value);
        }
        Ok(Config::Dict(merged))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Config, A::Error> {
        let (tag, _) = data.variant::<String>()?;
        let tag = tag.trim_start_matches('!');
        Err(de::Error::custom(format!("the tag !{} is not allowed; remove it", cut(tag))))
    }
}

fn too_large<E: de::Error>(value: impl fmt::Display) -> E {
    E::custom(format!("{value} does not fit a 64-bit signed integer"))
}

/// A key of a dict: a string, or a value that becomes one.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key that is a string, a number or a bool")
    }

    fn visit_bool<E>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E>(self, value: u64) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<String, E> {
        Ok(Config::Float(value).to_string())
    }

    fn visit_str<E>(self, value: &str) -> Result<String, E> {
        Ok(value.to_owned())
    }
}
