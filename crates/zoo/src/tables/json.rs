//! JSON files: read whole, with errors that name file, line and column.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::fs_util::is_absent;

/// Larger files are not read.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a file; `None` if it does not exist.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    // Reading a pipe or a device might never end.
    if let Ok(metadata) = fs::metadata(path) {
        if !metadata.is_file() {
            return Err(unreadable(path, "it is no regular file"));
        }
        if metadata.len() > MAX_BYTES {
            return Err(unreadable(path, "it is larger than 16 MiB"));
        }
    }
    match fs::read(path) {
        Ok(bytes) => parse(&path.display().to_string(), &bytes).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// Parses the content of `file`.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, Error> {
    // The mark is invisible in editors, so the parser's own message would not help.
    if let [0xef, 0xbb, 0xbf, ..] | [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes {
        let reason = "a byte order mark: save the file as UTF-8 without one".to_owned();
        return Err(Error::new(file, ErrorKind::MalformedTable { line: 1, column: 1, reason }));
    }
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) => {
            let text = error.to_string();
            let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason).to_owned();
            let (line, column) = (error.line(), error.column());
            Err(Error::new(file, ErrorKind::MalformedTable { line, column, reason }))
        }
    }
}

/// The value of `cell`, which `read` provides the first time. Errors are not kept.
pub(crate) fn read_once<T>(cell: &OnceLock<T>, read: impl FnOnce() -> Result<T, Error>) -> Result<&T, Error> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = read()?;
    Ok(cell.get_or_init(|| value))
}

/// An error about an entry of `file`.
pub(crate) fn invalid(file: &Path, key: &str, reason: impl Into<String>) -> Error {
    let kind = ErrorKind::InvalidEntry { key: key.to_owned(), reason: reason.into() };
    Error::new(file.display().to_string(), kind)
}

fn unreadable(path: &Path, reason: &'static str) -> Error {
    Error::io("read", path, io::Error::other(reason))
}
