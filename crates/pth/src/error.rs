//! What can be wrong with a file, and how it is said in one line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::bytes::Ended;
use crate::find::Place;

/// Characters of the longest line that reports an error, `error: ` before it included.
const MAX_LINE: usize = 1000;
/// Characters that a program puts before the [`Error`] when it prints it.
const PREFIX: &str = "error: ";
/// Characters that are left for `: ` and the reason, however long the file's name is.
const MIN_REASON: usize = 300;

/// A file that cannot or will not be read or written. Its text is one line, `FILE: reason`, with control characters
/// escaped and causes included, short enough that `error: ` before it makes at most 1000 characters.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    kind: ErrorKind,
}

impl Error {
    pub(crate) fn new(path: &Path, kind: impl Into<ErrorKind>) -> Self {
        Self { path: path.to_owned(), kind: kind.into() }
    }

    /// The file, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text of each kind has its cause in it.
        let path = one_line(&self.path.display().to_string(), MAX_LINE - PREFIX.len() - MIN_REASON);
        let reason = one_line(&self.kind.to_string(), MAX_LINE);
        let text = format!("{path}: {reason}");
        formatter.write_str(&one_line(&text, MAX_LINE - PREFIX.len()))
    }
}

impl std::error::Error for Error {}

/// `text` as it can be printed on a terminal: control characters, line separators and marks that change the direction of
/// text are escaped.
pub fn printable(text: &str) -> String {
    one_line(text, usize::MAX)
}

/// `text` without anything that could break or disguise a line, cut to `limit` characters.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for character in text.chars() {
        let escape = character.is_control() || is_format(character);
        let part = if escape { character.escape_default().to_string() } else { character.to_string() };
        length += part.chars().count();
        if length > limit {
            while line.chars().count() >= limit {
                line.pop();
            }
            line.push('…');
            break;
        }
        line.push_str(&part);
    }
    line
}

/// Line separators and marks that change the direction of text.
fn is_format(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The kinds of [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file has fewer bytes than when it was opened.
    #[error("became shorter while it was read")]
    Shortened,
    /// A folder, pipe, socket or device.
    #[error("not a regular file")]
    NotRegularFile,
    /// Something that no file replaces.
    #[error("{found} is there, and only regular files are written or replaced")]
    Destination {
        /// What is there.
        found: &'static str,
    },
    /// Memory of another size than a tensor that was to be copied there.
    #[error("tensor {key:?}: {found} bytes of memory for its {wanted} bytes")]
    Target {
        /// The tensor.
        key: String,
        /// Bytes of its elements.
        wanted: u64,
        /// Bytes of the memory.
        found: usize,
    },
    /// The index of a sharded checkpoint is no JSON of the right form.
    #[error("the index of a sharded checkpoint is malformed: {0}")]
    Index(String),
    /// The index of a sharded checkpoint names a file outside of its folder.
    #[error("the index names the file {file:?}; expected one in the folder of the index or below")]
    ShardOutside {
        /// The file, as the index names it.
        file: String,
    },
    /// A file of a sharded checkpoint lacks a tensor.
    #[error("the file {file:?} lacks the tensor {key:?} that the index has there")]
    ShardLacks {
        /// The tensor.
        key: String,
        /// The file.
        file: String,
    },
    /// The content is in no known format.
    #[error(
        "unknown format: {found}; expected a zip archive or legacy file of torch.save, TorchScript, or safetensors"
    )]
    UnknownFormat {
        /// What the content looks like.
        found: &'static str,
    },
    /// The zip archive is broken or ambiguous.
    #[error("bad zip archive: {0}")]
    Zip(#[from] ZipProblem),
    /// A pickle is broken, or asks for what is never done.
    #[error("bad pickle at byte {offset}: {problem}")]
    Pickle {
        /// Position of the opcode in the pickle.
        offset: usize,
        /// What is wrong there.
        problem: PickleProblem,
    },
    /// A pickle names a class or function that is on no list.
    #[error(
        "`{module}.{name}`{} is not allowed; nothing in a checkpoint is imported or called. Two ways on: write the weights \
         alone in Python, `torch.save(model.state_dict(), FILE)`, or read with `--unknown-classes opaque` \
         (`UnknownClasses::Opaque`), which keeps the names of unknown classes and reads the tensors",
        alias(.known_as)
    )]
    ForbiddenGlobal {
        /// The module, as the file spells it.
        module: String,
        /// The name within it.
        name: String,
        /// The name of today, where the file has an older one.
        known_as: Option<String>,
    },
    /// The frame of a legacy file around its pickles is broken.
    #[error("bad legacy file: {0}")]
    Legacy(#[from] LegacyProblem),
    /// A storage is declared or stored inconsistently.
    #[error("storage `{key}`: {problem}")]
    Storage {
        /// The key of the storage in the file.
        key: String,
        /// What is wrong with it.
        problem: StorageProblem,
    },
    /// The safetensors header or its layout is broken.
    #[error("bad safetensors file: {0}")]
    Safetensors(String),
    /// Two tensors have the same key.
    #[error("two tensors have the key `{0}`")]
    DuplicateTensor(String),
    /// Two entries of a mapping have the same key as text.
    #[error("two entries of a mapping have the key `{0}`")]
    DuplicateKey(String),
    /// The tree of values cannot be written as keys and JSON.
    #[error("{0}")]
    Tree(#[from] TreeProblem),
    /// A limit that protects the reader.
    #[error("{what}: {found} is over the limit of {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// What the file asks for.
        found: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The bytes of a tensor without plain bytes were asked for.
    #[error("tensor `{key}` is {layout}: it has no plain bytes")]
    Unsupported {
        /// The key of the tensor.
        key: String,
        /// The word for its kind, such as `sparse_coo`.
        layout: &'static str,
    },
    /// There are no tensors in the whole file.
    #[error("the file holds no tensors")]
    NoTensors,
    /// There is no such entry with tensors.
    #[error("no tensors below `{entry}`; {}", places(.found))]
    NoEntry {
        /// The entry that was asked for.
        entry: String,
        /// The entries that hold tensors, those with the most first.
        found: Vec<Place>,
    },
    /// A file of the format that was asked for cannot hold something.
    #[error(
        "this format cannot hold {}; --entry ENTRY takes a part of the file, --lossy leaves them out",
        listed(.0.iter().map(|(path, what)| format!("`{path}` ({what})")))
    )]
    Unwritable(Vec<(String, String)>),
    /// What should be written cannot be written.
    #[error("cannot write: {0}")]
    Write(String),
}

