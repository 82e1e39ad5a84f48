//! Configurable layers on libtorch, with MMCV's names, defaults and initial values.
//!
//! Six functions build layers from dicts: [`build_conv_layer`], [`build_norm_layer`], [`build_activation_layer`],
//! [`build_upsample_layer`], [`build_padding_layer`] and [`build_plugin_layer`]. They look up the dict's `type` in
//! [`MODELS`]; [`Builder`] uses any registry. [`LayerConfig`] builds layers from typed arguments.
//!
//! After `tch::manual_seed(s)` the initial parameters of a layer are bit-identical to those of the Python reference.

// The derive macro refers to the crate by this name.
extern crate self as mmcv_layers;

pub mod activation;
mod boxed;
mod builder;
mod catalog;
pub mod containers;
pub mod conv;
pub mod drop;
mod error;
pub mod explain;
pub mod identity;
pub mod init;
mod key_mapping;
mod layer;
pub mod linear;
pub mod memory;
mod module;
pub mod norm;
pub mod observe;
mod ops;
pub mod padding;
pub mod pool;
mod registry;
pub mod scale;
mod scopes;
mod shape_error;
mod shape_mismatch;
mod size;
mod state;
pub mod upsample;

pub use builder::{
    Builder, build_activation_layer, build_conv_layer, build_norm_layer, build_padding_layer, build_plugin_layer,
    build_upsample_layer,
};
pub use catalog::{MODELS, SPECS, new_registry};
pub use containers::{ModuleDict, ModuleList, Sequential};
pub use error::{Error, ErrorKind, Result, first_line, torch_message};
pub use identity::Identity;
pub use init::InitCfg;
pub use key_mapping::KeyMapping;
pub use layer::{Build, BuildResult, Layer, LayerConfig, NamedBuildResult};
pub use linear::{Linear, LinearConfig};
pub use mmcv_derive::Module;
#[doc(hidden)]
pub use mmcv_registry::{Config, Dict};
pub use module::{
    AsModule, Forward, Module, NotSend, Output, Parts, Training, call_child, no_options, run_child, run_child_with,
    single_input,
};
pub use ops::scalar_like;
pub use registry::{Registry, add_all};
pub use shape_mismatch::ShapeMismatch;
pub use size::Size;
pub use state::{ModuleExt, TchModule, channels_last, join_path, named_modules};
