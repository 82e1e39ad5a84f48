//! Files with the records of a shard, and their merging.
//!
//! A part `X.jsonl` has one record in each line, and nothing else. `X.jsonl.run` beside it says how it came to be. Until a part is
//! complete, both have other names: `X.jsonl.partial` and `X.jsonl.partial.run`.

mod error;
mod merge;
mod name;
mod resume;
mod sidecar;
#[cfg(test)]
mod tests;
mod writer;

pub use error::PartError;
pub use merge::{Parts, merge};
pub use name::{Output, output};
pub use sidecar::{Sidecar, Totals};
pub use writer::{Opened, Part};
