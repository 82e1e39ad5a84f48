//! Downloads from a misbehaving server on loopback: in this process (`transfer`, `cached`, `upkeep`) and
//! through the command (`command`, `hardship`, `locks`, `tls`).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, too")]

mod cached;
mod command;
mod hardship;
mod locks;
mod server;
mod setup;
mod tls;
mod transfer;
mod upkeep;
