//! [`Error`]: why a module could not be rewritten, or the rewritten form not run.

use std::fmt;

use tch::TchError;

/// Why a module could not be rewritten, or the rewritten form not run, and in which module.
#[derive(Debug)]
pub struct Error {
    /// The module, from the one that is rewritten: `layer1.0.conv1`; empty for that one.
    pub module: String,
    /// What is wrong.
    pub kind: Box<ErrorKind>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The module itself refuses the example input.
    #[error("the module does not run on the example input: {0}")]
    Module(#[source] mmcv_layers::Error),
    /// The forward pass does something that a rewritten form cannot repeat.
    #[error("{0}")]
    Unsupported(String),
    /// The rewritten form returns other numbers than the module, of which this is the first that differs.
    #[error(
        "the fused form differs from the module by {difference:.3e} at most, and {tolerance:.1e} (relative and absolute) is allowed (FuseOptions::tolerance)"
    )]
    Differs {
        /// The largest absolute difference.
        difference: f64,
        /// What is allowed.
        tolerance: f64,
    },
    /// The input has another shape than the example, and the forward pass depends on the shape: the module asked for a size.
    #[error("the fused form is for inputs of shape {expected:?} alone, got {found:?}")]
    Shape {
        /// The shapes of the example.
        expected: Vec<Vec<i64>>,
        /// The shapes of the inputs.
        found: Vec<Vec<i64>>,
    },
    /// The rewritten form returns something other than the module, which is the first that differs.
    #[error("the fused form returns {found} and the module {expected}")]
    Output {
        /// What the module returns.
        expected: String,
        /// What the fused form returns.
        found: String,
    },
    /// The input does not fit.
    #[error("expected {expected}, got {found}")]
    Input {
        /// What the fused form takes.
        expected: String,
        /// What it got.
        found: String,
    },
    /// A file of weights in 8 bits cannot be read, or is of another network; or the network has no form in 8 bits.
    #[error("quantization: {0}")]
    Quantization(String),
    /// A thread of [`Streams`](crate::Streams) cannot work.
    #[error("a stream cannot work: {0}")]
    Stream(String),
    /// libtorch or oneDNN refused an operation.
    #[error("{}{}", prefix(.operator), mmcv_layers::torch_message(.message))]
    Native {
        /// The operator; empty if it is none.
        operator: String,
        /// The message.
        message: String,
    },
    /// libtorch refused the operation.
    #[error("{}", mmcv_layers::first_line(.0))]
    Torch(TchError),
}

/// The result of rewriting, or of running the rewritten form.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(module: impl Into<String>, kind: ErrorKind) -> Self {
        Self { module: module.into(), kind: Box::new(kind) }
    }

    pub(crate) fn unsupported(module: &str, what: impl Into<String>) -> Self {
        Self::new(module, ErrorKind::Unsupported(what.into()))
    }

    pub(crate) fn input(expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self::new("", ErrorKind::Input { expected: expected.into(), found: found.to_string() })
    }

    pub(crate) fn native(operator: &str, error: &cxx::Exception) -> Self {
        Self::new("", ErrorKind::Native { operator: operator.to_owned(), message: error.what().to_owned() })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ErrorKind::Shape { .. } = &*self.kind {
            let module = if self.module.is_empty() { "the module" } else { &self.module };
            return write!(
                f,
                "{}: {module} asked for a size that is another one now, and may do something else then; fuse with that shape",
                self.kind
            );
        }
        write!(f, "{}{}", prefix(&self.module), self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message is the kind's, so the chain goes on with the kind's cause.
        std::error::Error::source(&*self.kind)
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new("", kind)
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        ErrorKind::Torch(error).into()
    }
}

impl From<mmcv_kernels::Error> for Error {
    fn from(error: mmcv_kernels::Error) -> Self {
        Self::unsupported("", error.to_string())
    }
}

impl From<cxx::Exception> for Error {
    fn from(error: cxx::Exception) -> Self {
        Self::native("", &error)
    }
}

impl From<Error> for mmcv_layers::Error {
    fn from(error: Error) -> Self {
        match *error.kind {
            ErrorKind::Module(error) => error,
            ErrorKind::Input { expected, found } => Self::input(expected, found),
            kind => {
                let error = Error::new(error.module, kind);
                Self::new(mmcv_layers::ErrorKind::Other(Box::new(error)))
            }
        }
    }
}

fn prefix(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name}: ") }
}
