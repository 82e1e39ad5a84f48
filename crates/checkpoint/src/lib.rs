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
//! [`CheckpointLoader`] has the schemes, [`CheckpointFile`] is an open file, [`LoadOptions`] say what is taken and how,
//! and [`LoadReport`] tells what happened. [`save_checkpoint`] writes.

mod error;
mod file;
mod layout;
mod load;
mod loader;
mod naming;
mod options;
mod pretrained;
mod proposal;
mod report;
mod revise;
mod save;
mod tensor;
mod value;
mod wrapper;

pub use error::{Error, ErrorKind};
pub use file::CheckpointFile;
pub use load::load_state_dict;
pub use loader::{
    CheckpointLoader, Located, load_checkpoint, load_file, open_checkpoint, open_checkpoint_with, register_scheme,
};
pub use options::{DtypePolicy, LoadOptions};
pub use pretrained::{PRETRAINED, PretrainedInit, register_pretrained};
pub use proposal::{Change, Proposal};
pub use report::{Difference, LoadReport, TensorType};
pub use revise::ReviseKeys;
pub use save::{SaveOptions, State, save_checkpoint};

/// Compiles the examples of the read-me file.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
