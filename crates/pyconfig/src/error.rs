//! [`Error`]: why a config cannot be read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::limits;

/// Why a config cannot be read: what went wrong, and where.
///
/// Its text has the form `FILE:LINE:COLUMN: NameError: name 'x' is not defined`, followed by the line and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Further explanation.
    pub message: String,
    /// The file; `None` if there is none yet.
    pub file: Option<PathBuf>,
    /// The position in the file, where there is one.
    pub position: Option<Box<Position>>,
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The exception of that name, which Python raises too.
    Python(&'static str),
    /// The config tries something that configs cannot do here, such as reading a file.
    Refused,
    /// The config exceeds a limit on steps, memory, depth or size.
    Limit,
    /// A file is missing, no regular file, too large, or no text.
    File,
    /// The config breaks a rule of inheritance.
    Config,
}

/// A position in a config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The text of the line.
    pub text: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { file, line, column, .. }) = self.position.as_deref() {
            write!(f, "{}:{line}:{column}: ", file.display())?;
        } else if let Some(file) = &self.file
            && !self.message.starts_with(&*file.to_string_lossy())
        {
            write!(f, "{}: ", file.display())?;
        }
        match self.kind {
            ErrorKind::Python(name) => write!(f, "{name}: {}", self.message)?,
            ErrorKind::Refused => write!(f, "not allowed in a config: {}", self.message)?,
            ErrorKind::Limit => write!(f, "limit exceeded: {}", self.message)?,
            ErrorKind::File | ErrorKind::Config => f.write_str(&self.message)?,
        }
        match self.position.as_deref() {
            Some(Position { column, text, .. }) if !text.is_empty() => {
                let (excerpt, column) = excerpt(text, *column);
                write!(f, "\n    {excerpt}\n    {:column$}^", "", column = column - 1)
            }
            _ => Ok(()),
        }
    }
}

impl Error {
    /// Names the config for which the file of the error was read, if it is another one; `absolute` is its absolute path.
    pub(crate) fn read_for(mut self, config: &Path, absolute: &Path) -> Self {
        let file = self.position.as_ref().map(|position| &position.file).or(self.file.as_ref());
        if file.is_some_and(|file| file != absolute && file != config) {
            self.message.push_str(&format!(" (read for {})", config.display()));
        }
        self
    }
}

impl std::error::Error for Error {}

/// Characters of a line that are shown.
const SHOWN: usize = 120;

/// The part of a line around a column, and the column in it.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let characters: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let column = column.clamp(1, characters.len() + 1);
    let start = column.saturating_sub(SHOWN / 2).min(characters.len().saturating_sub(SHOWN));
    let shown: String = characters.iter().skip(start).take(SHOWN).collect();
    (shown, column - start)
}

/// A file and its text, as it was parsed.
#[derive(Debug)]
pub(crate) struct Source {
    pub file: PathBuf,
    pub text: String,
}

impl Source {
    /// The position of a byte of the text.
    pub(crate) fn position(&self, offset: u32) -> Position {
        let mut offset = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let end = self.text[offset..].find('\n').map_or(self.text.len(), |length| offset + length);
        Position {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: self.text[start..offset].chars().count() + 1,
            text: self.text[start..end].trim_end_matches('\r').to_owned(),
        }
    }
}

/// An error inside the interpreter, whose position is added on the way out.
#[derive(Debug)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<(Rc<Source>, u32)>,
    file: Option<PathBuf>,
}

/// The result of a step of the interpreter.
pub(crate) type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), place: None, file: None }))
    }

    pub(crate) fn type_error(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Python("TypeError"), message)
    }

    pub(crate) fn value_error(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Python("ValueError"), message)
    }

    pub(crate) fn key_error(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Python("KeyError"), message)
    }

    pub(crate) fn index_error(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Python("IndexError"), message)
    }

    pub(crate) fn attribute_error(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Python("AttributeError"), message)
    }

    pub(crate) fn zero_division(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Python("ZeroDivisionError"), message)
    }

    pub(crate) fn overflow(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Python("OverflowError"), message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// Values that are nested too deeply.
    pub(crate) fn too_deep() -> Self {
        Self::limit(format!("values are nested more than {} deep", limits::NESTING))
    }

    /// A whole number with more digits than Python converts.
    pub(crate) fn too_many_digits() -> Self {
        Self::value_error(too_many_digits())
    }

    pub(crate) fn file(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::File, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Adds the position, unless one is known already: the innermost one is the best.
    pub(crate) fn at(mut self, source: &Rc<Source>, offset: u32) -> Self {
        if self.0.place.is_none() {
            self.0.place = Some((Rc::clone(source), offset));
        }
        self
    }

    /// Adds the file, unless one is known already.
    pub(crate) fn in_file(mut self, file: &Path) -> Self {
        if self.0.file.is_none() {
            self.0.file = Some(file.to_owned());
        }
        self
    }

    pub(crate) fn into_error(self) -> Error {
        let Inner { kind, mut message, place, file } = *self.0;
        if message.len() > limits::MESSAGE_BYTES {
            let mut end = limits::MESSAGE_BYTES;
            while !message.is_char_boundary(end) {
                end -= 1;
            }
            message.truncate(end);
            message.push_str("...");
        }
        Error { kind, message, file, position: place.map(|(source, offset)| Box::new(source.position(offset))) }
    }
}

/// Python's words for a whole number that is too long.
pub(crate) fn too_many_digits() -> String {
    format!("Exceeds the limit ({} digits) for integer string conversion", limits::INTEGER_DIGITS)
}
