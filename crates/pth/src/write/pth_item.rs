//! [`PthItem`]: a tree to be written as a `.pth` file.

use serde_json::Value as JsonValue;

use crate::write::TensorData;

/// A tree to be written as a `.pth` file.
#[derive(Debug, Clone)]
pub enum PthItem<'a> {
    /// A tensor.
    Tensor(TensorData<'a>),
    /// An `OrderedDict` in this order.
    Mapping {
        /// Keys and values. No key may occur twice.
        entries: Vec<(String, PthItem<'a>)>,
        /// The Python attribute `_metadata`, as in the state dict of a module.
        metadata: Option<JsonValue>,
    },
    /// A list.
    List(Vec<PthItem<'a>>),
    /// Anything without tensors: `None`, bools, numbers, strings, lists and dicts.
    Json(JsonValue),
}

impl<'a> PthItem<'a> {
    /// A mapping without `_metadata`.
    pub fn mapping<K: Into<String>>(entries: impl IntoIterator<Item = (K, PthItem<'a>)>) -> Self {
        let entries = entries.into_iter().map(|(key, item)| (key.into(), item)).collect();
        Self::Mapping { entries, metadata: None }
    }
}

impl<'a> From<TensorData<'a>> for PthItem<'a> {
    fn from(tensor: TensorData<'a>) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<JsonValue> for PthItem<'_> {
    fn from(value: JsonValue) -> Self {
        Self::Json(value)
    }
}
