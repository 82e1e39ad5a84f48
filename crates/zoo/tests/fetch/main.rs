//! Downloads from a misbehaving server on loopback: in this process (`library`) and through the command (`command`).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod command;
mod library;
mod server;
