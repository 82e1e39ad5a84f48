//! Tests of the public interface: files that torch made, hostile files, and files that this crate writes.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail like tests")]

#[path = "pth/arrays.rs"]
mod arrays;
#[path = "pth/casts.rs"]
mod casts;
#[path = "pth/classes.rs"]
mod classes;
#[path = "pth/compared.rs"]
mod compared;
#[path = "pth/converted.rs"]
mod converted;
#[path = "pth/corpus.rs"]
mod corpus;
#[path = "pth/forge.rs"]
mod forge;
#[path = "pth/found.rs"]
mod found;
#[path = "pth/good.rs"]
mod good;
#[path = "pth/hostile.rs"]
mod hostile;
#[path = "pth/limits.rs"]
mod limits;
#[path = "pth/replaced.rs"]
mod replaced;
#[path = "pth/sharded.rs"]
mod sharded;
#[path = "pth/shortened.rs"]
mod shortened;
#[path = "pth/verified.rs"]
mod verified;
#[path = "pth/written.rs"]
mod written;
#[path = "pth/zips.rs"]
mod zips;
