//! Errors of quantization.

use crate::error::{Error, ErrorKind};

/// An error about a file of [`Quantization`](super::Quantization), or about one that does not fit.
pub(crate) fn invalid(what: impl Into<String>) -> Error {
    Error::new("", ErrorKind::Quantization(what.into()))
}
