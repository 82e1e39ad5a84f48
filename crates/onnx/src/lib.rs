//! Networks built from configs as ONNX files, for every other runtime.
//!
//! [`export`] traces a module's forward pass with `mmcv-fuse`, and writes its operators as ONNX's. An operator that it does not know is
//! an error, unless [`OnnxOptions::translate`] says what it is.

mod builder;
mod dims;
mod encode;
mod error;
mod export;
mod exporter;
mod image_input;
mod model;
mod operator;
mod operators;
mod options;
mod proto;
mod translation;

pub use builder::Attribute;
pub use error::{Error, ErrorKind, Result};
pub use export::{export, export_call};
pub use image_input::ImageInput;
pub use model::{Model, data_name};
pub use options::{OnnxOptions, Precision};
pub use translation::Translator;
