//! Transformer bricks. Reference: mmcv/cnn/bricks/transformer.py; Vaswani et al., Attention Is All You Need (2017).

mod adaptive_padding;
mod attention;
mod ffn;
mod layer;
mod multihead;
mod patch;
mod unfold;

use mmcv_layers::{Build, build_from};
use mmcv_registry::{Config, Dict, Spec};
use tch::Tensor;

use mmcv_layers::{Builder, Identity, Module, Result};

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
        fields: MultiheadAttentionConfig::FIELDS,
        ..Spec::new("MultiheadAttention", attention::build)
    },
    Spec {
        group: "transformer",
        doc: "Linear layers on each position alone, and a shortcut.",
        source: "mmcv FFN; Vaswani et al. (2017)",
        fields: FFNConfig::FIELDS,
        ..Spec::new("FFN", ffn::build)
    },
    Spec {
        group: "transformer",
        doc: "Attentions, feed-forward networks and norms in a given order.",
        source: "mmcv BaseTransformerLayer",
        fields: BaseTransformerLayerConfig::FIELDS,
        ..Spec::new("BaseTransformerLayer", layer::build)
    },
    Spec {
        group: "transformer",
        doc: "Transformer layers one after the other.",
        source: "mmcv TransformerLayerSequence",
        fields: TransformerLayerSequenceConfig::FIELDS,
        ..Spec::new("TransformerLayerSequence", layer::build_sequence)
    },
    Spec {
        group: "transformer",
        doc: "Pads an image so that windows cover all of it.",
        source: "mmcv AdaptivePadding",
        fields: AdaptivePaddingConfig::FIELDS,
        ..Spec::new("AdaptivePadding", |arguments| build_from(arguments, AdaptivePadding::new))
    },
    Spec {
        group: "transformer",
        doc: "An image as a sequence of embedded patches.",
        source: "mmcv PatchEmbed; Dosovitskiy et al., An Image Is Worth 16x16 Words (2020)",
        fields: PatchEmbedConfig::FIELDS,
        ..Spec::new("PatchEmbed", patch::build_embed)
    },
    Spec {
        group: "transformer",
        doc: "Merges neighbouring patches.",
        source: "mmcv PatchMerging; Liu et al., Swin Transformer (2021)",
        fields: PatchMergingConfig::FIELDS,
        ..Spec::new("PatchMerging", patch::build_merging)
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
