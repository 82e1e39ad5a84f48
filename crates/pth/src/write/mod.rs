//! Writing checkpoints. A file is written completely or not at all.

mod atomic;
mod pickler;
mod pth;
mod pth_item;
mod safetensors;
mod storage_data;
mod tensor_data;
mod tree_pickler;
mod zip_writer;

pub use atomic::{replace_file, resolve_destination};
pub use pth::write_pth;
pub(crate) use pth::{write_flat, write_tree};
pub use pth_item::PthItem;
pub use safetensors::write_safetensors;
pub(crate) use safetensors::write_safetensors_with;
pub use tensor_data::TensorData;
pub(crate) use tree_pickler::{Loss, Tree, describe_lossy_object, describe_opaque};

/// A callback for the number of bytes written so far.
pub(crate) type Progress<'a> = Option<&'a dyn Fn(u64)>;

/// The Python attribute of a state dict that holds the versions of modules.
pub(crate) const VERSIONS: &str = "_metadata";
