//! [`Data`]: the values of a config that has been read.

use std::path::PathBuf;
use std::sync::Arc;

use num_bigint::BigInt;

/// A value of a config.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number that fits 64 bits.
    Int(i64),
    /// A larger whole number.
    Big(BigInt),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Str(String),
    /// A list.
    List(Vec<Data>),
    /// A tuple.
    Tuple(Vec<Data>),
    /// A set, in the order in which its items were added.
    Set(Vec<Data>),
    /// A dict, in order.
    Dict(Vec<Entry>),
}

/// An entry of a dict.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key: a text, almost always.
    pub key: Data,
    /// The value.
    pub value: Data,
    /// Where the value was written; `None` if it is from a YAML or JSON file, or was computed.
    pub place: Option<Arc<Place>>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

/// A place in a config file.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<PathBuf>,
    /// The line, from 1.
    pub line: usize,
    /// The place of the value of a base that this one replaced.
    pub replaced: Option<Arc<Place>>,
}

impl Data {
    /// The value of a key, if this is a dict that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key, if this is a dict that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        let Self::Dict(entries) = self else { return None };
        entries.iter().find(|entry| matches!(&entry.key, Self::Str(name) if name == key))
    }
}
