//! The part of the `mmcv` command that works without libtorch: its commands `config`, `ckpt` and `zoo`, and what these share
//! with the others. It is no API for other programs.

#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    clippy::new_without_default,
    reason = "it is no API, and clap prefers the documentation of a variant to that of its arguments"
)]

pub mod args;
pub mod commands;
pub mod failure;
pub mod format;
pub mod list;
pub mod ordered;
pub mod output;
pub mod parts;
pub mod progress;
pub mod shard;
mod start;

pub use failure::Failure;
pub use start::{fail, run, start_logging};
