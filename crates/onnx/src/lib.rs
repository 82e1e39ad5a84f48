//! Networks built from configs as ONNX files, for every other runtime.
//!
//! [`export`] traces a module's forward pass with `mmcv-fuse`, and writes its operators as ONNX's.

mod builder;
mod dims;
mod encode;
mod error;
mod export;
mod exporter;
mod image_input;
mod model;
mod operators;
mod options;
mod proto;

pub use error::{Error, ErrorKind, Result};
pub use export::{export, export_call};
pub use image_input::ImageInput;
pub use model::{Model, data_name};
pub use options::{OnnxOptions, Precision};
