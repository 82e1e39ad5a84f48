//! Loading and saving with small networks: in files of all kinds, by all schemes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests, too")]

#[allow(dead_code, reason = "the tests of mmcv-pth use more of it")]
#[path = "../../../pth/tests/pth/forge.rs"]
mod forge;

mod files;
mod matching;
mod memory;
mod saving;
mod schemes;
mod setup;
