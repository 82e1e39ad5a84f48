//! One binary for the tests that need libtorch, so that it is linked once.
//!
//! A test runs on the device of `MMCV_TEST_DEVICE`, the CPU where it is not set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod checkpoints;
mod custom_layer;
mod downstream;
mod first_call;
mod found;
mod fuse;
mod fuse_inputs;
mod fuse_sizes;
mod fuse_start;
mod initialization;
mod keys;
mod layouts;
mod loading;
mod messages;
mod mmengine;
mod module;
mod multiply_adds;
mod never_panics;
mod observe;
mod preprocess;
mod registered;
mod repr;
mod resnet;
mod steps;
mod streams;
mod threads;
mod training;
mod weights;
mod winograd;
mod zoo_networks;
