//! [`Error`]: why a checkpoint could not be loaded or saved.

use std::fmt;

use crate::LoadReport;
use crate::report::TensorType;

/// Why a checkpoint could not be loaded or saved, and which one.
#[derive(Debug)]
pub struct Error {
    /// The checkpoint as the caller named it, without a password; empty if no checkpoint is involved.
    pub checkpoint: String,
    /// The reason.
    pub kind: Box<ErrorKind>,
}

/// The reason of an [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The loader does not know the scheme of the source.
    #[error("unknown scheme `{scheme}://`; known are a path and {}; `register_scheme` adds one", list(.known))]
    UnknownScheme {
        /// The scheme, without `://`.
        scheme: String,
        /// The schemes of the loader, without `://`.
        known: Vec<String>,
    },
    /// The scheme cannot be registered.
    #[error("cannot register the scheme {scheme:?}: {reason}")]
    Scheme {
        /// The scheme.
        scheme: String,
        /// The problem.
        reason: &'static str,
    },
    /// The source does not name a file.
    #[error("not a file: {reason}")]
    Source {
        /// The problem.
        reason: &'static str,
    },
    /// A registered scheme could not provide the file.
    #[error("the scheme's loader failed")]
    Loader(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The name cannot be resolved, or the file cannot be fetched or verified.
    #[error(transparent)]
    Zoo(#[from] mmcv_zoo::Error),
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] mmcv_pth::Error),
    /// A tensor cannot be written to a file.
    #[error("{name}: {reason}")]
    Tensor {
        /// The name of the tensor.
        name: String,
        /// The problem.
        reason: String,
    },
    /// The module's tensors cannot be read or written.
    #[error(transparent)]
    Module(#[from] mmcv_layers::Error),
    /// libtorch's binding does not have the type of a tensor.
    #[error("{name}: tensors of type {found} are not supported")]
    Unreadable {
        /// The name in the file.
        name: String,
        /// Type and shape.
        found: TensorType,
    },
    /// The names, shapes or types of the tensors do not fit the module; nothing was loaded.
    #[error("the checkpoint does not fit the network, and nothing was loaded: {}", .0.to_string().replace('\n', "\n  "))]
    Mismatch(Box<LoadReport>),
    /// All checks succeeded, but copying failed, for example because the file was changed meanwhile. Some of the module's
    /// tensors have new values, and the others may be unchanged or incomplete: load again before using the module.
    #[error("copying failed, and the network's weights are now incomplete")]
    PartlyWritten(#[source] Box<ErrorKind>),
    /// Two tensors have the same name after renaming.
    #[error("two tensors are called {name:?} after renaming: {first:?} and {second:?}; change revise_keys")]
    SameName {
        /// The name after renaming.
        name: String,
        /// The first tensor's name in the file.
        first: String,
        /// The second tensor's name in the file.
        second: String,
    },
    /// The module does not have the requested dialect.
    #[error("the network has no dialect {name:?}; it has {}", list(.known))]
    UnknownDialect {
        /// The requested name.
        name: String,
        /// The dialects of the network.
        known: Vec<String>,
    },
    /// A pattern of `revise_keys` is not a regular expression.
    #[error("revise_keys: {pattern:?} is no regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The problem.
        reason: String,
    },
}

impl Error {
    pub(crate) fn new(checkpoint: &str, kind: impl Into<ErrorKind>) -> Self {
        Self { checkpoint: checkpoint.to_owned(), kind: Box::new(kind.into()) }
    }
}

impl From<tch::TchError> for ErrorKind {
    fn from(error: tch::TchError) -> Self {
        Self::Module(error.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Errors of the zoo and of the file reader contain their own context.
        match &*self.kind {
            ErrorKind::Zoo(_) | ErrorKind::File(_) => {}
            _ if self.checkpoint.is_empty() => {}
            _ => write!(f, "{}: ", self.checkpoint)?,
        }
        write!(f, "{}", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.kind)
    }
}

/// At most this many names are listed.
const MAX_LISTED: usize = 20;

fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = names.iter().take(MAX_LISTED).map(|name| format!("`{name}`")).collect();
    let mut text = shown.join(", ");
    if names.len() > MAX_LISTED {
        text.push_str(&format!(" and {} more", names.len() - MAX_LISTED));
    }
    text
}
