//! Errors about truncated and corrupt image files.

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("the file is truncated: it ends before the image does")]
    Truncated,
    #[error("the file is corrupt: the checksum of its chunk {0:?} is wrong")]
    Checksum(String),
    #[error("the file is corrupt: a chunk extends beyond the size in the header")]
    Chunk,
    #[error("the file is corrupt: malformed JPEG header ({0})")]
    Header(&'static str),
    #[error("the file is corrupt: {0} in the compressed pixels")]
    Pixels(&'static str),
    #[error("the file is incomplete: {0} missing")]
    Missing(&'static str),
}

pub(super) type Result<T> = std::result::Result<T, Damage>;
