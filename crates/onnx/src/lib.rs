//! Networks built from configs as ONNX files, for every other runtime.
//!
//! [`export`] traces a module's forward pass with `mmcv-fuse`, and writes its operators as ONNX's.

mod builder;
mod dims;
mod error;
mod export;
mod exporter;
mod model;
mod operators;
mod options;
mod proto;

pub use error::{Error, ErrorKind, Result};
pub use export::{export, export_call};
pub use model::Model;
pub use options::OnnxOptions;
