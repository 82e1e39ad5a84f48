//! The values of a config as text.

pub(crate) mod json;
mod python;
mod yaml;

use crate::config::Config;
use crate::error::{Error, Fault, Result};

impl Config {
    /// JSON, as Python's `json.dumps(cfg.to_dict())` writes it: tuples are lists, keys are texts.
    ///
    /// # Errors
    /// Returns an error if a value cannot be JSON: a set, or a tuple as a key.
    pub fn to_json(&self) -> std::result::Result<String, Error> {
        json::plain(&self.data).map_err(Fault::into_error)
    }

    /// JSON that keeps Python's types: `{"__tuple__": [...]}`, `{"__set__": [...]}`, `{"__dict__": [[key, value], ...]}` for a
    /// dict with a key that is no text, `{"__float__": "nan"}`.
    ///
    /// # Errors
    /// Returns an error if a whole number has more digits than Python prints.
    pub fn to_typed_json(&self) -> std::result::Result<String, Error> {
        json::typed(&self.data).map_err(Fault::into_error)
    }

    /// Python, in the style of mmengine's `pretty_text`: one assignment for each key, in the order of the config.
    ///
    /// # Errors
    /// As [`Self::to_typed_json`].
    pub fn to_python(&self) -> std::result::Result<String, Error> {
        python::file(&self.data).map_err(Fault::into_error)
    }

    /// YAML. Tuples are lists.
    ///
    /// # Errors
    /// Returns an error if a key is a tuple.
    pub fn to_yaml(&self) -> std::result::Result<String, Error> {
        yaml::document(&self.data).map_err(Fault::into_error)
    }
}

/// The digits of a large whole number.
fn digits(value: &num_bigint::BigInt) -> Result<String> {
    crate::value::repr::integer_text(&mut crate::budget::Budget::default(), value)
}
