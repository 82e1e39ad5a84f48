//! Pooling. Reference: mmcv/cnn/bricks/wrappers.py, `torch.nn.MaxPool2d`.

mod average;
mod max;

use mmcv_registry::Spec;

pub use average::{AdaptiveAvgPool, AvgPool2d};
pub use max::{MaxPool, MaxPoolConfig};

use crate::registry::{Build, build_from};

/// The registered pooling layers.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "pool",
        doc: "The largest value of each window of 2 dimensions.",
        source: "torch.nn.MaxPool2d",
        fields: MaxPoolConfig::FIELDS,
        aliases: &["torch.nn.MaxPool2d"],
        ..Spec::new("MaxPool2d", |arguments| build_from(arguments, |config| MaxPool::new(2, config)))
    },
    Spec {
        group: "pool",
        doc: "The largest value of each window of 3 dimensions.",
        source: "torch.nn.MaxPool3d",
        fields: MaxPoolConfig::FIELDS,
        aliases: &["torch.nn.MaxPool3d"],
        ..Spec::new("MaxPool3d", |arguments| build_from(arguments, |config| MaxPool::new(3, config)))
    },
];
