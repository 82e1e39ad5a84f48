//! Configurable layers on libtorch, with MMCV's names, defaults and initial values.
//!
//! A layer is described by a dict and built by one of six functions: [`build_conv_layer`], [`build_norm_layer`],
//! [`build_activation_layer`], [`build_upsample_layer`], [`build_padding_layer`] and [`build_plugin_layer`]. They look the
//! dict's `type` up in [`MODELS`]; [`Builder`] does the same with a registry of one's own.
//!
//! After `tch::manual_seed(s)` a layer has, bit for bit, the parameters that the Python reference gives it.

pub mod activation;
mod boxed;
mod builder;
mod catalogue;
pub mod containers;
pub mod conv;
mod dialect;
pub mod drop;
mod error;
pub mod explain;
pub mod identity;
pub mod init;
mod layer;
pub mod linear;
pub mod memory;
mod module;
pub mod norm;
pub mod observe;
pub mod padding;
pub mod pool;
pub mod scale;
mod scopes;
mod shape;
mod size;
mod state;
pub mod upsample;

pub use builder::{
    Builder, build_activation_layer, build_conv_layer, build_norm_layer, build_padding_layer, build_plugin_layer,
    build_upsample_layer,
};
pub use catalogue::{MODELS, SPECS, add_all, new_registry};
pub use containers::{ModuleDict, ModuleList, Sequential};
pub use dialect::KeyDialect;
pub use error::{Error, ErrorKind, Result, first_line, torch_message};
pub use identity::Identity;
pub use init::InitCfg;
pub use layer::{Build, BuildResult, Layer, LayerConfig, NamedBuildResult, Registry};
pub use linear::{Linear, LinearConfig};
#[doc(hidden)]
pub use mmcv_registry::{Config, Dict};
pub use module::{
    AsModule, Module, NotSend, Output, Parts, Training, call_child, no_options, run_child, run_child_with, single_input,
};
pub use shape::Misfit;
pub use size::{Size, number};
pub use state::{ModuleExt, TchModule, join, named_modules};
