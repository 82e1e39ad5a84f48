//! [`Error`]: the problem with a file, in one line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::tensor_group::TensorGroup;
use crate::cursor::Ended;
use crate::limits::{MAX_DEPTH, MAX_KEY_PARTS};

/// Characters of the longest error text.
const MAX_LINE: usize = 850;
/// Characters reserved for `: ` and the reason, however long the path is.
const MIN_REASON: usize = 300;

/// A file that cannot or must not be read or written.
///
/// Displayed as one line of at most 850 characters, `FILE: reason`. Control characters are escaped, and the text of the
/// kind includes its cause.
#[derive(Debug)]
pub struct Error {
    /// The file, as passed by the caller.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: Box<ErrorKind>,
}

impl Error {
    pub(crate) fn new(path: &Path, kind: impl Into<ErrorKind>) -> Self {
        Self { path: path.to_owned(), kind: Box::new(kind.into()) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = one_line(&self.path.display().to_string(), MAX_LINE - MIN_REASON);
        let reason = one_line(&self.kind.to_string(), MAX_LINE);
        formatter.write_str(&one_line(&format!("{path}: {reason}"), MAX_LINE))
    }
}

impl std::error::Error for Error {}

/// `text` in a form that is safe to print on a terminal: control characters, line separators and bidirectional formatting
/// characters are escaped.
pub fn printable(text: &str) -> String {
    one_line(text, usize::MAX)
}

/// `text` without anything that could break or disguise a line, truncated to `limit` characters.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for character in text.chars() {
        let part = if character.is_control() || is_format_character(character) {
            character.escape_default().to_string()
        } else {
            character.to_string()
        };
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

/// Whether a character separates lines or changes the direction of text.
fn is_format_character(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The kinds of [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system returned an error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file has fewer bytes than when it was opened.
    #[error("became shorter while it was read")]
    Shortened,
    /// The path is a directory, pipe, socket or device.
    #[error("not a regular file")]
    NotRegularFile,
    /// The destination exists and is not a regular file.
    #[error("{found} is there, and only regular files can be replaced")]
    Destination {
        /// What the destination is.
        found: &'static str,
    },
    /// The buffer to read a tensor into has the wrong size.
    #[error("tensor {key:?} has {expected} bytes, but the buffer has {found}")]
    BufferSize {
        /// The key of the tensor.
        key: String,
        /// The number of bytes of the tensor.
        expected: u64,
        /// The number of bytes of the buffer.
        found: usize,
    },
    /// The index of a sharded checkpoint is not valid JSON of the expected form.
    #[error("malformed index of a sharded checkpoint: {0}")]
    Index(String),
    /// The index of a sharded checkpoint names a file outside its directory.
    #[error("the index names the file {file:?}; expected a file in the directory of the index or below")]
    ShardOutside {
        /// The file, as named by the index.
        file: String,
    },
    /// A file of a sharded checkpoint lacks a tensor.
    #[error("the file {file:?} lacks the tensor {key:?}, which the index assigns to it")]
    ShardLacks {
        /// The key of the tensor.
        key: String,
        /// The file, as named by the index.
        file: String,
    },
    /// The content is in no known format.
    #[error(
        "unknown format: {found}; expected a zip archive or legacy file of torch.save, TorchScript, or safetensors"
    )]
    UnknownFormat {
        /// What the content looks like.
        found: FileSignature,
    },
    /// The zip archive is broken or ambiguous.
    #[error("bad zip archive: {0}")]
    Zip(#[from] ZipProblem),
    /// A pickle is broken or needs an operation that is never performed.
    #[error("bad pickle at byte {offset}: {problem}")]
    Pickle {
        /// The position of the opcode in the pickle.
        offset: usize,
        /// What is wrong there.
        problem: PickleProblem,
    },
    /// A pickle names a class or function that is on no list.
    #[error(
        "`{module}.{name}`{} is not allowed: nothing in a checkpoint is imported or called. Save only the weights in \
         Python, `torch.save(model.state_dict(), FILE)`, or open the file with `UnknownClasses::Opaque`",
        alias(.known_as)
    )]
    ForbiddenGlobal {
        /// The module, as spelled in the file.
        module: String,
        /// The name within the module.
        name: String,
        /// The current name, if the file uses an older one.
        known_as: Option<String>,
    },
    /// The structure of a legacy file around its pickles is broken.
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
    /// The header or the layout of a safetensors file is broken.
    #[error("bad safetensors file: {0}")]
    Safetensors(String),
    /// Two tensors have the same key.
    #[error("two tensors have the key `{0}`")]
    DuplicateTensor(String),
    /// Two entries of a mapping have the same key when written as text.
    #[error("two entries of a mapping have the key `{0}`")]
    DuplicateKey(String),
    /// The tree of values cannot be represented by keys and JSON.
    #[error("{0}")]
    Tree(#[from] TreeProblem),
    /// The file exceeds a limit that protects the reader.
    #[error("{what}: {found} is over the limit of {limit}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The value in the file.
        found: u64,
        /// The largest allowed value.
        limit: u64,
    },
    /// The tensor has no plain bytes to read.
    #[error("tensor `{key}` is {layout}: it has no plain bytes")]
    Unsupported {
        /// The key of the tensor.
        key: String,
        /// The kind of tensor, such as `sparse_coo`.
        layout: &'static str,
    },
    /// The file has no tensors.
    #[error("the file holds no tensors")]
    NoTensors,
    /// There are no tensors below the requested entry.
    #[error("no tensors below `{entry}`; {}", group_list(.found))]
    NoEntry {
        /// The requested entry.
        entry: String,
        /// The entries that hold tensors, largest first.
        found: Vec<TensorGroup>,
    },
    /// The output format cannot hold some values of the file: the path to each value, and its description.
    #[error("this format cannot hold {}", value_list(.0))]
    Unwritable(Vec<(String, String)>),
    /// The value to be written is invalid.
    #[error("cannot write: {0}")]
    Write(String),
}

