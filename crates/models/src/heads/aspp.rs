//! `ASPPHead`. Reference: mmseg/models/decode_heads/aspp_head.py; Chen et al., Rethinking Atrous Convolution for Semantic
//! Image Segmentation (2017).

use mmcv_bricks::ConvModule;
use mmcv_layers::containers::Children;
use mmcv_layers::pool::AdaptiveAvgPool;
use mmcv_layers::{
    Builder, Forward, Layer, Module, ModuleExt, Output, Parts, Registry, Result, Sequential, Size, no_options,
    run_child,
};
use mmcv_registry::{Config, Dict, KeyPath};
use tch::Tensor;

use super::decode::{Channels, DecodeHead, DecodeHeadOptions, OneOrMore, conv_module};
use crate::plain_list::PlainList;
use crate::resnet::at_least_one;

/// Arguments of `ASPPHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ASPPHead", layer = ASPPHead)]
pub struct ASPPHeadConfig {
    /// Channels of the input; with `resize_concat` a list with those of each input.
    pub in_channels: OneOrMore,
    /// Channels of the map before the last convolution.
    pub channels: i64,
    /// Number of classes.
    pub num_classes: i64,
    /// Spacing between the elements of the 3x3 kernel of each branch in pixels; a branch with 1 has a 1x1 kernel.
    #[config(default = vec![1, 6, 12, 18])]
    pub dilations: Vec<i64>,
    /// The arguments that all heads of segmentation networks share.
    #[config(flatten)]
    pub options: DecodeHeadOptions,
}

/// Convolutions with several dilations and a branch that pools all pixels, whose outputs are concatenated before the last
/// convolutions: the head of DeepLabV3.
///
/// Shapes: input `[N, in_channels, H, W]`, one of the stages that the head is called with; output `[N, num_classes, H, W]`.
/// State: `conv_seg.*`, `image_pool.*`, `aspp_modules.*`, `bottleneck.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::ASPPHeadConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let head = ASPPHeadConfig::new(32, 8, 19).build()?;
/// let scores = head.forward(&Tensor::zeros([1, 32, 16, 16], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(scores.size(), [1, 19, 16, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct ASPPHead {
    head: DecodeHead,
    image_pool: Sequential,
    aspp_modules: PlainList,
    bottleneck: ConvModule,
}

impl Layer for ASPPHead {
    const NAME: &'static str = "ASPPHead";
    type Config = ASPPHeadConfig;
    type Module = Self;

    fn build(config: &ASPPHeadConfig, builder: &Builder<'_>) -> Result<Self> {
        let ASPPHeadConfig { in_channels, channels, num_classes, dilations, options } = config;
        for (index, dilation) in dilations.iter().enumerate() {
            at_least_one(&KeyPath::root().key("dilations").index(index), *dilation)?;
        }
        let widths = Channels { in_channels, channels: *channels, num_classes: *num_classes };
        let head = DecodeHead::new(builder, widths, options)?;
        let mut image_pool = Sequential::default();
        image_pool.push(AdaptiveAvgPool::new(2, Size::All(1))?);
        image_pool.push(conv_module(builder, options, (head.in_channels, *channels), 1, 1)?);
        let mut branches = Children::default();
        let mut concatenated = *channels;
        for dilation in dilations {
            let size = if *dilation == 1 { 1 } else { 3 };
            branches.push(Box::new(conv_module(builder, options, (head.in_channels, *channels), size, *dilation)?));
            concatenated = concatenated.saturating_add(*channels);
        }
        let bottleneck = conv_module(builder, options, (concatenated, *channels), 3, 1)?;
        let aspp_modules = PlainList::of_class(&["ASPPModule", "ModuleList"], branches);
        Ok(Self { head, image_pool, aspp_modules, bottleneck })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl ASPPHead {
    fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let input = self.head.select(inputs)?;
        let pooled = self.run_child(&self.image_pool, &input)?;
        let mut maps = vec![self.head.resize(&pooled, &input)?];
        for (name, branch) in self.aspp_modules.iter() {
            maps.push(run_child(format!("aspp_modules.{name}"), branch, &input)?);
        }
        let features = self.run_child(&self.bottleneck, &Tensor::f_cat(&maps, 1)?)?;
        self.head.classify(&features)
    }
}

impl Forward for ASPPHead {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(&[input])
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        self.run(inputs).map(Output::Tensor)
    }
}

impl Module for ASPPHead {
    fn class(&self) -> &'static [&'static str] {
        &["ASPPHead", "BaseDecodeHead"]
    }

    fn extra_repr(&self) -> String {
        self.head.extra_repr()
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        self.head.parts(parts);
        parts.child("image_pool", &self.image_pool);
        parts.child("aspp_modules", &self.aspp_modules);
        parts.child("bottleneck", &self.bottleneck);
    }
}
