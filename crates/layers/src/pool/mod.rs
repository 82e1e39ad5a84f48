//! Pooling. Reference: mmcv/cnn/bricks/wrappers.py, `torch.nn.MaxPool2d`.

mod average;
mod max;

use mmcv_registry::Spec;

pub use average::{AdaptiveAvgPool, AvgPool2d};
pub use max::{MaxPool, MaxPool2d, MaxPool3d, MaxPoolConfig};

use crate::{Build, Layer};

/// The registered pooling layers.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "pool",
        aliases: &["torch.nn.MaxPool2d"],
        doc: "The largest value of each window of 2 dimensions.",
        source: "torch.nn.MaxPool2d",
        ..MaxPool2d::SPEC
    },
    Spec {
        group: "pool",
        aliases: &["torch.nn.MaxPool3d"],
        doc: "The largest value of each window of 3 dimensions.",
        source: "torch.nn.MaxPool3d",
        ..MaxPool3d::SPEC
    },
];
