//! The model zoo: model names to URLs, a cache folder, verified downloads.
//!
//! ```no_run
//! use mmcv_zoo::{FetchOptions, Zoo};
//!
//! let file = Zoo::from_env()?.fetch("open-mmlab://resnet50_v1c", &FetchOptions::default())?;
//! # Ok::<(), mmcv_zoo::Error>(())
//! ```
//!
//! The digest in the name of a published file (`resnet50-0676ba61.pth`) is a prefix of its SHA-256. It is checked while
//! the file arrives, and the file gets its name in the cache only once it is complete and right. The crate prints
//! nothing: progress goes to a closure, warnings to the `log` crate.
//!
//! # Features
//! `network`, a default feature, is for downloads. Without it, a file that is not in the cache is an error.
//!
//! [`SCHEMES`] is the table of all schemes; `docs/adding-a-scheme.md` in the repository explains how to add one.

// What only downloads use has no use without them.
#![cfg_attr(not(feature = "network"), allow(dead_code, unused_variables))]

mod bundle;
mod cache;
mod digest;
mod download;
mod error;
mod fetch;
mod fs_util;
#[cfg(feature = "network")]
mod http;
mod locate;
#[cfg(not(feature = "network"))]
mod no_network;
mod options;
mod prune;
mod redact;
mod resolve;
mod scheme;
mod source_url;
mod tables;
mod verify;
mod zoo;

pub use digest::{Digest, InvalidDigest};
pub use error::{Error, ErrorKind};
pub use locate::Location;
pub use options::{FetchOptions, Network, Progress};
pub use prune::{PruneOptions, Pruned};
pub use redact::{escape, redact};
pub use resolve::Resolved;
pub use scheme::{NameTable, SCHEMES, Scheme, is_scheme_name};
pub use source_url::SourceUrl;
pub use tables::lockfile::LockedFile;
pub use verify::{Status, Verified};
pub use zoo::Zoo;

/// Compiles the examples in README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
