//! Checkpoints: found by their scheme, matched to a module, loaded, and saved.
//!
//! ```no_run
//! use mmcv_checkpoint::{LoadOptions, load_checkpoint};
//! # fn load(module: &dyn mmcv_layers::Module) -> Result<(), mmcv_checkpoint::Error> {
//! let report = load_checkpoint(module, "torchvision://mobilenet_v2", &LoadOptions::default())?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! [`CheckpointLoader`] knows the schemes, [`CheckpointFile`] is an open file, [`LoadOptions`] select what is loaded and
//! how, and [`LoadReport`] is the result. [`save_checkpoint`] writes.
//!
//! Names, shapes, types and checksums are checked before the first tensor of the module is written. Tensors on the CPU are
//! then read from the file straight into the module's memory, by several threads.

mod checkpoint_file;
mod dtype;
mod error;
mod in_place;
mod key_match;
mod load;
mod loader;
mod naming;
mod options;
mod pretrained;
mod report;
mod revise;
mod save;
mod suggestion;
mod tensor_source;
mod wrapper;

pub use checkpoint_file::CheckpointFile;
pub use error::{Error, ErrorKind};
pub use load::load_state_dict;
pub use loader::{
    CheckpointLoader, Located, load_checkpoint, load_file, open_checkpoint, open_checkpoint_with, register_scheme,
};
pub use options::{DtypePolicy, LoadOptions};
pub use pretrained::{PRETRAINED, PretrainedInit};
pub use report::{Difference, LoadReport, TensorType};
pub use revise::ReviseKeys;
pub use save::{SaveOptions, State, save_checkpoint};
pub use suggestion::{Change, Suggestion};

/// Compiles the examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
