//! Transformer bricks. Reference: mmcv/cnn/bricks/transformer.py; Vaswani et al., Attention Is All You Need (2017).

mod adaptive_padding;
mod attention;
mod ffn;
mod layer;
mod multihead;
mod patch;
mod unfold;

use mmcv_layers::Build;
use mmcv_registry::{Config, Dict, Spec};
use tch::Tensor;

use mmcv_layers::{Builder, Identity, Layer, Module, Result};

pub use adaptive_padding::{AdaptivePadding, AdaptivePaddingConfig, PadMode};
pub use attention::{MultiheadAttention, MultiheadAttentionConfig};
pub use ffn::{FFN, FFNConfig};
pub use layer::{
    BaseTransformerLayer, BaseTransformerLayerConfig, Operation, TransformerLayerSequence,
    TransformerLayerSequenceConfig,
};
pub use patch::{PatchEmbed, PatchEmbedConfig, PatchMerging, PatchMergingConfig, PatchMergingOptions, PatchPadding};

/// The registered transformer bricks.
pub(crate) const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "transformer",
        doc: "Attention with several heads and a shortcut.",
        source: "mmcv MultiheadAttention, torch.nn.MultiheadAttention; Vaswani et al. (2017)",
        ..MultiheadAttention::SPEC
    },
    Spec {
        group: "transformer",
        doc: "Linear layers on each position alone, and a shortcut.",
        source: "mmcv FFN; Vaswani et al. (2017)",
        ..FFN::SPEC
    },
    Spec {
        group: "transformer",
        doc: "Attentions, feed-forward networks and norms in a given order.",
        source: "mmcv BaseTransformerLayer",
        ..BaseTransformerLayer::SPEC
    },
    Spec {
        group: "transformer",
        doc: "Transformer layers one after the other.",
        source: "mmcv TransformerLayerSequence",
        ..TransformerLayerSequence::SPEC
    },
    Spec {
        group: "transformer",
        doc: "Pads an image so that windows cover all of it.",
        source: "mmcv AdaptivePadding",
        ..AdaptivePadding::SPEC
    },
    Spec {
        group: "transformer",
        doc: "An image as a sequence of embedded patches.",
        source: "mmcv PatchEmbed; Dosovitskiy et al., An Image Is Worth 16x16 Words (2020)",
        ..PatchEmbed::SPEC
    },
    Spec {
        group: "transformer",
        doc: "Merges neighbouring patches.",
        source: "mmcv PatchMerging; Liu et al., Swin Transformer (2021)",
        ..PatchMerging::SPEC
    },
];

/// The inputs of a forward pass by place; one that is missing or undefined is `None`.
fn optional<'a>(inputs: &[&'a Tensor], place: usize) -> Option<&'a Tensor> {
    inputs.get(place).copied().filter(|tensor| tensor.defined())
}

/// The dropout of a config; [`Identity`] for null or an empty dict.
fn build_dropout(builder: &Builder<'_>, cfg: Option<&Dict>) -> Result<Box<dyn Module>> {
    match cfg.filter(|cfg| !cfg.is_empty()) {
        Some(cfg) => builder.model(&Config::Dict(cfg.clone())),
        None => Ok(Box::new(Identity)),
    }
}
