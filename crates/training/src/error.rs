//! [`Error`]: what went wrong in training.

use tch::TchError;

/// What went wrong in training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument that is not allowed.
    #[error("{name} is {found}: expected {expected}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A state that an optimizer cannot resume from; nothing was changed.
    #[error("the optimizer cannot resume: {key} {problem}")]
    State {
        /// The name of the tensor: `backbone.conv1.weight.momentum_buffer`.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An error of libtorch.
    #[error("libtorch: {0}")]
    Torch(String),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Refuses an argument unless it is in order.
    pub(crate) fn check(is_valid: bool, name: &'static str, found: f64, expected: &'static str) -> Result<()> {
        if is_valid { Ok(()) } else { Err(Self::Argument { name, found: found.to_string(), expected }) }
    }
}

impl From<cxx::Exception> for Error {
    fn from(error: cxx::Exception) -> Self {
        Self::Torch(error.what().to_owned())
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(error.to_string())
    }
}
