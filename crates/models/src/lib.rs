//! Backbones and classifiers of the OpenMMLab model zoo.

mod alexnet;
mod backbone;
mod classifier;
mod gem;
mod hrnet;
mod mobilenet_v2;
mod preprocess;
mod recipe;
mod regnet;
mod res2net;
mod resnet;
mod resnext;
mod scopes;
mod training_part;
mod vgg;
mod zoo;

use mmcv_layers::{Build, Registry, add_all, build_from};
use mmcv_registry::Spec;
use once_cell::sync::Lazy;

pub use alexnet::{AlexNet, AlexNetConfig};
pub use backbone::Backbone;
pub use classifier::{
    ClsHead, ClsHeadConfig, GlobalAveragePooling, GlobalAveragePoolingConfig, ImageClassifier, ImageClassifierConfig,
    LinearClsHead, LinearClsHeadConfig, MultiLabelLinearClsHeadConfig,
};
pub use gem::{GeneralizedMeanPooling, GeneralizedMeanPoolingConfig};
pub use hrnet::{HRBlock, HRFuseScales, HRFuseScalesConfig, HRNet, HRNetConfig, HRNetExtra, HRStageConfig};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use preprocess::{ChannelOrder, ExifOrientation, Preprocess};
pub use recipe::{CheckpointConfig, Classes, Recipe, ReviseKeysConfig};
pub use regnet::{Arch, RegNetArch, RegNetConfig, regnet};
pub use res2net::{Res2NetConfig, res2net};
pub use resnet::{
    PluginConfig, Position, ResNet, ResNetConfig, ResNetOptions, ResNetV1cConfig, ResNetV1dConfig, Style,
};
pub use resnext::{ResNeXtConfig, resnext};
pub use vgg::{VGG, VGGConfig};
pub use zoo::{Pretrained, Published, ZooEntry, ZooError, from_zoo, zoo_entries, zoo_entry, zoo_entry_of_file};

/// The default registry, with the types of this crate, of `mmcv-bricks` and of `mmcv-layers`. What is added to it is not in
/// the registries of those crates.
pub static MODELS: Lazy<Registry> = Lazy::new(new_registry);

