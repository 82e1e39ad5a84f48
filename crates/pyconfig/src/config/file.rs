//! Reading files, within the limits.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::builtins::paths::normal_path;
use crate::error::{Fault, Result, Source};
use crate::limits;

/// Whether a path has the extension of a Python config.
pub(super) fn is_python(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".py")
}

/// The absolute path without `..`, as text.
pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    let text = path.to_string_lossy();
    if text.starts_with('/') {
        return Ok(PathBuf::from(normal_path(&text)));
    }
    match std::env::current_dir() {
        Ok(folder) => Ok(PathBuf::from(normal_path(&format!("{}/{text}", folder.display())))),
        Err(error) => Err(Fault::file(format!("the current folder is unknown: {error}"))),
    }
}

/// The text of a regular file of moderate size, with line ends as Python reads them.
pub(super) fn read(path: &Path) -> Result<Rc<Source>> {
    let failed = |reason: String| Fault::file(format!("{}: {reason}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Err(failed("is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    file.take(limits::FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > limits::FILE_BYTES {
        return Err(Fault::limit(format!("{}: a config may have {} KiB", path.display(), limits::FILE_BYTES >> 10)));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(failed(format!("is not UTF-8 text: {}", error.utf8_error()))),
    };
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    let source = Rc::new(Source { file: path.to_owned(), text });
    if is_python(path) && source.text.starts_with('\u{feff}') {
        let message = "invalid non-printable character U+FEFF: save the file without a byte order mark";
        return Err(Fault::new(crate::error::ErrorKind::Python("SyntaxError"), message).at(&source, 0));
    }
    Ok(source)
}

/// Python takes the last of equal keys without a word.
pub(super) fn warn_of_repeated_key(source: &Source, offset: u32) {
    let position = source.position(offset);
    log::warn!("{}:{}: a key stands twice in one dict; the last one counts", source.file.display(), position.line);
}
