//! Tests of the public interface: files that torch made, hostile files, and files that this crate writes.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod arrays;
mod casts;
mod classes;
mod compared;
mod converted;
mod corpus;
mod forge;
mod found;
mod good;
mod hostile;
mod limits;
mod replaced;
mod sharded;
mod shortened;
mod verified;
mod written;
mod zips;
