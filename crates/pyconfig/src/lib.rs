//! Reads OpenMMLab's Python configs without Python.
//!
//! A config is a Python file, and mmengine runs it: whoever loads one runs any code in it. This crate evaluates the part of
//! the language that configs are written in, with Python's semantics and mmengine's rules of inheritance, and nothing else:
//! no file is opened but the config and its bases, nothing is imported, and limits on steps, memory and depth hold.
//!
//! ```no_run
//! use std::path::Path;
//!
//! let config = mmcv_pyconfig::load(Path::new("configs/resnet/resnet50_8xb32_in1k.py"), &Default::default())?;
//! println!("{}", config.to_json()?);
//! # Ok::<(), mmcv_pyconfig::Error>(())
//! ```
//!
//! Reference: `mmengine.Config.fromfile` of mmengine 0.10.

mod budget;
mod builtins;
mod config;
mod data;
mod error;
mod format;
mod interpreter;
mod limits;
mod origin;
mod output;
mod syntax;
mod value;

pub use config::{Config, LoadOptions, load, load_each};
pub use data::{Data, Entry, Place};
pub use error::{Error, ErrorKind, Position};

/// Compiles the example in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
