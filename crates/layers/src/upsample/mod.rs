//! Upsampling. Reference: mmcv/cnn/bricks/upsample.py.

mod interpolate;
mod pixel_shuffle;

use mmcv_registry::Spec;

pub use interpolate::{BilinearUpsample, Interpolation, NearestUpsample, ScaleFactor, Upsample, UpsampleConfig};
pub use pixel_shuffle::{PixelShufflePack, PixelShufflePackConfig};

use crate::conv::{ConvTranspose2d, ConvTranspose3d};
use crate::{Build, Layer};

/// The registered upsampling layers.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "upsample",
        doc: "Nearest-neighbor interpolation.",
        source: "torch.nn.Upsample",
        decided: &["mode"],
        ..NearestUpsample::SPEC
    },
    Spec {
        group: "upsample",
        doc: "Bilinear interpolation.",
        source: "torch.nn.Upsample",
        decided: &["mode"],
        ..BilinearUpsample::SPEC
    },
    Spec {
        group: "upsample",
        aliases: &["ConvTranspose2d", "torch.nn.ConvTranspose2d"],
        doc: "Transposed convolution over 2 dimensions.",
        source: "torch.nn.ConvTranspose2d",
        ..ConvTranspose2d::SPEC
    },
    Spec {
        group: "upsample",
        aliases: &["ConvTranspose3d", "torch.nn.ConvTranspose3d"],
        doc: "Transposed convolution over 3 dimensions.",
        source: "torch.nn.ConvTranspose3d",
        ..ConvTranspose3d::SPEC
    },
    Spec {
        group: "upsample",
        doc: "A convolution to more channels, which are then rearranged into pixels.",
        source: "mmcv PixelShufflePack; Shi et al., Real-Time Single Image and Video Super-Resolution (2016)",
        ..PixelShufflePack::SPEC
    },
];
