//! [`Record`]: the line of JSON that an entry of a list becomes.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Entry;
use crate::output::lossy;

/// The result for an entry: one line of JSON.
#[derive(Debug, Serialize)]
pub struct Record<'a, T> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    /// Missing if the line of the list names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(flatten)]
    result: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// What all records have.
#[derive(Debug, Deserialize)]
pub struct RecordHead {
    pub index: u64,
    #[serde(default, deserialize_with = "some")]
    pub id: Option<Value>,
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub error: Option<String>,
}

impl<'a, T: Serialize> Record<'a, T> {
    /// The record of a result, or of what went wrong.
    #[must_use]
    pub fn new(entry: &'a Entry, result: Result<T, &'a str>) -> Self {
        let (result, error) = match result {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        let item = entry.item.as_ref().ok();
        Self {
            index: entry.index,
            id: item.and_then(|item| item.id.as_ref()),
            path: item.map(|item| lossy(&item.path)),
            result,
            error,
        }
    }

    /// Whether it has an error in place of a result.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.error.is_some()
    }

    /// The record as a line, with its end. Control characters are escaped, as in all output of the command.
    pub fn line(&self) -> serde_json::Result<String> {
        let mut line = mmcv_zoo::escape(&serde_json::to_string(self)?);
        line.push('\n');
        Ok(line)
    }
}

impl RecordHead {
    /// Whether the record is that of an entry.
    #[must_use]
    pub fn is_of(&self, entry: &Entry) -> bool {
        match &entry.item {
            Ok(item) => self.path.as_deref() == Some(&lossy(&item.path)) && self.id == item.id,
            Err(_) => self.path.is_none() && self.id.is_none(),
        }
    }
}

/// A value that may be null, for a key that may be missing.
pub(super) fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
