//! Convolutions.

mod adaptive_padding;
#[allow(clippy::module_inception)]
mod conv;
mod repr;
mod spectral_norm;
mod standardised;
mod transposed;

use std::any::Any;

use mmcv_registry::Spec;

pub use adaptive_padding::{Conv2dAdaptivePadding, same_padding, same_padding_of};
pub use conv::{Conv, ConvConfig, Padding, PaddingMode};
pub use standardised::{ConvAWS2d, ConvWS2d, ConvWSConfig, PlainConvConfig};
pub use transposed::{ConvTranspose, ConvTransposeConfig, TransposedPaddingMode};

use crate::registry::{Build, build_from};
use crate::{Error, Module, Result};

/// The registered convolutions.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "conv",
        doc: "Convolution over 1 dimension.",
        source: "torch.nn.Conv1d",
        fields: ConvConfig::FIELDS,
        aliases: &["torch.nn.Conv1d"],
        ..Spec::new("Conv1d", |arguments| build_from(arguments, |config| Conv::new(1, config)))
    },
    Spec {
        group: "conv",
        doc: "Convolution over 2 dimensions; what is built where no config is given.",
        source: "torch.nn.Conv2d",
        fields: ConvConfig::FIELDS,
        aliases: &["Conv", "torch.nn.Conv2d"],
        ..Spec::new("Conv2d", |arguments| build_from(arguments, |config| Conv::new(2, config)))
    },
    Spec {
        group: "conv",
        doc: "Convolution over 3 dimensions.",
        source: "torch.nn.Conv3d",
        fields: ConvConfig::FIELDS,
        aliases: &["torch.nn.Conv3d"],
        ..Spec::new("Conv3d", |arguments| build_from(arguments, |config| Conv::new(3, config)))
    },
    Spec {
        group: "conv",
        doc: "2-D convolution whose weight is standardised.",
        source: "mmcv ConvWS2d; Qiao et al., Weight Standardization (2019)",
        fields: ConvWSConfig::FIELDS,
        ..Spec::new("ConvWS", |arguments| build_from(arguments, ConvWS2d::new))
    },
    Spec {
        group: "conv",
        doc: "2-D convolution whose weight is standardised, with a mean and a deviation of its own.",
        source: "mmcv ConvAWS2d; Chen et al., DetectoRS (2020)",
        fields: PlainConvConfig::FIELDS,
        ..Spec::new("ConvAWS", |arguments| build_from(arguments, ConvAWS2d::new))
    },
    Spec {
        group: "conv",
        doc: "2-D convolution that pads as TensorFlow's `same`.",
        source: "mmcv Conv2dAdaptivePadding",
        fields: PlainConvConfig::FIELDS,
        ..Spec::new("Conv2dAdaptivePadding", |arguments| build_from(arguments, Conv2dAdaptivePadding::new))
    },
];

/// The plain convolution of a module: itself, or what it is built around; `None` where it has none.
#[must_use]
pub fn plain(module: &dyn Module) -> Option<&Conv> {
    let module: &dyn Any = module;
    let around = module.downcast_ref::<ConvWS2d>().map(ConvWS2d::conv);
    let around = around.or_else(|| module.downcast_ref::<ConvAWS2d>().map(ConvAWS2d::conv));
    let around = around.or_else(|| module.downcast_ref::<Conv2dAdaptivePadding>().map(Conv2dAdaptivePadding::conv));
    around.or_else(|| module.downcast_ref())
}

/// Adds spectral norm to a convolution of this crate.
///
/// # Errors
/// Where the module is no convolution of this crate, or libtorch fails.
pub fn add_spectral_norm(module: &mut dyn Module) -> Result<()> {
    let name = module.name();
    let module: &mut dyn Any = module;
    if let Some(conv) = module.downcast_mut::<ConvTranspose>() {
        return conv.add_spectral_norm();
    }
    let conv = if module.is::<ConvWS2d>() {
        module.downcast_mut::<ConvWS2d>().map(ConvWS2d::conv_mut)
    } else if module.is::<ConvAWS2d>() {
        module.downcast_mut::<ConvAWS2d>().map(ConvAWS2d::conv_mut)
    } else if module.is::<Conv2dAdaptivePadding>() {
        module.downcast_mut::<Conv2dAdaptivePadding>().map(Conv2dAdaptivePadding::conv_mut)
    } else {
        module.downcast_mut::<Conv>()
    };
    match conv {
        Some(conv) => conv.add_spectral_norm(),
        None => Err(Error::unsupported(format!("{name} cannot have spectral norm: set with_spectral_norm to false"))),
    }
}
