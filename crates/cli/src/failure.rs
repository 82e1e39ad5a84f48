//! Why a command failed.

use std::error::Error;
use std::io;

use crate::output::escape_lines;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// One line, and one more for each cause.
    Text(String),
    /// An error with its causes.
    Error(anyhow::Error),
    /// One line, and the exit status, which is 1 for the others.
    Status(String, u8),
    /// An error, and lines that say where its values were written.
    WithPlaces(anyhow::Error, Vec<String>),
}

/// What a program knows about the errors of its libraries.
pub struct ErrorTexts {
    /// The line of an error, without its causes.
    pub line: fn(&(dyn Error + 'static)) -> String,
    /// What a user of the command can do about an error: text that ends its line, and a further line. Both may be empty.
    pub hint: fn(&(dyn Error + 'static)) -> Hint,
}

/// What a user of the command can do about an error.
#[derive(Debug, Default)]
pub struct Hint {
    /// Ends the line of the error.
    pub end: &'static str,
    /// A further line.
    pub line: String,
}

impl Failure {
    /// The failure as it is printed after `error: `: one line, one more for each cause, and hints. Control characters are
    /// escaped.
    #[must_use]
    pub fn describe(&self, texts: &ErrorTexts) -> String {
        match self {
            Self::Text(text) | Self::Status(text, _) => escape_lines(text),
            Self::Error(error) => escape_lines(&describe_chain(error, texts)),
            Self::WithPlaces(error, places) => {
                let mut text = describe_chain(error, texts);
                for place in places {
                    text.push_str(&format!("\n  {place}"));
                }
                escape_lines(&text)
            }
        }
    }
}

impl Failure {
    /// The exit status of the program.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Status(_, status) => *status,
            Self::Text(_) | Self::Error(_) | Self::WithPlaces(..) => 1,
        }
    }
}

/// An error as text: one line, one more for each cause, and hints.
#[must_use]
pub fn describe_chain(error: &anyhow::Error, texts: &ErrorTexts) -> String {
    let mut text = String::new();
    let mut last = String::new();
    let mut hint_line = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let line = (texts.line)(cause);
        let hint = (texts.hint)(cause);
        if hint_line.is_empty() {
            hint_line = hint.line;
        }
        // Skip a cause whose text is already part of the error above it.
        if depth > 0 && last.contains(&line) {
            continue;
        }
        let lead = if depth == 0 { "" } else { "\n  caused by: " };
        text.push_str(&format!("{lead}{line}{}", hint.end));
        last = line;
    }
    text + &hint_line
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error)
    }
}

impl From<mmcv_zoo::Error> for Failure {
    fn from(error: mmcv_zoo::Error) -> Self {
        Self::Text(format!("{}{}", error.report(), of_zoo(&error)))
    }
}

impl From<mmcv_pth::Error> for Failure {
    fn from(error: mmcv_pth::Error) -> Self {
        let is_missing = matches!(&*error.kind, mmcv_pth::ErrorKind::Io(io) if io.kind() == io::ErrorKind::NotFound);
        let is_name = is_missing && error.path.to_string_lossy().contains("://");
        let hint =
            if is_name { "; `mmcv zoo fetch NAME` prints the file of a name or URL" } else { of_reading(&error.kind) };
        Self::Text(format!("{error}{hint}"))
    }
}

/// The errors of the libraries that need no libtorch.
pub const TEXTS: ErrorTexts = ErrorTexts { line: ToString::to_string, hint };

fn hint(error: &(dyn Error + 'static)) -> Hint {
    match error.downcast_ref::<mmcv_zoo::Error>() {
        Some(error) => Hint { line: of_zoo(error), ..Hint::default() },
        None => Hint::default(),
    }
}

/// A further line for an error of the model zoo.
#[must_use]
pub fn of_zoo(error: &mmcv_zoo::Error) -> String {
    match error.kind() {
        mmcv_zoo::ErrorKind::NoDigest { .. } => {
            hint_line("give the file's SHA-256 with `--sha256 HEX`, or accept any content with `--no-verify`")
        }
        _ => String::new(),
    }
}

/// The options that help after an error of the file reader, to follow its text; empty if there are none.
#[must_use]
pub fn of_reading(kind: &mmcv_pth::ErrorKind) -> &'static str {
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

/// A hint as a line of its own.
#[must_use]
pub fn hint_line(hint: &str) -> String {
    format!("\n  hint: {hint}")
}
