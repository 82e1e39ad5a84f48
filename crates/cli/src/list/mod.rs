//! Lists of images, read line by line: a path, or a JSON object with `path` and perhaps `id`.

mod earlier;
mod error;
mod lines;
mod record;
mod stream;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

pub use earlier::Earlier;
pub use error::ListError;
pub use lines::MAX_LINE;
pub use record::{Record, RecordHead};
pub use stream::{Blocks, ListEnd, ListProgress};

use crate::output::display;

/// Where a list comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListSource {
    Stdin,
    File(PathBuf),
}

/// An entry of a list: a line that is not blank.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its index among the entries, from 0.
    pub index: u64,
    /// What the line names, or what is wrong with it.
    pub item: Result<Item, String>,
}

/// An image of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub path: PathBuf,
    /// What the list says to find the result by; it is copied to the record.
    pub id: Option<Value>,
}

/// A line of JSON. Other keys belong to whoever wrote the list.
#[derive(Deserialize)]
struct JsonItem {
    path: String,
    #[serde(default, deserialize_with = "record::some")]
    id: Option<Value>,
}

impl ListSource {
    /// `-` is stdin.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        if path.as_os_str() == "-" { Self::Stdin } else { Self::File(path.to_owned()) }
    }

    /// How errors name it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "the list on stdin".to_owned(),
            Self::File(path) => display(path),
        }
    }

    /// Reads the list to its end, and its entries not at all.
    pub fn end(&self) -> Result<ListEnd, ListError> {
        stream::read_to_end(self)
    }
}

impl Item {
    /// Reads a line, whose number in the list is `number`, from 1.
    fn parse(line: &[u8], number: u64) -> Result<Self, String> {
        if !line.trim_ascii_start().starts_with(b"{") {
            return match path(line) {
                Some(path) => Ok(Self { path, id: None }),
                None => Err(format!("line {number} of the list is not UTF-8")),
            };
        }
        match serde_json::from_slice::<JsonItem>(line) {
            Ok(JsonItem { path, .. }) if path.is_empty() => Err(format!("line {number} of the list has an empty path")),
            Ok(JsonItem { path, id }) => Ok(Self { path: path.into(), id }),
            Err(error) => Err(format!(
                "line {number} of the list is no JSON object with a path, such as {{\"path\": \"cat.jpg\"}}: {error}"
            )),
        }
    }
}

/// File names are bytes, of any encoding.
#[cfg(unix)]
fn path(line: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(Path::new(std::ffi::OsStr::from_bytes(line)).to_owned())
}

#[cfg(not(unix))]
fn path(line: &[u8]) -> Option<PathBuf> {
    Some(std::str::from_utf8(line).ok()?.into())
}
