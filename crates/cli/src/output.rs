//! Writing to stdout and to files, and paths as text.

use std::io::{BufWriter, ErrorKind, StdoutLock, Write};
use std::path::Path;

use anyhow::Context;
use serde::{Serialize, Serializer};

use crate::Failure;
use crate::format::lines;

/// A path as text for JSON: bytes that are not UTF-8 are replaced.
pub fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path as text for people: control characters are escaped.
pub fn display(path: &Path) -> String {
    mmcv_zoo::escape(&path.to_string_lossy())
}

/// Escapes control characters in each line of a text.
pub fn escape_lines(text: &str) -> String {
    text.split('\n').map(mmcv_zoo::escape).collect::<Vec<_>>().join("\n")
}

/// Prints a text; control characters, such as those in class names, are escaped.
pub fn print(text: &str) -> Result<(), Failure> {
    print_bytes(escape_lines(text).as_bytes())
}

/// Prints bytes unchanged.
pub fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = Stdout::lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(stdout_failure)
}

/// Prints a value as indented JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    print(&format!("{text}\n"))
}

/// Prints a report as JSON, or as lines of names and values.
pub fn print_report(report: &impl Serialize, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(report);
    }
    print(&lines(report).map_err(anyhow::Error::from)?)
}

/// Prints a value as one line of JSON, without holding the line in memory.
pub fn stream_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut stdout = BufWriter::with_capacity(1 << 16, Stdout::lock());
    serde_json::to_writer(&mut stdout, value).map_err(|error| stdout_failure(error.into()))?;
    stdout.write_all(b"\n").and_then(|()| stdout.flush()).map_err(stdout_failure)
}

pub fn stdout_failure(error: std::io::Error) -> Failure {
    Failure::Text(format!("stdout: {error}"))
}

/// Serializes a list of pairs as a map.
pub fn as_map<K: Serialize, V: Serialize, S: Serializer>(pairs: &[(K, V)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

/// Stdout. Once its reader has gone away, as with `| head`, everything written to it is discarded without an error.
pub struct Stdout(StdoutLock<'static>);

impl Stdout {
    pub fn lock() -> Self {
        Self(std::io::stdout().lock())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

/// Creates the folder that a file lies in.
pub fn create_parent(file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent()
        && !folder.as_os_str().is_empty()
    {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", display(folder)))?;
    }
    Ok(())
}

/// Writes a text to a file, replacing it as a whole.
pub fn write_text(file: &Path, text: &str) -> anyhow::Result<()> {
    mmcv_pth::replace_file(file, |temporary| {
        std::fs::write(temporary, text).with_context(|| format!("cannot write {}", display(file)))
    })
}
