//! The bricks of `mmcv.cnn`: [`ConvModule`], [`DepthwiseSeparableConvModule`], [`NonLocal`], [`ContextBlock`],
//! [`GeneralizedAttention`], and the [`transformer`] bricks.

mod context_block;
mod conv_module;
mod depthwise_separable;
mod generalized_attention;
mod non_local;
pub mod transformer;

use mmcv_layers::{Build, Layer, Registry, add_all};
use mmcv_registry::Spec;
use once_cell::sync::Lazy;

pub use context_block::{ContextBlock, ContextBlockConfig};
pub use conv_module::{
    ConvBias, ConvModule, ConvModuleConfig, ConvOrder, ConvStep, ForwardOptions, conv_module, conv_module_by,
};
pub use depthwise_separable::{DepthwiseSeparableConvModule, DepthwiseSeparableConvModuleConfig, LayerOverride};
pub use generalized_attention::{AttentionType, GeneralizedAttention, GeneralizedAttentionConfig};
pub use non_local::{NonLocal, NonLocal1d, NonLocal2d, NonLocal3d, NonLocalConfig, NonLocalMode};

/// The default registry of this crate, with its types and those of `mmcv-layers`. Types added to it are not added to
/// [`mmcv_layers::MODELS`].
pub static MODELS: Lazy<Registry> = Lazy::new(new_registry);

/// A registry with the types of this crate and of `mmcv-layers`.
#[must_use]
pub fn new_registry() -> Registry {
    let registry = mmcv_layers::new_registry();
    add_all(&registry, SPECS);
    add_all(&registry, transformer::SPECS);
    registry
}

/// The registered bricks and plugins.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "brick",
        doc: "Convolution, normalization and activation.",
        source: "mmcv ConvModule",
        abbreviation: Some("conv_block"),
        ..ConvModule::SPEC
    },
    Spec {
        group: "brick",
        doc: "A depthwise convolution followed by a pointwise convolution.",
        source: "mmcv DepthwiseSeparableConvModule; Howard et al., MobileNets (2017)",
        ..DepthwiseSeparableConvModule::SPEC
    },
    Spec {
        group: "plugin",
        doc: "Attention over the pixels of 1 dimension.",
        source: "mmcv NonLocal2d; Wang et al., Non-local Neural Networks (2018)",
        ..NonLocal1d::SPEC
    },
    Spec {
        group: "plugin",
        doc: "Attention over the pixels of 2 dimensions.",
        source: "mmcv NonLocal2d; Wang et al., Non-local Neural Networks (2018)",
        abbreviation: Some("nonlocal_block"),
        ..NonLocal2d::SPEC
    },
    Spec {
        group: "plugin",
        doc: "Attention over the pixels of 3 dimensions.",
        source: "mmcv NonLocal2d; Wang et al., Non-local Neural Networks (2018)",
        ..NonLocal3d::SPEC
    },
    Spec {
        group: "plugin",
        doc: "Shifts and scales each channel by the context of all pixels.",
        source: "mmcv ContextBlock; Cao et al., GCNet (2019)",
        abbreviation: Some("context_block"),
        ..ContextBlock::SPEC
    },
    Spec {
        group: "plugin",
        doc: "Attention with terms for content and for position.",
        source: "mmcv GeneralizedAttention; Zhu et al., An Empirical Study of Spatial Attention Mechanisms (2019)",
        abbreviation: Some("gen_attention_block"),
        ..GeneralizedAttention::SPEC
    },
];
