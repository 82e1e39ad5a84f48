//! Transformer bricks. Reference: mmcv/cnn/bricks/transformer.py; Vaswani et al., Attention Is All You Need (2017).

mod adaptive_padding;
mod attention;
mod ffn;
mod layer;
mod multihead;
mod patch;
mod unfold;

use mmcv_layers::{Build, Builder, Identity, Layer, Module, Result};
use mmcv_registry::{Config, Dict, Spec};
use tch::Tensor;

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
        doc: "Multi-head attention with a shortcut.",
        source: "mmcv MultiheadAttention, torch.nn.MultiheadAttention; Vaswani et al. (2017)",
        ..MultiheadAttention::SPEC
    },
    Spec {
        group: "transformer",
        doc: "Linear layers applied to each position, with a shortcut.",
        source: "mmcv FFN; Vaswani et al. (2017)",
        ..FFN::SPEC
    },
    Spec {
        group: "transformer",
        doc: "Attentions, feed-forward networks and norms in a configurable order.",
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
        doc: "Pads an image so that the windows of a convolution cover all of it.",
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
        doc: "Merges neighboring patches.",
        source: "mmcv PatchMerging; Liu et al., Swin Transformer (2021)",
        ..PatchMerging::SPEC
    },
];

/// The input of a forward pass at a position; `None` if it is missing or undefined.
fn optional<'a>(inputs: &[&'a Tensor], position: usize) -> Option<&'a Tensor> {
    match inputs.get(position) {
        Some(tensor) if tensor.defined() => Some(tensor),
        _ => None,
    }
}

/// The dropout of a config; [`Identity`] for null or an empty dict.
fn build_dropout(builder: &Builder<'_>, cfg: Option<&Dict>) -> Result<Box<dyn Module>> {
    match cfg {
        Some(cfg) if !cfg.is_empty() => builder.model(&Config::Dict(cfg.clone())),
        _ => Ok(Box::new(Identity::default())),
    }
}
