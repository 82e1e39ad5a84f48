//! Backbones and classifiers of the OpenMMLab model zoo.

mod backbone;
mod classifier;
mod mobilenet_v2;
mod preprocess;
mod recipe;
mod training_part;

use mmcv_layers::{Build, Registry, add_all, build_from};
use mmcv_registry::Spec;
use once_cell::sync::Lazy;

pub use backbone::Backbone;
pub use classifier::{
    GlobalAveragePooling, GlobalAveragePoolingConfig, ImageClassifier, ImageClassifierConfig, LinearClsHead,
    LinearClsHeadConfig,
};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use preprocess::{ChannelOrder, Preprocess};
pub use recipe::{CheckpointConfig, Classes, Recipe, ReviseKeysConfig};

/// The default registry with the types of this crate and of `mmcv-bricks` added: the same registry as
/// [`mmcv_layers::MODELS`].
pub static MODELS: Lazy<Registry> = Lazy::new(|| {
    let registry = mmcv_bricks::MODELS.clone();
    add_all(&registry, [SPECS]);
    mmcv_checkpoint::register_pretrained();
    registry
});

/// The registered networks and their parts.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "backbone",
        doc: "MobileNetV2 without classifier.",
        source: "mmpretrain MobileNetV2; Sandler et al., MobileNetV2 (2018)",
        fields: MobileNetV2Config::FIELDS,
        aliases: &["mmpretrain.MobileNetV2"],
        ..Spec::new("MobileNetV2", mobilenet_v2::build)
    },
    Spec {
        group: "classifier",
        doc: "A backbone, a neck and a head.",
        source: "mmpretrain ImageClassifier",
        fields: ImageClassifierConfig::FIELDS,
        aliases: &["mmpretrain.ImageClassifier"],
        ..Spec::new("ImageClassifier", classifier::build)
    },
    Spec {
        group: "neck",
        doc: "The mean over all pixels.",
        source: "mmpretrain GlobalAveragePooling",
        fields: GlobalAveragePoolingConfig::FIELDS,
        aliases: &["mmpretrain.GlobalAveragePooling"],
        ..Spec::new("GlobalAveragePooling", |arguments| build_from(arguments, GlobalAveragePooling::new))
    },
    Spec {
        group: "head",
        doc: "A linear layer that gives a score for each class.",
        source: "mmpretrain LinearClsHead",
        fields: LinearClsHeadConfig::FIELDS,
        aliases: &["mmpretrain.LinearClsHead"],
        ..Spec::new("LinearClsHead", |arguments| build_from(arguments, LinearClsHead::new))
    },
];