/// A registry with the types of this crate, of `mmcv-bricks` and of `mmcv-layers`; `init_cfg` knows `Pretrained` from then
/// on.
#[must_use]
pub fn new_registry() -> Registry {
    let registry = mmcv_bricks::new_registry();
    add_all(&registry, [SPECS]);
    registry.accept_scope("mmdet", scopes::mmdet);
    registry.accept_scope("mmseg", scopes::mmseg);
    mmcv_checkpoint::register_pretrained();
    registry
}

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
        group: "backbone",
        doc: "ResNet without classifier.",
        source: "mmpretrain ResNet; He et al., Deep Residual Learning for Image Recognition (2015)",
        fields: ResNetConfig::FIELDS,
        aliases: &["mmpretrain.ResNet"],
        ..Spec::new("ResNet", |arguments| resnet::build(arguments, ResNet::new))
    },
    Spec {
        group: "backbone",
        doc: "ResNet whose stem has three 3x3 convolutions.",
        source: "mmpretrain ResNetV1c; He et al., Bag of Tricks for Image Classification (2018)",
        fields: ResNetV1cConfig::FIELDS,
        aliases: &["mmpretrain.ResNetV1c"],
        ..Spec::new("ResNetV1c", |arguments| resnet::build(arguments, ResNet::new_v1c))
    },
    Spec {
        group: "backbone",
        doc: "ResNetV1c whose shortcuts are pooled.",
        source: "mmpretrain ResNetV1d; He et al., Bag of Tricks for Image Classification (2018)",
        fields: ResNetV1dConfig::FIELDS,
        aliases: &["mmpretrain.ResNetV1d"],
        ..Spec::new("ResNetV1d", |arguments| resnet::build(arguments, ResNet::new_v1d))
    },
    Spec {
        group: "backbone",
        doc: "ResNeXt without classifier.",
        source: "mmpretrain ResNeXt; Xie et al., Aggregated Residual Transformations for Deep Neural Networks (2017)",
        fields: ResNeXtConfig::FIELDS,
        aliases: &["mmpretrain.ResNeXt"],
        ..Spec::new("ResNeXt", |arguments| resnet::build(arguments, resnext))
    },
    Spec {
        group: "backbone",
        doc: "Res2Net without classifier.",
        source: "mmpretrain Res2Net; Gao et al., Res2Net: A New Multi-scale Backbone Architecture (2019)",
        fields: Res2NetConfig::FIELDS,
        aliases: &["mmpretrain.Res2Net"],
        ..Spec::new("Res2Net", |arguments| resnet::build(arguments, res2net))
    },
    Spec {
        group: "backbone",
        doc: "RegNet without classifier.",
        source: "mmpretrain RegNet; Radosavovic et al., Designing Network Design Spaces (2020)",
        fields: RegNetConfig::FIELDS,
        aliases: &["mmpretrain.RegNet"],
        ..Spec::new("RegNet", |arguments| resnet::build(arguments, regnet))
    },
    Spec {
        group: "backbone",
        doc: "VGG, with or without classifier.",
        source: "mmpretrain VGG; Simonyan and Zisserman, Very Deep Convolutional Networks (2014)",
        fields: VGGConfig::FIELDS,
        aliases: &["mmpretrain.VGG"],
        ..Spec::new("VGG", vgg::build)
    },
    Spec {
        group: "backbone",
        doc: "AlexNet, with or without classifier.",
        source: "mmpretrain AlexNet; Krizhevsky, One weird trick for parallelizing convolutional neural networks (2014)",
        fields: AlexNetConfig::FIELDS,
        aliases: &["mmpretrain.AlexNet"],
        ..Spec::new("AlexNet", |arguments| build_from(arguments, AlexNet::new))
    },
    Spec {
        group: "backbone",
        doc: "HRNet without classifier.",
        source: "mmpretrain HRNet; Sun et al., High-Resolution Representations for Labeling Pixels and Regions (2019)",
        fields: HRNetConfig::FIELDS,
        aliases: &["mmpretrain.HRNet"],
        ..Spec::new("HRNet", hrnet::build)
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
        group: "neck",
        doc: "The generalised mean over all pixels.",
        source: "mmpretrain GeneralizedMeanPooling; Radenovic et al. (2018)",
        fields: GeneralizedMeanPoolingConfig::FIELDS,
        aliases: &["mmpretrain.GeneralizedMeanPooling"],
        ..Spec::new("GeneralizedMeanPooling", |arguments| build_from(arguments, GeneralizedMeanPooling::new))
    },
    Spec {
        group: "neck",
        doc: "Brings the branches of HRNet together at the lowest resolution.",
        source: "mmpretrain HRFuseScales; Wang et al., Deep High-Resolution Representation Learning (2019)",
        fields: HRFuseScalesConfig::FIELDS,
        aliases: &["mmpretrain.HRFuseScales"],
        ..Spec::new("HRFuseScales", hrnet::build_fuse_scales)
    },
    Spec {
        group: "head",
        doc: "The scores of a backbone that has its own classifier.",
        source: "mmpretrain ClsHead",
        fields: ClsHeadConfig::FIELDS,
        aliases: &["mmpretrain.ClsHead"],
        ..Spec::new("ClsHead", |arguments| build_from(arguments, ClsHead::new))
    },
    Spec {
        group: "head",
        doc: "A linear layer that gives a score for each class.",
        source: "mmpretrain LinearClsHead",
        fields: LinearClsHeadConfig::FIELDS,
        aliases: &["mmpretrain.LinearClsHead"],
        ..Spec::new("LinearClsHead", |arguments| build_from(arguments, LinearClsHead::new))
    },
    Spec {
        group: "head",
        doc: "A linear layer that gives a score for each class, where images may have several.",
        source: "mmpretrain MultiLabelLinearClsHead",
        fields: MultiLabelLinearClsHeadConfig::FIELDS,
        aliases: &["mmpretrain.MultiLabelLinearClsHead"],
        ..Spec::new("MultiLabelLinearClsHead", |arguments| build_from(arguments, LinearClsHead::new_multi_label))
    },
];
