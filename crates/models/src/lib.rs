//! Backbones and classifiers of the OpenMMLab model zoo.

mod alexnet;
mod backbone;
mod classifier;
mod gap;
mod gem;
mod heads;
mod hrnet;
mod mobilenet_v2;
mod preprocess;
mod project;
mod recipe;
mod regnet;
mod res2net;
mod resnet;
mod resnext;
mod scopes;
mod training_part;
mod vgg;
mod zoo;

use mmcv_layers::{Build, Layer, Registry, add_all};
use mmcv_registry::Spec;
use once_cell::sync::Lazy;

pub use alexnet::{AlexNet, AlexNetConfig};
pub use backbone::Backbone;
pub use classifier::{ImageClassifier, ImageClassifierConfig};
pub use gap::{GlobalAveragePooling, GlobalAveragePoolingConfig};
pub use gem::{GeneralizedMeanPooling, GeneralizedMeanPoolingConfig};
pub use heads::{
    ClsHead, ClsHeadConfig, LinearClsHead, LinearClsHeadConfig, MultiLabelLinearClsHead, MultiLabelLinearClsHeadConfig,
};
pub use hrnet::{HRBlock, HRFuseScales, HRFuseScalesConfig, HRNet, HRNetConfig, HRNetExtra, HRStageConfig};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use preprocess::{
    CenterCropConfig, ChannelOrder, Edge, ExifOrientation, Factors, ImageStep, Interpolation, Preprocess,
    ResizeBackend, ResizeConfig, ResizeEdgeConfig, WidthHeight,
};
pub use project::{Project, ProjectNetwork};
pub use recipe::{CheckpointConfig, ClassNames, Recipe, ReviseKeysConfig};
pub use regnet::{RegNet, RegNetArch, RegNetConfig, RegNetParams};
pub use res2net::{Res2Net, Res2NetConfig};
pub use resnet::{
    PluginConfig, PluginPosition, ResNet, ResNetConfig, ResNetOptions, ResNetStyle, ResNetV1c, ResNetV1cConfig,
    ResNetV1d, ResNetV1dConfig,
};
pub use resnext::{ResNeXt, ResNeXtConfig};
pub use vgg::{VGG, VGGConfig};
pub use zoo::{Pretrained, PublishedFigures, ZooEntry, ZooError, from_zoo, zoo_entries, zoo_entry, zoo_entry_of_file};

/// The default registry, with the types of this crate, of `mmcv-bricks` and of `mmcv-layers`. Types added to it are not
/// added to the registries of those crates.
pub static MODELS: Lazy<Registry> = Lazy::new(new_registry);

/// A registry with the types of this crate, of `mmcv-bricks` and of `mmcv-layers`, and the initializer `Pretrained`.
#[must_use]
pub fn new_registry() -> Registry {
    let registry = mmcv_bricks::new_registry();
    add_all(&registry, SPECS);
    registry.accept_scope("mmdet", scopes::mmdet);
    registry.accept_scope("mmseg", scopes::mmseg);
    add_all(&registry.initializers, &[mmcv_checkpoint::PRETRAINED]);
    registry
}

/// The registered networks and their parts.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.MobileNetV2"],
        doc: "MobileNetV2 without a classifier.",
        source: "mmpretrain MobileNetV2; Sandler et al., MobileNetV2 (2018)",
        ..MobileNetV2::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.ResNet"],
        doc: "ResNet without a classifier.",
        source: "mmpretrain ResNet; He et al., Deep Residual Learning for Image Recognition (2015)",
        ..ResNet::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.ResNetV1c"],
        doc: "ResNet whose stem has three 3x3 convolutions.",
        source: "mmpretrain ResNetV1c; He et al., Bag of Tricks for Image Classification (2018)",
        ..ResNetV1c::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.ResNetV1d"],
        doc: "ResNetV1c with pooling in its shortcuts.",
        source: "mmpretrain ResNetV1d; He et al., Bag of Tricks for Image Classification (2018)",
        ..ResNetV1d::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.ResNeXt"],
        doc: "ResNeXt without a classifier.",
        source: "mmpretrain ResNeXt; Xie et al., Aggregated Residual Transformations for Deep Neural Networks (2017)",
        ..ResNeXt::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.Res2Net"],
        doc: "Res2Net without a classifier.",
        source: "mmpretrain Res2Net; Gao et al., Res2Net: A New Multi-scale Backbone Architecture (2019)",
        ..Res2Net::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.RegNet"],
        doc: "RegNet without a classifier.",
        source: "mmpretrain RegNet; Radosavovic et al., Designing Network Design Spaces (2020)",
        ..RegNet::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.VGG"],
        doc: "VGG, with or without a classifier.",
        source: "mmpretrain VGG; Simonyan and Zisserman, Very Deep Convolutional Networks (2014)",
        ..VGG::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.AlexNet"],
        doc: "AlexNet, with or without a classifier.",
        source: "mmpretrain AlexNet; Krizhevsky, One weird trick for parallelizing convolutional neural networks (2014)",
        ..AlexNet::SPEC
    },
    Spec {
        group: "backbone",
        aliases: &["mmpretrain.HRNet"],
        doc: "HRNet without a classifier.",
        source: "mmpretrain HRNet; Sun et al., High-Resolution Representations for Labeling Pixels and Regions (2019)",
        ..HRNet::SPEC
    },
    Spec {
        group: "classifier",
        aliases: &["mmpretrain.ImageClassifier"],
        doc: "A backbone, a neck and a head.",
        source: "mmpretrain ImageClassifier",
        ..ImageClassifier::SPEC
    },
    Spec {
        group: "neck",
        aliases: &["mmpretrain.GlobalAveragePooling"],
        doc: "The mean over all pixels.",
        source: "mmpretrain GlobalAveragePooling",
        ..GlobalAveragePooling::SPEC
    },
    Spec {
        group: "neck",
        aliases: &["mmpretrain.GeneralizedMeanPooling"],
        doc: "The generalized mean over all pixels.",
        source: "mmpretrain GeneralizedMeanPooling; Radenovic et al. (2018)",
        ..GeneralizedMeanPooling::SPEC
    },
    Spec {
        group: "neck",
        aliases: &["mmpretrain.HRFuseScales"],
        doc: "Fuses the branches of HRNet at the lowest resolution.",
        source: "mmpretrain HRFuseScales; Wang et al., Deep High-Resolution Representation Learning (2019)",
        ..HRFuseScales::SPEC
    },
    Spec {
        group: "head",
        aliases: &["mmpretrain.ClsHead"],
        doc: "Returns the scores of a backbone with a built-in classifier.",
        source: "mmpretrain ClsHead",
        ..ClsHead::SPEC
    },
    Spec {
        group: "head",
        aliases: &["mmpretrain.LinearClsHead"],
        doc: "A linear layer that outputs a score for each class.",
        source: "mmpretrain LinearClsHead",
        ..LinearClsHead::SPEC
    },
    Spec {
        group: "head",
        aliases: &["mmpretrain.MultiLabelLinearClsHead"],
        doc: "A linear layer that outputs a score for each class, for images that may have several classes.",
        source: "mmpretrain MultiLabelLinearClsHead",
        ..MultiLabelLinearClsHead::SPEC
    },
];
