//! What is wrong with a file of an image that is cut or damaged.

/// The way in which a file is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("the file is cut: it ends before the image does")]
    Cut,
    #[error("the file is damaged: the checksum of its chunk {0:?} is wrong")]
    Checksum(String),
    #[error("the file is damaged: a chunk is longer than the file says that it is")]
    Chunk,
    #[error("the file is damaged: a header of its JPEG data is malformed ({0})")]
    Header(&'static str),
    #[error("the file is damaged: {0} in the compressed pixels")]
    Pixels(&'static str),
    #[error("the file is incomplete: it lacks {0}")]
    Missing(&'static str),
}

pub(super) type Result<T> = std::result::Result<T, Damage>;
