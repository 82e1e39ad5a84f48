//! Normalizations. Reference: mmcv/cnn/bricks/norm.py.

mod batch_norm;
mod check;
mod group_norm;
mod instance_norm;
mod layer_norm;
mod sync;

use mmcv_registry::Spec;

pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormConfig, BatchNormKind, SyncBatchNorm};
pub use group_norm::{GroupNorm, GroupNormConfig};
pub use instance_norm::{InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, InstanceNormConfig};
pub use layer_norm::{LayerNorm, LayerNormConfig};
pub use sync::{SyncGroup, SyncNorm, convert_sync_batchnorm, revert_sync_batchnorm, set_sync_group};

use crate::{Build, Layer};

/// The registered normalizations.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "norm",
        aliases: &["torch.nn.BatchNorm1d"],
        doc: "Batch norm of 2-D or 3-D input.",
        source: "torch.nn.BatchNorm1d",
        abbreviation: Some("bn"),
        channels: Some("num_features"),
        ..BatchNorm1d::SPEC
    },
    Spec {
        group: "norm",
        aliases: &["BN", "torch.nn.BatchNorm2d"],
        doc: "Batch norm of 4-D input.",
        source: "torch.nn.BatchNorm2d",
        abbreviation: Some("bn"),
        channels: Some("num_features"),
        ..BatchNorm2d::SPEC
    },
    Spec {
        group: "norm",
        aliases: &["torch.nn.BatchNorm3d"],
        doc: "Batch norm of 5-D input.",
        source: "torch.nn.BatchNorm3d",
        abbreviation: Some("bn"),
        channels: Some("num_features"),
        ..BatchNorm3d::SPEC
    },
    Spec {
        group: "norm",
        aliases: &["torch.nn.SyncBatchNorm"],
        doc: "Batch norm of input of any dimension, over the input of all processes.",
        source: "torch.nn.SyncBatchNorm",
        abbreviation: Some("bn"),
        channels: Some("num_features"),
        ..SyncBatchNorm::SPEC
    },
    Spec {
        group: "norm",
        aliases: &["torch.nn.GroupNorm"],
        doc: "Group norm.",
        source: "torch.nn.GroupNorm; Wu and He, Group Normalization (2018)",
        abbreviation: Some("gn"),
        channels: Some("num_channels"),
        ..GroupNorm::SPEC
    },
    Spec {
        group: "norm",
        aliases: &["torch.nn.LayerNorm"],
        doc: "Layer norm over the last dimensions.",
        source: "torch.nn.LayerNorm; Ba et al., Layer Normalization (2016)",
        abbreviation: Some("ln"),
        channels: Some("normalized_shape"),
        ..LayerNorm::SPEC
    },
    Spec {
        group: "norm",
        aliases: &["torch.nn.InstanceNorm1d"],
        doc: "Instance norm of 2-D or 3-D input.",
        source: "torch.nn.InstanceNorm1d",
        abbreviation: Some("in"),
        channels: Some("num_features"),
        ..InstanceNorm1d::SPEC
    },
    Spec {
        group: "norm",
        aliases: &["IN", "torch.nn.InstanceNorm2d"],
        doc: "Instance norm of 3-D or 4-D input.",
        source: "torch.nn.InstanceNorm2d",
        abbreviation: Some("in"),
        channels: Some("num_features"),
        ..InstanceNorm2d::SPEC
    },
    Spec {
        group: "norm",
        aliases: &["torch.nn.InstanceNorm3d"],
        doc: "Instance norm of 4-D or 5-D input.",
        source: "torch.nn.InstanceNorm3d",
        abbreviation: Some("in"),
        channels: Some("num_features"),
        ..InstanceNorm3d::SPEC
    },
];
