//! [`Error`]: building or running a layer failed.

use std::fmt;

use mmcv_registry::{ConfigError, KeyPath};
use tch::TchError;

use crate::ShapeMismatch;

/// Building or running a layer failed: the module, and the cause.
#[derive(Debug)]
pub struct Error {
    /// The path to the module from the one that was called: `["layer1", "0", "conv1"]`.
    pub module: Vec<String>,
    /// The cause.
    pub kind: Box<ErrorKind>,
}

/// The cause of an [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The config is invalid; the error has the key path.
    #[error(transparent)]
    Config(ConfigError),
    /// The input does not fit the layer.
    #[error("expected {expected}, got {found}")]
    Input {
        /// The input that the layer expects.
        expected: String,
        /// The input found.
        found: String,
    },
    /// The shape of the input does not fit an argument of the layer.
    #[error("{0}")]
    Shape(ShapeMismatch),
    /// The module does not support the operation.
    #[error("{0}")]
    Unsupported(String),
    /// An error from an initializer or a module of another crate.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// libtorch rejected the operation.
    #[error("{}", first_line(.0))]
    Torch(TchError),
}

/// The result of building or running a layer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given kind, in the module that was called.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        Self { module: Vec::new(), kind: Box::new(kind) }
    }

    /// An input that does not fit the layer.
    #[must_use]
    pub fn input(expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Input { expected: expected.into(), found: found.to_string() })
    }

    /// An operation that the module does not support; the text states an alternative.
    #[must_use]
    pub fn unsupported(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported(text.into()))
    }

    /// An argument that is not allowed; `reason` states the allowed values.
    #[must_use]
    pub fn argument(name: &str, found: impl fmt::Display, reason: impl Into<String>) -> Self {
        ConfigError::invalid(&KeyPath::root().key(name), found, reason).into()
    }

    /// An argument that conflicts with another one. `reason` continues the sentence after its value and states which
    /// values would fit.
    #[must_use]
    pub fn conflict(name: &str, found: impl fmt::Display, reason: impl Into<String>) -> Self {
        ConfigError::conflict(&KeyPath::root().key(name), found, reason).into()
    }

    /// Prepends the name of a module to the path of modules.
    #[must_use]
    pub fn in_module(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !name.is_empty() {
            self.module.insert(0, name);
        }
        self
    }

    /// Puts `path` in front of the key path of a config error.
    #[must_use]
    pub fn below(self, path: &KeyPath) -> Self {
        self.map_config(|error| error.below(path))
    }

    /// Adds the registered type that was being built to a config error.
    #[must_use]
    pub fn in_type(self, name: &str) -> Self {
        self.map_config(|error| error.in_type(name))
    }

    /// Applies `change` to a config error.
    #[must_use]
    pub fn map_config(mut self, change: impl FnOnce(ConfigError) -> ConfigError) -> Self {
        if let ErrorKind::Config(error) = *self.kind {
            self.kind = Box::new(ErrorKind::Config(change(error)));
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.kind {
            kind if self.module.is_empty() => write!(f, "{kind}"),
            // The argument is that of a part, and only the config tells whether a key hands it on.
            ErrorKind::Shape(mismatch) => write!(f, "{}: {}", self.module.join("."), mismatch.clone().without_change()),
            kind => write!(f, "{}: {kind}", self.module.join(".")),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message includes that of the kind, so the chain continues with its source.
        std::error::Error::source(&*self.kind)
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Config(error))
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::new(ErrorKind::Torch(error))
    }
}

/// The first line of libtorch's message, without the lists and the C++ stack trace that follow it.
#[must_use]
pub fn first_line(error: &TchError) -> String {
    torch_message(&error.to_string())
}

/// The first line of a message of libtorch, without the lists and the C++ stack trace that follow it.
#[must_use]
pub fn torch_message(text: &str) -> String {
    let text = text.trim_start().trim_start_matches("Internal torch error: ");
    let text = text.split("Exception raised from ").next().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default().trim_end();
    if line.contains("from the 'CUDA' backend") {
        return "this libtorch is built without CUDA: use one that has it (LIBTORCH)".to_owned();
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::torch_message;

    #[test]
    fn messages_of_libtorch_are_one_line() {
        for text in [
            "bad size",
            "Internal torch error: bad size\nException raised from f at /x.cpp:3 (most recent call first):\nframe #0: g",
            "Internal torch error: bad size Exception raised from f at /x.cpp:3",
            "\nbad size\n\nframe #0: g",
        ] {
            assert_eq!(torch_message(text), "bad size");
        }
        assert!(torch_message("no kernel from the 'CUDA' backend").contains("LIBTORCH"));
    }
}
