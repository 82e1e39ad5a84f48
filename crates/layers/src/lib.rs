//! Configurable layers on libtorch, with MMCV's names, defaults and initial values.
//!
//! A layer is described by a dict and built by one of six functions: [`build_conv_layer`], [`build_norm_layer`],
//! [`build_activation_layer`], [`build_upsample_layer`], [`build_padding_layer`] and [`build_plugin_layer`]. They look the
//! dict's `type` up in [`MODELS`]; [`Builder`] does the same with a registry of one's own.
//!
//! After `tch::manual_seed(s)` a layer has, bit for bit, the parameters that the Python reference gives it.

pub mod activation;
pub mod containers;
pub mod conv;
mod dialect;
pub mod drop;
mod error;
pub mod explain;
pub mod identity;
pub mod init;
pub mod linear;
pub mod memory;
mod module;
pub mod norm;
pub mod observe;
pub mod padding;
pub mod pool;
mod registry;
pub mod scale;
mod scopes;
mod shape;
mod size;
mod state;
pub mod upsample;

pub use containers::{ModuleDict, ModuleList, Sequential};
pub use dialect::KeyDialect;
pub use error::{Error, ErrorKind, Result, first_line, torch_message};
pub use identity::Identity;
pub use init::InitCfg;
pub use linear::{Linear, LinearConfig};
pub use module::{
    Module, NotSend, Output, Parts, Training, call_child, no_options, run_child, run_child_with, single_input,
};
pub use registry::{
    Arguments, Build, Builder, MODELS, Registry, SPECS, add_all, build_activation_layer, build_conv_layer, build_from,
    build_norm_layer, build_padding_layer, build_plugin_layer, build_upsample_layer, new_registry,
};
pub use shape::Misfit;
pub use size::{Size, number};
pub use state::{ModuleExt, TchModule, join, named_modules};
