//! The CNN building blocks of MMCV for Rust: the crates of the workspace under one name.
//!
//! [`prelude`] has what most programs need.
//!
//! # Features
//! | feature | default | |
//! | --- | --- | --- |
//! | `distributed` | no | `mmcv::distributed`: training on many devices and machines |
//! | `fuse` | yes | `mmcv::fuse`: networks rewritten for inference |
//! | `training` | no | `mmcv::training`: mixed precision and fused optimizers |
//! | `zoo` | yes | `mmcv::zoo`, and downloads of checkpoints |
//! | `pyconfig` | no | `Config::from_file` reads OpenMMLab's `.py` configs, and YAML and JSON as mmengine does |
//! | `download-libtorch` | no | the build downloads libtorch, so that `LIBTORCH` need not be set |
//! | `doc-only` | no | the documentation builds without libtorch |
#![doc = include_str!("../README.md")]

pub use mmcv_bricks as bricks;
pub use mmcv_checkpoint as checkpoint;
#[cfg(feature = "distributed")]
pub use mmcv_distributed as distributed;
#[cfg(feature = "fuse")]
pub use mmcv_fuse as fuse;
pub use mmcv_layers as layers;
pub use mmcv_models as models;
pub use mmcv_pth as pth;
pub use mmcv_registry as registry;
#[cfg(feature = "training")]
pub use mmcv_training as training;
#[cfg(feature = "zoo")]
pub use mmcv_zoo as zoo;

pub use mmcv_layers::Builder;
pub use mmcv_models::MODELS;

mod builders;

pub use builders::{
    build_activation_layer, build_conv_layer, build_model, build_norm_layer, build_padding_layer, build_plugin_layer,
    build_upsample_layer, conv_module,
};

/// What most programs need.
pub mod prelude {
    pub use crate::{
        Builder, MODELS, build_activation_layer, build_conv_layer, build_model, build_norm_layer, build_padding_layer,
        build_plugin_layer, build_upsample_layer, conv_module,
    };
    pub use mmcv_bricks::{ConvModule, ConvModuleConfig};
    pub use mmcv_checkpoint::{LoadOptions, load_checkpoint};
    pub use mmcv_layers::{Forward, Layer, LayerConfig, Module, ModuleExt};
    pub use mmcv_registry::{Config, Dict, Spec, config, dict};
}
