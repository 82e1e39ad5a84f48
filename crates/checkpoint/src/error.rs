//! [`Error`]: why a checkpoint could not be loaded or saved.

use std::fmt;

use crate::LoadReport;
use crate::report::TensorType;

/// Why a checkpoint could not be loaded or saved, and which one.
#[derive(Debug)]
pub struct Error {
    /// The checkpoint, as it was given, without a password; empty where no checkpoint is concerned.
    pub checkpoint: String,
    /// What is wrong.
    pub kind: Box<ErrorKind>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The scheme of the source is none of the loader's.
    #[error("unknown scheme `{scheme}://`; known are a path and {}; `register_scheme` adds one", listed(.known))]
    UnknownScheme {
        /// The scheme, without `://`.
        scheme: String,
        /// The schemes of the loader, without `://`.
        known: Vec<String>,
    },
    /// The scheme cannot be registered.
    #[error("cannot register the scheme {scheme:?}: {reason}")]
    Scheme {
        /// The scheme, as it was given.
        scheme: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The source does not name a file.
    #[error("not a file: {reason}")]
    Source {
        /// Why.
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
        /// What is wrong with it.
        reason: String,
    },
    /// The module's tensors cannot be read or written.
    #[error(transparent)]
    Module(#[from] mmcv_layers::Error),
    /// A tensor of the file has a type that libtorch's binding does not have.
    #[error("{name}: a tensor of type {found} cannot be read")]
    Unreadable {
        /// The name in the file.
        name: String,
        /// Type and shape.
        found: TensorType,
    },
    /// The names, shapes or types of the tensors are not the module's; nothing was loaded.
    #[error("the checkpoint does not fit the network, and nothing was loaded: {}", .0.to_string().replace('\n', "\n  "))]
    Mismatch(Box<LoadReport>),
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
    /// The dialect that was asked for is none of the network's.
    #[error("the network has no dialect {name:?}; it has {}", listed(.known))]
    UnknownDialect {
        /// The name that was asked for.
        name: String,
        /// The dialects of the network.
        known: Vec<String>,
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

impl From<tch::TchError> for ErrorKind {
    fn from(error: tch::TchError) -> Self {
        Self::Module(error.into())
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

/// So many names are listed.
const MOST_LISTED: usize = 20;

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<_> = names.iter().take(MOST_LISTED).map(|name| format!("`{name}`")).collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
