//! [`Error`]: why a module cannot be exported.

use std::fmt;

use tch::TchError;

/// Why a module cannot be exported, and which one.
#[derive(Debug)]
pub struct Error {
    /// The module, from the one that is exported: `layer1.0.conv1`; empty for that one.
    pub module: String,
    /// What is wrong.
    pub kind: Box<ErrorKind>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// ONNX has nothing for what the module does.
    #[error("{0}")]
    Unsupported(String),
    /// An operator that has no translation.
    #[error("there is no translation of {operator} to ONNX: register one by `OnnxOptions::translate`")]
    Operator {
        /// The operator of libtorch, such as `aten::grid_sampler`.
        operator: String,
    },
    /// What the module does depends on a size that should be free.
    #[error("{0}; export with fixed sizes")]
    Dynamic(String),
    /// An option has a value that is not possible.
    #[error("{name} is {value}: {expected}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is possible.
        expected: String,
    },
    /// The module cannot be traced.
    #[error(transparent)]
    Trace(#[from] mmcv_fuse::Error),
    /// libtorch refused the operation.
    #[error("{}", mmcv_layers::first_line(.0))]
    Torch(#[from] TchError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

/// The result of exporting.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn unsupported(module: &str, what: impl Into<String>) -> Self {
        Self { module: module.to_owned(), kind: Box::new(ErrorKind::Unsupported(what.into())) }
    }

    pub(crate) fn dynamic(module: &str, what: impl Into<String>) -> Self {
        Self { module: module.to_owned(), kind: Box::new(ErrorKind::Dynamic(what.into())) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.module.is_empty() {
            return write!(f, "{}", self.kind);
        }
        write!(f, "{}: {}", self.module, self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.kind)
    }
}

impl<T: Into<ErrorKind>> From<T> for Error {
    fn from(kind: T) -> Self {
        Self { module: String::new(), kind: Box::new(kind.into()) }
    }
}
