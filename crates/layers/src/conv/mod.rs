//! Convolutions.

#[allow(clippy::module_inception)]
mod conv;
mod spectral_norm;
mod transposed;

use mmcv_registry::Spec;

pub use conv::{Conv, ConvConfig, Padding, PaddingMode};
pub use transposed::{ConvTranspose, ConvTransposeConfig};

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
];

/// Adds spectral norm to a convolution of this crate.
///
/// # Errors
/// Where the module is no convolution of this crate, or libtorch fails.
pub fn add_spectral_norm(module: &mut dyn Module) -> Result<()> {
    let name = module.name();
    let module: &mut dyn std::any::Any = module;
    if let Some(conv) = module.downcast_mut::<Conv>() {
        return conv.add_spectral_norm();
    }
    match module.downcast_mut::<ConvTranspose>() {
        Some(conv) => conv.add_spectral_norm(),
        None => Err(Error::unsupported(format!("{name} cannot have spectral norm: set with_spectral_norm to false"))),
    }
}
