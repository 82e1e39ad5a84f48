//! The bundles of `mmcv.cnn`: [`ConvModule`], [`DepthwiseSeparableConvModule`], [`NonLocal`], [`ContextBlock`],
//! [`GeneralizedAttention`].

mod context_block;
mod conv_module;
mod depthwise_separable;
mod generalized_attention;
mod non_local;
pub mod transformer;

use mmcv_layers::{Build, Registry, add_all, build_from};
use mmcv_registry::Spec;
use once_cell::sync::Lazy;

pub use context_block::{ContextBlock, ContextBlockConfig};
pub use conv_module::{Bias, ConvModule, ConvModuleConfig, ForwardOptions, Order, Step, conv_module, conv_module_by};
pub use depthwise_separable::{DepthwiseSeparableConvModule, DepthwiseSeparableConvModuleConfig, Override};
pub use generalized_attention::{AttentionType, GeneralizedAttention, GeneralizedAttentionConfig};
pub use non_local::{Mode, NonLocal, NonLocalConfig};

/// The default registry of this crate, with its types and those of `mmcv-layers`. What is added to it is not in
/// [`mmcv_layers::MODELS`].
pub static MODELS: Lazy<Registry> = Lazy::new(new_registry);

/// A registry with the types of this crate and of `mmcv-layers`.
#[must_use]
pub fn new_registry() -> Registry {
    let registry = mmcv_layers::new_registry();
    add_all(&registry, [SPECS, transformer::SPECS]);
    registry
}

/// The registered bundles and plugins.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "brick",
        doc: "Convolution, normalisation and activation.",
        source: "mmcv ConvModule",
        fields: ConvModuleConfig::FIELDS,
        abbreviation: Some("conv_block"),
        ..Spec::new("ConvModule", conv_module::build)
    },
    Spec {
        group: "brick",
        doc: "A convolution over each channel alone, and one over all channels of each pixel.",
        source: "mmcv DepthwiseSeparableConvModule; Howard et al., MobileNets (2017)",
        fields: DepthwiseSeparableConvModuleConfig::FIELDS,
        ..Spec::new("DepthwiseSeparableConvModule", depthwise_separable::build)
    },
    non_local("NonLocal1d", "Attention over the pixels of 1 dimension.", non_local::build::<1>),
    Spec {
        abbreviation: Some("nonlocal_block"),
        ..non_local("NonLocal2d", "Attention over the pixels of 2 dimensions.", non_local::build::<2>)
    },
    non_local("NonLocal3d", "Attention over the pixels of 3 dimensions.", non_local::build::<3>),
    Spec {
        group: "plugin",
        doc: "Changes each channel by the context of all pixels.",
        source: "mmcv ContextBlock; Cao et al., GCNet (2019)",
        fields: ContextBlockConfig::FIELDS,
        abbreviation: Some("context_block"),
        ..Spec::new("ContextBlock", |arguments| build_from(arguments, ContextBlock::new))
    },
    Spec {
        group: "plugin",
        doc: "Attention with terms for content and for position.",
        source: "mmcv GeneralizedAttention; Zhu et al., An Empirical Study of Spatial Attention Mechanisms (2019)",
        fields: GeneralizedAttentionConfig::FIELDS,
        abbreviation: Some("gen_attention_block"),
        ..Spec::new("GeneralizedAttention", |arguments| build_from(arguments, GeneralizedAttention::new))
    },
];

const fn non_local(name: &'static str, doc: &'static str, build: Build) -> Spec<Build> {
    let source = "mmcv NonLocal2d; Wang et al., Non-local Neural Networks (2018)";
    Spec { group: "plugin", doc, source, fields: NonLocalConfig::FIELDS, ..Spec::new(name, build) }
}
