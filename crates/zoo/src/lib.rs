//! The model zoo: names to URLs, the cache folder, verified downloads.
//!
//! ```no_run
//! use mmcv_zoo::{FetchOptions, Zoo};
//!
//! let file = Zoo::from_env()?.fetch("open-mmlab://resnet50_v1c", &FetchOptions::default())?;
//! # Ok::<(), mmcv_zoo::Error>(())
//! ```
//!
//! The digest in a published file name (`resnet50-0676ba61.pth`) is the beginning of the file's SHA-256. It is checked
//! while the file arrives, and the file gets its name in the cache only when it is whole and right. The crate prints
//! nothing: progress goes to a closure, warnings to the `log` crate.

mod bundle;
mod cache;
mod certificates;
mod credentials;
mod digest;
mod download;
mod error;
mod fetch;
mod guard;
mod home;
mod http;
mod interim;
mod json;
mod known;
mod lock;
mod maintain;
mod mirrors;
mod options;
mod partial;
mod patience;
mod proxy;
mod resolve;
mod retry_after;
mod settings;
mod source;
mod tables;
mod whereabouts;
mod zoo;

pub use digest::{Digest, InvalidDigest};
pub use error::{Error, ErrorKind};
pub use lock::LockedFile;
pub use maintain::{PruneOptions, Pruned, Status, Verified};
pub use options::{FetchOptions, Network, Progress};
pub use resolve::Resolved;
pub use source::{SourceUrl, escape, redact};
pub use whereabouts::Whereabouts;
pub use zoo::Zoo;

/// Compiles the examples of the read-me file.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
