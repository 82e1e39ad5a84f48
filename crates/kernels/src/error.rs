//! [`Error`]: what a kernel cannot do.

/// What a kernel cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size is zero, or so large that memory cannot be addressed; or an output would be empty.
    #[error("a convolution of 3 x 3 cannot have these sizes: {0}")]
    Sizes(String),
    /// Memory of another length than the convolution needs.
    #[error("{what} has {found} numbers, and {expected} are needed")]
    Length {
        /// Whose memory it is.
        what: &'static str,
        /// How many numbers are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
}

/// The result of a kernel.
pub type Result<T, E = Error> = std::result::Result<T, E>;
