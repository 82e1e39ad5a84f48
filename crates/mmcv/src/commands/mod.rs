//! The sub-commands, one file each.

mod bench;
mod build;
mod ckpt;
mod config_text;
mod doctor;
mod features;
mod layers;
mod network;
mod pictures;
mod predict;
mod summary;
mod table;
mod weights;
mod zoo;

use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::Path;

use clap::Subcommand;
use serde_json::Value;

pub(crate) use features::Stage;
pub(crate) use pictures::make_folder_of;
pub(crate) use predict::Prediction;
pub(crate) use summary::{COLUMNS, Line};

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Doctor(doctor::Doctor),
    Build(build::Build),
    Summary(summary::Summary),
    Layers(layers::Layers),
    #[command(subcommand)]
    Zoo(zoo::Zoo),
    #[command(subcommand)]
    Ckpt(ckpt::Ckpt),
    Predict(predict::Predict),
    Features(features::Features),
    Bench(bench::Bench),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Doctor(command) => command.run(),
            Self::Build(command) => command.run(),
            Self::Summary(command) => command.run(),
            Self::Layers(command) => command.run(),
            Self::Zoo(command) => command.run(),
            Self::Ckpt(command) => command.run(),
            Self::Predict(command) => command.run(),
            Self::Features(command) => command.run(),
            Self::Bench(command) => command.run(),
        }
    }
}

/// Why a command failed, as it is printed after `error: `: a line, and a line for each cause.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_lines(&self.0))
    }
}

/// The arguments that help after an error of the file reader.
pub(crate) fn reading_hint(kind: &mmcv_pth::ErrorKind) -> &'static str {
    use mmcv_pth::{ErrorKind, FileSignature};
    match kind {
        ErrorKind::ForbiddenGlobal { .. } => {
            "; `--unknown-classes opaque` keeps the names of unknown classes and reads the tensors"
        }
        ErrorKind::Unwritable(_) => "; `--entry ENTRY` converts a part of the file, `--lossy` leaves these values out",
        ErrorKind::UnknownFormat { found: FileSignature::Pickle } => {
            "; `mmcv ckpt convert FILE NEW.pth` converts a pickle of NumPy arrays"
        }
        _ => "",
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let mut text = String::new();
        let mut last = String::new();
        for (depth, cause) in error.chain().enumerate() {
            let line = match cause.downcast_ref() {
                Some(error) => mmcv_layers::first_line(error),
                None => cause.to_string(),
            };
            // A cause that says the same as what it caused is no news.
            if depth > 0 && last.contains(&line) {
                continue;
            }
            let hint = match cause.downcast_ref::<mmcv_checkpoint::Error>().map(|error| &*error.kind) {
                Some(mmcv_checkpoint::ErrorKind::File(error)) => reading_hint(&error.kind),
                _ => "",
            };
            let lead = if depth == 0 { "" } else { "\n  caused by: " };
            text.push_str(&format!("{lead}{line}{hint}"));
            last = line;
        }
        Self(text)
    }
}

impl From<mmcv_zoo::Error> for Failure {
    fn from(error: mmcv_zoo::Error) -> Self {
        Self(error.report())
    }
}

/// A path as JSON can hold it: bytes that are no UTF-8 are replaced.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path for a line of text: what would break the line or steer the terminal is escaped.
fn name(path: &Path) -> String {
    mmcv_zoo::escape(&path.to_string_lossy())
}

/// Prints text to stdout; what steers the terminal is escaped, such as in names of classes.
fn print(text: &str) -> Result<(), Failure> {
    print_bytes(escape_lines(text).as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = Stdout::lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure(format!("stdout: {error}")))
}

/// Stdout; where its reader has gone away, such as `head`, nothing more is wanted, which is no failure.
struct Stdout(std::io::StdoutLock<'static>);

impl Stdout {
    fn lock() -> Self {
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

/// Lines of text as a terminal may have them.
pub(crate) fn escape_lines(text: &str) -> String {
    text.split('\n').map(mmcv_zoo::escape).collect::<Vec<_>>().join("\n")
}

/// Prints a JSON value over several lines.
fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

/// A number of things: `1 file`, `2 files`.
fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (102_540_417, "102.5 MB")] {
            assert_eq!(size(bytes), text);
        }
    }
}
