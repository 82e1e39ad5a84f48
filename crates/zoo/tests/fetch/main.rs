//! Downloads from a misbehaving server on loopback: in this process (`transfer`, `cached`) and
//! through the command (`command`).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod cached;
mod command;
mod server;
mod setup;
mod transfer;
mod upkeep;
