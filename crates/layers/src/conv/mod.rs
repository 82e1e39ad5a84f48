//! Convolutions.

mod adaptive_padding;
#[allow(clippy::module_inception)]
mod conv;
mod convolution;
mod repr;
mod spectral_norm;
mod transposed;
mod weight_standardization;

use mmcv_registry::Spec;

pub use adaptive_padding::{Conv2dAdaptivePadding, same_padding, same_padding_of};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d, ConvConfig, Padding, PaddingMode};
pub use convolution::Convolution;
pub use transposed::{ConvTranspose, ConvTranspose2d, ConvTranspose3d, ConvTransposeConfig, TransposedPaddingMode};
pub use weight_standardization::{ConvAWS2d, ConvWS2d, ConvWSConfig, PlainConvConfig};

use crate::{Build, Layer};

/// The registered convolutions.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "conv",
        aliases: &["torch.nn.Conv1d"],
        doc: "Convolution over 1 dimension.",
        source: "torch.nn.Conv1d",
        ..Conv1d::SPEC
    },
    Spec {
        group: "conv",
        aliases: &["Conv", "torch.nn.Conv2d"],
        doc: "Convolution over 2 dimensions; the default if the config is null.",
        source: "torch.nn.Conv2d",
        ..Conv2d::SPEC
    },
    Spec {
        group: "conv",
        aliases: &["torch.nn.Conv3d"],
        doc: "Convolution over 3 dimensions.",
        source: "torch.nn.Conv3d",
        ..Conv3d::SPEC
    },
    Spec {
        group: "conv",
        doc: "2-D convolution whose weight is standardized.",
        source: "mmcv ConvWS2d; Qiao et al., Weight Standardization (2019)",
        ..ConvWS2d::SPEC
    },
    Spec {
        group: "conv",
        doc: "2-D convolution whose weight is standardized, with a learned mean and deviation.",
        source: "mmcv ConvAWS2d; Chen et al., DetectoRS (2020)",
        ..ConvAWS2d::SPEC
    },
    Spec {
        group: "conv",
        doc: "2-D convolution with TensorFlow's `same` padding.",
        source: "mmcv Conv2dAdaptivePadding",
        ..Conv2dAdaptivePadding::SPEC
    },
];
