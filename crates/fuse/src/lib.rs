//! Inference rewriting: modules that return the same numbers in less time.
//!
//! [`fuse`] runs a module once, notes the operators that it calls, and makes a [`Fused`] module from them.
//! `docs/performance.md` explains how it works and when to use what.

mod bridge;
mod call;
mod check;
mod convolution;
mod deviation;
mod error;
mod fused;
pub mod graph;
mod interpreter;
mod onednn;
mod options;
mod program;
mod quantize;
mod recorded;
mod rewrite;
mod sample;
mod shapes;
mod start;
mod state;
mod streams;
mod torchscript;
mod trace;

pub use deviation::{Deviation, deviation, random_crops};
pub use error::{Error, ErrorKind, Result};
pub use fused::{Fused, fuse, fuse_call, fuse_owned};
pub use interpreter::Timing;
pub use onednn::onednn_version;
pub use options::{Backend, FuseOptions, Precision, WinogradUse};
pub use quantize::{Calibration, CalibrationOptions, Quantization, QuantizedLayer, RangeMethod};
pub use rewrite::available_operators;
pub use streams::{Pending, StreamOptions, Streams};
pub use torchscript::save_torchscript;
