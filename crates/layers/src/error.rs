//! [`Error`]: why a layer could not be built or run.

use std::fmt;

use mmcv_registry::{ConfigError, KeyPath};
use tch::TchError;

use crate::Misfit;

/// Why a layer could not be built or run, and in which module.
#[derive(Debug)]
pub struct Error {
    /// The module, as the names that lead to it from the one that was called: `["layer1", "0", "conv1"]`.
    pub module: Vec<String>,
    /// What is wrong.
    pub kind: Box<ErrorKind>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The config is wrong; the error has the key path.
    #[error(transparent)]
    Config(ConfigError),
    /// The input does not fit the layer.
    #[error("expected {expected}, got {found}")]
    Input {
        /// What the layer takes.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// The shape of the input does not fit an argument of the layer.
    #[error("{0}")]
    Shape(Misfit),
    /// The module cannot do what was asked for.
    #[error("{0}")]
    Unsupported(String),
    /// What an initializer or a module of another crate says.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// libtorch refused the operation.
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

    /// Something that the module cannot do; the text says what can be done instead.
    #[must_use]
    pub fn unsupported(text: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported(text.into()))
    }

    /// An argument that is not allowed; `reason` says what is.
    #[must_use]
    pub fn argument(name: &str, found: impl fmt::Display, reason: impl Into<String>) -> Self {
        ConfigError::invalid(&KeyPath::root().key(name), found, reason).into()
    }

    /// An argument that does not go with another one; `reason` goes on from its value and says what does.
    #[must_use]
    pub fn conflict(name: &str, found: impl fmt::Display, reason: impl Into<String>) -> Self {
        ConfigError::conflict(&KeyPath::root().key(name), found, reason).into()
    }

    /// The same error seen from the parent in which the module has the given name.
    #[must_use]
    pub fn in_module(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        if !name.is_empty() {
            self.module.insert(0, name);
        }
        self
    }

    /// The same error seen from further out in the config: `path` is put before the key path of a config error.
    #[must_use]
    pub fn below(self, path: &KeyPath) -> Self {
        self.map_config(|error| error.below(path))
    }

    /// Adds the registered type that was being built to a config error.
    #[must_use]
    pub fn in_type(self, name: &str) -> Self {
        self.map_config(|error| error.in_type(name))
    }

    /// The same error, with a config error changed by `change`.
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
        if self.module.is_empty() {
            write!(f, "{}", self.kind)
        } else {
            write!(f, "{}: {}", self.module.join("."), self.kind)
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The message is the kind's own, so the chain goes on with the kind's cause.
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

/// What libtorch says, without the lists and the C++ stack trace that follow it.
#[must_use]
pub fn first_line(error: &TchError) -> String {
    torch_message(&error.to_string())
}

/// A message of libtorch, without the lists and the C++ stack trace that follow it.
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
