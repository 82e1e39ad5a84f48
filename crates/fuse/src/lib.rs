//! Inference rewriting: modules that give the same numbers in less time.
//!
//! [`fuse`] runs a module once, notes the operators that it calls, and makes of them a [`Fused`] module.
//! `docs/performance.md` says how it works and when to use what.

mod check;
mod deviation;
mod error;
mod ffi;
mod fused;
mod graph;
mod interpreter;
mod onednn;
mod ops;
mod options;
mod program;
mod rewrite;
mod sample;
mod trace;

pub use deviation::{Deviation, deviation, random_crops};
pub use error::{Error, Result};
pub use fused::{Fused, fuse, fuse_call};
pub use interpreter::Timing;
pub use onednn::onednn_version;
pub use options::{Backend, Dtype, FuseOptions};
pub use rewrite::available_operators;
