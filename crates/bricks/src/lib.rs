//! The bundles of `mmcv.cnn`: [`ConvModule`] and, in later releases, the others.

mod conv_module;

use mmcv_layers::{Build, Registry, add_all};
use mmcv_registry::Spec;
use once_cell::sync::Lazy;

pub use conv_module::{Bias, ConvModule, ConvModuleConfig, Folded, ForwardOptions, Order, Step, conv_module};

/// The default registry with the types of this crate added: the same registry as [`mmcv_layers::MODELS`].
pub static MODELS: Lazy<Registry> = Lazy::new(|| {
    let registry = mmcv_layers::MODELS.clone();
    add_all(&registry, [SPECS]);
    registry
});

/// The registered bundles.
pub const SPECS: &[Spec<Build>] = &[Spec {
    group: "brick",
    doc: "Convolution, normalisation and activation.",
    source: "mmcv ConvModule",
    fields: ConvModuleConfig::FIELDS,
    abbreviation: Some("conv_block"),
    ..Spec::new("ConvModule", conv_module::build)
}];
