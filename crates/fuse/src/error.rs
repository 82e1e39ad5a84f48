//! [`Error`]: why a module could not be rewritten, or the rewritten form not run.

use mmcv_layers::ErrorKind;
use tch::TchError;

/// Why a module could not be rewritten, or the rewritten form not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The module itself refuses the example input.
    #[error("the module does not run on the example input: {0}")]
    Module(#[source] mmcv_layers::Error),
    /// The forward pass does something that a rewritten form cannot repeat.
    #[error("{}{what}", prefix(.module))]
    Unsupported {
        /// The module, from the one that is rewritten; empty for itself.
        module: String,
        /// What it does.
        what: String,
    },
    /// The rewritten form gives other numbers than the module.
    #[error(
        "{}the fused form differs from the module by {difference:.3e} at most, and {tolerance:.1e} (relative and absolute) is allowed (FuseOptions::tolerance)",
        prefix(.module)
    )]
    Differs {
        /// The first module that differs, from the one that is rewritten.
        module: String,
        /// The largest absolute difference.
        difference: f64,
        /// What is allowed.
        tolerance: f64,
    },
    /// The input has another shape than the example, and the forward pass depends on the shape.
    #[error(
        "the fused form is for inputs of shape {expected:?} alone, got {found:?}: {} asked for a size that is another one now, and may do something else then; fuse with that shape",
        if .module.is_empty() { "the module" } else { .module }
    )]
    Shape {
        /// The shapes of the example.
        expected: Vec<Vec<i64>>,
        /// The shapes that were given.
        found: Vec<Vec<i64>>,
        /// The module that asked for a size, from the one that is rewritten; empty for itself.
        module: String,
    },
    /// The rewritten form gives something else than the module.
    #[error("{}the fused form gives {found} where the module gives {expected}", prefix(.module))]
    Output {
        /// The first module that differs, from the one that is rewritten.
        module: String,
        /// What the module gives.
        expected: String,
        /// What the fused form gives.
        found: String,
    },
    /// The input does not fit.
    #[error("expected {expected}, got {found}")]
    Input {
        /// What the fused form takes.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// libtorch or oneDNN refused an operation.
    #[error("{}{}", prefix(.operator), mmcv_layers::torch_message(.message))]
    Native {
        /// The operator; empty where it is none.
        operator: String,
        /// What it says.
        message: String,
    },
    /// libtorch refused the operation.
    #[error("{}", mmcv_layers::first_line(.0))]
    Torch(TchError),
}

/// The result of rewriting, or of running the rewritten form.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn unsupported(module: &str, what: impl Into<String>) -> Self {
        Self::Unsupported { module: module.to_owned(), what: what.into() }
    }

    pub(crate) fn input(expected: impl Into<String>, found: impl std::fmt::Display) -> Self {
        Self::Input { expected: expected.into(), found: found.to_string() }
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(error)
    }
}

impl From<Error> for mmcv_layers::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Module(error) => error,
            Error::Input { expected, found } => Self::input(expected, found),
            error => Self::new(ErrorKind::Other(Box::new(error))),
        }
    }
}

fn prefix(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("{name}: ") }
}
