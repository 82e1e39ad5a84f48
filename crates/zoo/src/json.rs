//! JSON files of the cache folder: read whole, with errors that say where.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use crate::cache::is_absent;
use crate::error::{Error, ErrorKind};

/// A JSON object, key to value.
pub(crate) type Object = Map<String, Value>;

/// Bytes of the largest file that is read.
const LARGEST: u64 = 16 << 20;

/// The object in a file; `None` where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Object>, Error> {
    let refuse = |reason| Err(Error::io("read", path, io::Error::other(reason)));
    match fs::metadata(path) {
        // Reading a pipe or a device might never end.
        Ok(metadata) if !metadata.is_file() => return refuse("it is no regular file"),
        Ok(metadata) if metadata.len() > LARGEST => return refuse("it has over 16 MiB, too many for a table"),
        _ => {}
    }
    match fs::read(path) {
        Ok(bytes) => parse(&path.display().to_string(), &bytes).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// The object in the text of `file`.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Object, Error> {
    // Where an editor has put a mark at the beginning, nobody sees what is wrong.
    if let [0xef, 0xbb, 0xbf, ..] | [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes {
        let reason = "a byte order mark: save the file as UTF-8 without one".to_owned();
        return Err(Error::new(file, ErrorKind::MalformedTable { line: 1, column: 1, reason }));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason).to_owned();
        Error::new(file, ErrorKind::MalformedTable { line: error.line(), column: error.column(), reason })
    })
}

/// An entry of `file` that is not as it has to be.
pub(crate) fn invalid(file: &Path, key: &str, reason: impl Into<String>) -> Error {
    let kind = ErrorKind::InvalidEntry { key: key.to_owned(), reason: reason.into() };
    Error::new(file.display().to_string(), kind)
}