fn alias(known_as: &Option<String>) -> String {
    known_as.as_ref().map_or_else(String::new, |name| format!(" ({name})"))
}

fn group_list(groups: &[TensorGroup]) -> String {
    if groups.is_empty() {
        return "the tensors of the file are in no entry".to_owned();
    }
    let texts = groups.iter().map(|group| format!("`{}` ({} tensors)", group.entry, group.tensors));
    format!("there are some below {}", shortened_list(texts))
}

fn value_list(values: &[(String, String)]) -> String {
    shortened_list(values.iter().map(|(path, description)| format!("`{path}` ({description})")))
}

/// The first few texts, and the number of those left out.
fn shortened_list(texts: impl ExactSizeIterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let more = texts.len().saturating_sub(SHOWN);
    let mut text = texts.take(SHOWN).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

impl ErrorKind {
    /// Returns an error if `found` is greater than `limit`.
    pub(crate) fn check_limit(what: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found > limit { Err(Self::Limit { what, found, limit }) } else { Ok(()) }
    }

    /// A part lies outside the storage that it belongs to, although its bounds were checked when the file was opened.
    pub(crate) fn storage_ended() -> Self {
        Self::Storage { key: String::new(), problem: StorageProblem::Ended }
    }
}

/// What a file in an unknown format looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSignature {
    /// No bytes.
    Empty,
    /// A zip archive that does not start with an entry.
    Zip,
    /// A gzip file.
    Gzip,
    /// A 7z archive.
    SevenZip,
    /// A tar archive.
    Tar,
    /// A pickle that is not part of a `torch.save` file. [`Checkpoint::open`](crate::Checkpoint::open) reads those of NumPy
    /// arrays.
    Pickle,
    /// HTML or XML.
    Html,
    /// JSON.
    Json,
    /// A Git LFS pointer.
    GitLfs,
    /// None of these.
    Unknown,
}

impl fmt::Display for FileSignature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "the file is empty",
            Self::Zip => "a zip archive that is empty, split or does not start with an entry",
            Self::Gzip => "gzip",
            Self::SevenZip => "7z",
            Self::Tar => "tar",
            Self::Pickle => "a bare pickle (`Checkpoint::open` reads those of NumPy arrays)",
            Self::Html => "HTML or XML (an error page of a server?)",
            Self::Json => {
                "JSON (the index of a sharded checkpoint? Its files are checkpoints, the index itself is not)"
            }
            Self::GitLfs => "a Git LFS pointer",
            Self::Unknown => "none of the known signatures",
        })
    }
}

