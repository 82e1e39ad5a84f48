//! What a config describes: the tree of modules with their tensors, where each comes from, and what a forward pass costs.

mod explanation;

pub use explanation::{Explanation, ModuleRow, TensorRow};

/// TEMPORARY
#[must_use]
pub fn repr(module: &dyn crate::Module) -> String {
    module.name().to_owned()
}
