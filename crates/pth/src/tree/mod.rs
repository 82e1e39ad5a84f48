//! The values of a file as a tree: which of them hold tensors, the key of each tensor, and all other values as JSON.

mod budget;
mod flatten;
mod holders;
mod json;
mod opaque_object;

pub(crate) use budget::Budget;
pub(crate) use flatten::{TensorPath, flatten};
pub(crate) use holders::{Holders, parts};
pub(crate) use json::{Float, Json, check_json, hex, key_text, render_key};
pub(crate) use opaque_object::{children, is_module};