fn alias(known_as: &Option<String>) -> String {
    known_as.as_ref().map_or_else(String::new, |name| format!(" ({name})"))
}

/// Where tensors are, in words.
fn places(places: &[Place]) -> String {
    if places.is_empty() {
        return "the file's tensors are in no entry".to_owned();
    }
    let place = |place: &Place| format!("`{}` ({} tensors)", place.entry, place.tensors);
    format!("there are some below {}", listed(places.iter().map(place)))
}

/// The first of some texts, and how many there are.
fn listed(texts: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let more = texts.len().saturating_sub(SHOWN);
    let mut text = texts.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

impl ErrorKind {
    /// An error if `found` is more than `limit`.
    pub(crate) fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found > limit { Err(Self::Limit { what, found, limit }) } else { Ok(()) }
    }
}

/// What can be wrong with a zip archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZipProblem {
    /// There is no end record, or more than one could be meant.
    #[error("no unambiguous end of central directory (truncated?)")]
    NoEnd,
    /// A record is cut off or has the wrong signature.
    #[error("no {0} where one should be")]
    Broken(&'static str),
    /// Two records contradict each other.
    #[error("contradicting {0}")]
    Contradiction(&'static str),
    /// Two entries have the same name, ignoring case.
    #[error("two entries are named `{0}` (ignoring case)")]
    Duplicate(String),
    /// Not exactly one `PREFIX/data.pkl`.
    #[error("expected exactly one FOLDER/data.pkl, found {0}")]
    DataPickles(usize),
    /// An entry is missing.
    #[error("no entry `{0}`")]
    Missing(String),
    /// An entry is broken or stored in a way that is not read.
    #[error("entry `{name}`: {problem}")]
    Entry {
        /// The entry's name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The `byteorder` entry is neither `little` nor `big`.
    #[error("byteorder is `{0}`, expected `little` or `big`")]
    ByteOrder(String),
}

/// What can be wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleProblem {
    /// The bytes end within the pickle.
    #[error("the file ends within the pickle")]
    Ended,
    /// An opcode that does not exist.
    #[error("unknown opcode {0:#04x}")]
    UnknownOpcode(u8),
    /// An opcode whose meaning lies outside the file.
    #[error("opcode {0} is not allowed")]
    ForbiddenOpcode(&'static str),
    /// A protocol that does not exist.
    #[error("protocol {0}, expected 1 to 5")]
    Protocol(u8),
    /// An opcode takes more from the stack than there is.
    #[error("the stack is empty")]
    EmptyStack,
    /// An opcode needs a mark and there is none.
    #[error("no mark on the stack")]
    NoMark,
    /// A memo entry is read before it is written.
    #[error("memo entry {0} is not set")]
    NoMemo(u32),
    /// A number or a text cannot be decoded.
    #[error("bad {0}")]
    BadLiteral(&'static str),
    /// An opcode meets a value that it does not work on.
    #[error("{operation} on {found}")]
    WrongType {
        /// The opcode, in words.
        operation: &'static str,
        /// The kind of value found.
        found: &'static str,
    },
    /// A listed function or class gets arguments that it does not take.
    #[error("wrong arguments for `{0}`")]
    WrongArguments(String),
    /// A tensor does not lie inside its storage.
    #[error("a tensor of shape {shape:?}, strides {strides:?} and offset {offset} does not lie inside its storage")]
    OutOfBounds {
        /// The tensor's sizes.
        shape: Vec<u64>,
        /// Its strides, in elements.
        strides: Vec<u64>,
        /// Its first element in the storage.
        offset: u64,
    },
    /// An array of numpy whose elements are objects of Python.
    #[error("an array of Python objects has no plain elements")]
    ObjectArray,
    /// An array of numpy that has not the bytes of its elements.
    #[error("an array of shape {shape:?} has {found} bytes")]
    ArraySize {
        /// The sizes.
        shape: Vec<u64>,
        /// The bytes that it has.
        found: u64,
    },
    /// A persistent id is no well-formed storage.
    #[error("a persistent id is no storage")]
    PersistentId,
    /// Bytes follow the end of the pickle.
    #[error("{0} bytes follow the end of the pickle")]
    Trailing(usize),
}

impl From<Ended> for PickleProblem {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

/// What can be wrong with a legacy file around its pickles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LegacyProblem {
    /// The second pickle is not 1001.
    #[error("the protocol version is not 1001")]
    Protocol,
    /// The key list is no list of distinct strings, or differs from the storages used.
    #[error("the key list does not match the storages used, at `{0}`")]
    Keys(String),
}

/// What can be wrong with a storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageProblem {
    /// Its type or count differs between two uses.
    #[error("declared with two types or element counts")]
    Redeclared,
    /// A view lies outside of it.
    #[error("a view lies outside of it")]
    View,
    /// The stored size is not the declared one.
    #[error("{found} bytes are stored, {declared} are declared")]
    Size {
        /// Bytes or elements that the stored record has.
        found: u64,
        /// Bytes or elements that the pickle says.
        declared: u64,
    },
    /// The file ends within it.
    #[error("the file ends within it")]
    Ended,
}

/// Why a tree of values has no keys or no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeProblem {
    /// A container holds itself.
    #[error("a container holds itself")]
    Cycle,
    /// Containers are nested too deeply.
    #[error("nested over {} levels", crate::limits::MAX_DEPTH)]
    Depth,
    /// A mapping key or set item that Python could not have made.
    #[error("{0} as mapping key or set item")]
    Unhashable(&'static str),
    /// A set holds a tensor: there is no path to it.
    #[error("a set holds a tensor")]
    TensorInSet,
    /// A tuple as key has too many parts, or all keys together are too long.
    #[error("a mapping key of over {} parts, or too many long keys", crate::limits::MAX_KEY_PARTS)]
    LongKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_short_line() {
        let kind = ErrorKind::DuplicateTensor(format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(3000)));
        let line = format!("{PREFIX}{}", Error::new(Path::new("bad\rname.pth"), kind));
        assert_eq!(line.chars().count(), MAX_LINE);
        assert!(
            line.starts_with("error: bad\\rname.pth: two tensors have the key `a\\nb\\u{1b}[31m\\u{202e}xxx"),
            "{line}"
        );
        assert!(!line.chars().any(char::is_control));
    }

    #[test]
    fn short_errors_are_not_cut() {
        let error = Error::new(Path::new("f"), ErrorKind::NotRegularFile);
        assert_eq!(error.to_string(), "f: not a regular file");
    }
}
