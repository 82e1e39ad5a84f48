//! The CNN building blocks of MMCV for Rust: the crates of the workspace under one name.

pub use mmcv_bricks as bricks;
pub use mmcv_checkpoint as checkpoint;
pub use mmcv_fuse as fuse;
pub use mmcv_layers as layers;
pub use mmcv_models as models;
pub use mmcv_pth as pth;
pub use mmcv_registry as registry;
pub use mmcv_zoo as zoo;

pub use mmcv_models::MODELS;