/// What can be wrong with a zip archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZipProblem {
    /// There is no end record, or more than one candidate.
    #[error("no unambiguous end of central directory (truncated?)")]
    NoEnd,
    /// A record is truncated or has the wrong signature.
    #[error("missing or broken {0}")]
    Broken(&'static str),
    /// Two records contradict each other.
    #[error("contradictory {0}")]
    Contradiction(&'static str),
    /// Two entries have the same name, ignoring case.
    #[error("two entries are named `{0}` (ignoring case)")]
    Duplicate(String),
    /// There is not exactly one `PREFIX/data.pkl`.
    #[error("expected exactly one FOLDER/data.pkl, found {0}")]
    DataPickles(usize),
    /// An entry is missing.
    #[error("no entry `{0}`")]
    Missing(String),
    /// An entry is broken or uses an unsupported feature.
    #[error("entry `{name}`: {problem}")]
    Entry {
        /// The name of the entry.
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
    /// The file ends within the pickle.
    #[error("the file ends within the pickle")]
    Ended,
    /// The opcode does not exist.
    #[error("unknown opcode {0:#04x}")]
    UnknownOpcode(u8),
    /// The opcode refers to something outside the file.
    #[error("opcode {0} is not allowed")]
    ForbiddenOpcode(&'static str),
    /// The protocol does not exist.
    #[error("protocol {0}, expected 1 to 5")]
    Protocol(u8),
    /// An opcode pops from an empty stack.
    #[error("the stack is empty")]
    EmptyStack,
    /// An opcode needs a mark and there is none.
    #[error("no mark on the stack")]
    NoMark,
    /// A memo entry is read before it is written.
    #[error("memo entry {0} is not set")]
    NoMemo(u32),
    /// A number or a string cannot be decoded.
    #[error("bad {0}")]
    BadLiteral(&'static str),
    /// An opcode was applied to a value of the wrong type.
    #[error("{operation} on {found}")]
    WrongType {
        /// The opcode, in words.
        operation: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// A listed function or class was called with arguments that it does not take.
    #[error("wrong arguments for `{0}`")]
    WrongArguments(String),
    /// A tensor does not lie inside its storage.
    #[error("a tensor of shape {shape:?}, strides {strides:?} and offset {offset} does not lie inside its storage")]
    OutOfBounds {
        /// The shape of the tensor.
        shape: Vec<u64>,
        /// The strides of the tensor, in elements.
        strides: Vec<u64>,
        /// The index of its first element in the storage.
        offset: u64,
    },
    /// A NumPy array has elements that are Python objects.
    #[error("an array of Python objects has no plain elements")]
    ObjectArray,
    /// The number of bytes of a NumPy array does not match its shape and type.
    #[error("an array of shape {shape:?} has {found} bytes")]
    ArraySize {
        /// The shape of the array.
        shape: Vec<u64>,
        /// The number of bytes found.
        found: u64,
    },
    /// A persistent id is not a well-formed storage.
    #[error("a persistent id is no storage")]
    PersistentId,
    /// Bytes follow the end of the pickle.
    #[error("{0} bytes follow the end of the pickle")]
    Trailing(usize),
}

impl PickleProblem {
    /// A pickle of `length` bytes is followed by more bytes, up to `total`.
    pub(crate) fn trailing(length: u64, total: u64) -> ErrorKind {
        let trailing = usize::try_from(total.saturating_sub(length)).unwrap_or(usize::MAX);
        let offset = usize::try_from(length).unwrap_or(usize::MAX);
        ErrorKind::Pickle { offset, problem: Self::Trailing(trailing) }
    }
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
    /// The key list is not a list of distinct strings, or does not match the storages in use.
    #[error("the key list does not match the storages used, at `{0}`")]
    Keys(String),
}

/// What can be wrong with a storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageProblem {
    /// Its type or element count differs between two uses.
    #[error("declared with two types or element counts")]
    Redeclared,
    /// A view lies outside of it.
    #[error("a view lies outside of it")]
    View,
    /// The stored size differs from the declared size.
    #[error("{found} bytes are stored, {declared} are declared")]
    Size {
        /// Bytes or elements in the stored record.
        found: u64,
        /// Bytes or elements declared in the pickle.
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
    #[error("nested over {MAX_DEPTH} levels")]
    Depth,
    /// A mapping key or set item is of an unhashable type, which Python would not allow.
    #[error("{0} used as a mapping key or set item")]
    Unhashable(&'static str),
    /// A set holds a tensor, so there is no path to it.
    #[error("a set holds a tensor")]
    TensorInSet,
    /// A tuple used as a key has too many parts, or all keys together are too long.
    #[error("a mapping key has over {MAX_KEY_PARTS} parts, or too many keys are long")]
    LongKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_short_line() {
        let kind = ErrorKind::DuplicateTensor(format!("a\nb\u{1b}[31m\u{202e}{}", "x".repeat(3000)));
        let line = Error::new(Path::new("bad\rname.pth"), kind).to_string();
        assert_eq!(line.chars().count(), MAX_LINE);
        assert!(line.starts_with("bad\\rname.pth: two tensors have the key `a\\nb\\u{1b}[31m\\u{202e}xxx"), "{line}");
        assert!(!line.chars().any(char::is_control));
    }

    #[test]
    fn short_errors_are_not_cut() {
        let error = Error::new(Path::new("f"), ErrorKind::NotRegularFile);
        assert_eq!(error.to_string(), "f: not a regular file");
    }
}
