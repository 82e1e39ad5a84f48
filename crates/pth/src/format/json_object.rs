//! JSON objects, read more strictly than serde's derived code does.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::limits::{MAX_TEXT_BYTES, MAX_VALUES};

/// A struct read from a JSON object. Unlike serde's derived code, it rejects an array of the struct's fields.
#[derive(Debug)]
pub(crate) struct JsonObject<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = JsonObject<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<JsonObject<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(JsonObject)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// The entries of a JSON object of strings, in order. Duplicate keys are rejected.
#[derive(Debug)]
pub(crate) struct StringEntries(pub(crate) Vec<(String, String)>);

impl<'de> Deserialize<'de> for StringEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = StringEntries;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StringEntries, A::Error> {
                let mut entries = Vec::new();
                let mut keys = UniqueKeys::default();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    keys.add::<A::Error>(&key, 1)?;
                    entries.push((key, text));
                }
                Ok(StringEntries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// Checks the keys of an object while it is read, before memory is allocated for all of it.
#[derive(Debug, Default)]
pub(super) struct UniqueKeys {
    keys: HashSet<String>,
    values: u64,
    text: u64,
}

impl UniqueKeys {
    /// Returns an error if the key was added before, or the object exceeds the limits on values and text.
    pub(super) fn add<E: Error>(&mut self, key: &str, values: usize) -> Result<(), E> {
        self.values += values as u64;
        self.text += key.len() as u64;
        if self.values > MAX_VALUES || self.text > MAX_TEXT_BYTES {
            return Err(E::custom(format!("over {MAX_VALUES} values or {MAX_TEXT_BYTES} bytes of text")));
        }
        if !self.keys.insert(key.to_owned()) {
            return Err(E::custom(format!("the key {key:?} is there twice")));
        }
        Ok(())
    }
}
