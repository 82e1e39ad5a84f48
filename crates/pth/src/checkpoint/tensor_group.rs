//! [`TensorGroup`]: an entry that holds tensors.

use serde::Serialize;

/// A mapping that directly holds tensors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorGroup {
    /// The dotted path from the root of the file.
    pub entry: String,
    /// The number of tensors in the mapping and below.
    pub tensors: usize,
}
