//! Checkpoints: found by their scheme, matched to a module, loaded and saved.
//!
//! ```no_run
//! use mmcv_checkpoint::{LoadOptions, load_checkpoint};
//! # fn load(module: &dyn mmcv_layers::Module) -> Result<(), mmcv_checkpoint::Error> {
//! let report = load_checkpoint(module, "torchvision://mobilenet_v2", &LoadOptions::default())?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```

mod error;
mod load;
mod report;
mod revise;
mod save;
mod tensor;

pub use error::{Error, ErrorKind};
pub use load::{LoadOptions, load_checkpoint, load_file, locate};
pub use report::{LoadReport, Mismatch};
pub use revise::ReviseKeys;
pub use save::{Entry, read_tensors, save_checkpoint};
