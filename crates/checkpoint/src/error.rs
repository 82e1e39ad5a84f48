//! [`Error`]: why a checkpoint could not be loaded or saved.

use std::fmt;

use crate::LoadReport;

/// Why a checkpoint could not be loaded or saved, and which one.
#[derive(Debug)]
pub struct Error {
    /// The checkpoint, as it was given; empty where no checkpoint is concerned.
    pub checkpoint: String,
    /// What is wrong.
    pub kind: Box<ErrorKind>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name cannot be resolved, or the file cannot be fetched or verified.
    #[error(transparent)]
    Zoo(#[from] mmcv_zoo::Error),
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] mmcv_pth::Error),
    /// The module's tensors cannot be written.
    #[error(transparent)]
    Module(#[from] mmcv_layers::Error),
    /// A tensor cannot be put into a file.
    #[error(transparent)]
    Tensor(#[from] mmcv_pth::ErrorKind),
    /// A tensor is of a type that either the file format or libtorch does not have.
    #[error(
        "tensor {name:?} is of type {dtype}, which cannot be converted: expected a bool, integer, float or complex type"
    )]
    Type {
        /// The tensor's name.
        name: String,
        /// Its type, as torch calls it.
        dtype: String,
    },
    /// The names, shapes or types of the tensors are not the module's; nothing was loaded.
    #[error("the checkpoint does not fit the network, and nothing was loaded: {0}")]
    Mismatch(LoadReport),
    /// Two tensors of the file have the same name after renaming.
    #[error("two tensors are called {name:?} after renaming: {first:?} and {second:?}; change revise_keys")]
    SameName {
        /// The name after renaming.
        name: String,
        /// The first tensor's name in the file.
        first: String,
        /// The second tensor's name in the file.
        second: String,
    },
    /// A pattern of `revise_keys` is no regular expression.
    #[error("revise_keys: {pattern:?} is no regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    pub(crate) fn new(checkpoint: &str, kind: impl Into<ErrorKind>) -> Self {
        Self { checkpoint: checkpoint.to_owned(), kind: Box::new(kind.into()) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Errors of the zoo and of the file reader name what they are about themselves.
        match &*self.kind {
            ErrorKind::Zoo(_) | ErrorKind::File(_) => write!(f, "{}", self.kind),
            _ if self.checkpoint.is_empty() => write!(f, "{}", self.kind),
            _ => write!(f, "{}: {}", self.checkpoint, self.kind),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.kind)
    }
}
