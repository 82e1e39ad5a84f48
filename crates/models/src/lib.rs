//! Backbones, necks, heads and classifiers of the OpenMMLab model zoo.

mod alexnet;
mod backbone;
mod classifier;
mod heads;
mod hrnet;
mod mobilenet_v2;
mod necks;
mod plain_list;
mod preprocess;
mod project;
mod recipe;
mod regnet;
mod res2net;
mod resize;
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
pub use heads::{
    ASPPHead, ASPPHeadConfig, CSRAClsHead, CSRAClsHeadConfig, ClsHead, ClsHeadConfig, DecodeHeadOptions, FCNHead,
    FCNHeadConfig, InputTransform, LinearClsHead, LinearClsHeadConfig, MultiLabelClsHead, MultiLabelClsHeadConfig,
    MultiLabelLinearClsHead, MultiLabelLinearClsHeadConfig, OneOrMore, PSPHead, PSPHeadConfig,
};
pub use hrnet::{
    HRBlock, HRFuseScales, HRFuseScalesConfig, HRNet, HRNetConfig, HRNetExtra, HRStageConfig, HRUpsampleConfig,
};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use necks::{
    ExtraConvs, FPN, FPNConfig, FPNUpsampleConfig, GeneralizedMeanPooling, GeneralizedMeanPoolingConfig,
    GlobalAveragePooling, GlobalAveragePoolingConfig,
};
pub use preprocess::{
    CenterCropConfig, ChannelOrder, Edge, ExifOrientation, Factors, ImageStep, Interpolation, Preprocess,
    ResizeBackend, ResizeConfig, ResizeEdgeConfig, WidthHeight,
};
pub use project::{Project, ProjectNetwork};
pub use recipe::{CheckpointConfig, ClassNames, Recipe, ReviseKeysConfig};
pub use regnet::{RegNet, RegNetArch, RegNetConfig, RegNetParams};
pub use res2net::{Res2Net, Res2NetConfig};
pub use resnet::{
    PluginConfig, PluginPosition, ResNet, ResNetCifar, ResNetCifarConfig, ResNetConfig, ResNetOptions, ResNetStyle,
    ResNetV1c, ResNetV1cConfig, ResNetV1d, ResNetV1dConfig,
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
    registry.accept_scope("mmpose", scopes::mmpose);
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
        aliases: &["mmpretrain.ResNet_CIFAR"],
        doc: "ResNet for small images, without a classifier.",
        source: "mmpretrain ResNet_CIFAR; He et al., Deep Residual Learning for Image Recognition (2015)",
        ..ResNetCifar::SPEC
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
        group: "neck",
        aliases: &["mmdet.FPN"],
        doc: "Merges the stages of a backbone from the lowest resolution up.",
        source: "mmdet FPN; Lin et al., Feature Pyramid Networks for Object Detection (2017)",
        ..FPN::SPEC
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
    Spec {
        group: "head",
        aliases: &["mmpretrain.MultiLabelClsHead"],
        doc: "Returns the scores of a backbone with a built-in classifier, for images that may have several classes.",
        source: "mmpretrain MultiLabelClsHead",
        ..MultiLabelClsHead::SPEC
    },
    Spec {
        group: "head",
        aliases: &["mmpretrain.CSRAClsHead"],
        doc: "Scores with attention for each class, for images that may have several classes.",
        source: "mmpretrain CSRAClsHead; Zhu and Wu, Residual Attention (2021)",
        ..CSRAClsHead::SPEC
    },
    Spec {
        group: "head",
        aliases: &["mmseg.FCNHead"],
        doc: "Convolutions that output a score of each class for each pixel.",
        source: "mmseg FCNHead; Long et al., Fully Convolutional Networks for Semantic Segmentation (2014)",
        ..FCNHead::SPEC
    },
    Spec {
        group: "head",
        aliases: &["mmseg.PSPHead"],
        doc: "Scores for each pixel, from the input and its means over several grids.",
        source: "mmseg PSPHead; Zhao et al., Pyramid Scene Parsing Network (2017)",
        ..PSPHead::SPEC
    },
    Spec {
        group: "head",
        aliases: &["mmseg.ASPPHead"],
        doc: "Scores for each pixel, from convolutions with several dilations: the head of DeepLabV3.",
        source: "mmseg ASPPHead; Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation (2017)",
        ..ASPPHead::SPEC
    },
];
