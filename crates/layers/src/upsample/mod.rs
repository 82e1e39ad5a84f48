//! Upsampling. Reference: mmcv/cnn/bricks/upsample.py.

mod interpolate;
mod pixel_shuffle;

use mmcv_registry::{Config, ConfigError, ConfigErrorKind, Dict, Spec};

pub use interpolate::{Interpolation, ScaleFactor, Upsample, UpsampleConfig};
pub use pixel_shuffle::{PixelShufflePack, PixelShufflePackConfig};

use crate::conv::{ConvTranspose, ConvTransposeConfig};
use crate::registry::{Build, Builder, build_from};
use crate::{Module, Result};

/// The registered upsampling layers.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "upsample",
        doc: "Each pixel takes the value of the nearest one.",
        source: "torch.nn.Upsample",
        fields: UpsampleConfig::FIELDS,
        ..Spec::new("nearest", |arguments| {
            build_from(arguments, |config| Upsample::new(Interpolation::Nearest, config))
        })
    },
    Spec {
        group: "upsample",
        doc: "Each pixel is interpolated between the four nearest ones.",
        source: "torch.nn.Upsample",
        fields: UpsampleConfig::FIELDS,
        ..Spec::new("bilinear", |arguments| {
            build_from(arguments, |config| Upsample::new(Interpolation::Bilinear, config))
        })
    },
    Spec {
        group: "upsample",
        doc: "Transposed convolution over 2 dimensions.",
        source: "torch.nn.ConvTranspose2d",
        fields: ConvTransposeConfig::FIELDS,
        aliases: &["ConvTranspose2d", "torch.nn.ConvTranspose2d"],
        ..Spec::new("deconv", |arguments| build_from(arguments, |config| ConvTranspose::new(2, config)))
    },
    Spec {
        group: "upsample",
        doc: "Transposed convolution over 3 dimensions.",
        source: "torch.nn.ConvTranspose3d",
        fields: ConvTransposeConfig::FIELDS,
        aliases: &["ConvTranspose3d", "torch.nn.ConvTranspose3d"],
        ..Spec::new("deconv3d", |arguments| build_from(arguments, |config| ConvTranspose::new(3, config)))
    },
    Spec {
        group: "upsample",
        doc: "A convolution that makes more channels, which are then rearranged into pixels.",
        source: "mmcv PixelShufflePack; Shi et al., Real-Time Single Image and Video Super-Resolution (2016)",
        fields: PixelShufflePackConfig::FIELDS,
        ..Spec::new("pixel_shuffle", |arguments| build_from(arguments, PixelShufflePack::new))
    },
];

/// The body of [`Builder::upsample`]: for interpolation a `mode` in the config is overwritten by the type, and one among
/// the arguments is given twice, as in the reference.
pub(crate) fn build(builder: &Builder<'_>, cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
    let (spec, mut dict) = builder.registry.resolve(cfg, &builder.path)?;
    if matches!(spec.name, "nearest" | "bilinear") {
        if arguments.contains_key("mode") {
            return Err(ConfigError::new(&builder.path.key("mode"), ConfigErrorKind::Duplicate)
                .in_type(spec.name)
                .into());
        }
        dict.remove("mode");
    }
    builder.build(&spec, dict, arguments)
}
