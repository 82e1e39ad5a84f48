//! `PSPHead`. Reference: mmseg/models/decode_heads/psp_head.py; Zhao et al., Pyramid Scene Parsing Network (2017).

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

/// Arguments of `PSPHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "PSPHead", layer = PSPHead)]
pub struct PSPHeadConfig {
    /// Channels of the input; with `resize_concat` a list with those of each input.
    pub in_channels: OneOrMore,
    /// Channels of the map before the last convolution.
    pub channels: i64,
    /// Number of classes.
    pub num_classes: i64,
    /// Height and width of the map to which each branch pools the input, in pixels.
    #[config(default = vec![1, 2, 3, 6])]
    pub pool_scales: Vec<i64>,
    /// The arguments that all heads of segmentation networks share.
    #[config(flatten)]
    pub options: DecodeHeadOptions,
}

/// Pools the input to maps of several sizes, and concatenates these and the input before the last convolutions.
///
/// Shapes: input `[N, in_channels, H, W]`, one of the stages that the head is called with; output `[N, num_classes, H, W]`.
/// State: `conv_seg.*`, `psp_modules.*`, `bottleneck.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::PSPHeadConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let head = PSPHeadConfig::new(32, 8, 19).build()?;
/// let scores = head.forward(&Tensor::zeros([1, 32, 16, 16], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(scores.size(), [1, 19, 16, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct PSPHead {
    head: DecodeHead,
    psp_modules: PlainList,
    bottleneck: ConvModule,
}

impl Layer for PSPHead {
    const NAME: &'static str = "PSPHead";
    type Config = PSPHeadConfig;
    type Module = Self;

    fn build(config: &PSPHeadConfig, builder: &Builder<'_>) -> Result<Self> {
        let PSPHeadConfig { in_channels, channels, num_classes, pool_scales, options } = config;
        for (index, scale) in pool_scales.iter().enumerate() {
            at_least_one(&KeyPath::root().key("pool_scales").index(index), *scale)?;
        }
        let widths = Channels { in_channels, channels: *channels, num_classes: *num_classes };
        let head = DecodeHead::new(builder, widths, options)?;
        let mut branches = Children::default();
        let mut concatenated = head.in_channels;
        for scale in pool_scales {
            let mut branch = Sequential::default();
            branch.push(AdaptiveAvgPool::new(2, Size::All(*scale))?);
            branch.push(conv_module(builder, options, (head.in_channels, *channels), 1, 1)?);
            branches.push(Box::new(branch));
            concatenated = concatenated.saturating_add(*channels);
        }
        let bottleneck = conv_module(builder, options, (concatenated, *channels), 3, 1)?;
        Ok(Self { head, psp_modules: PlainList::of_class(&["PPM", "ModuleList"], branches), bottleneck })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl PSPHead {
    fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let input = self.head.select(inputs)?;
        let mut maps = vec![input.shallow_clone()];
        for (name, branch) in self.psp_modules.iter() {
            let pooled = run_child(format!("psp_modules.{name}"), branch, &input)?;
            maps.push(self.head.resize(&pooled, &input)?);
        }
        let features = self.run_child(&self.bottleneck, &Tensor::f_cat(&maps, 1)?)?;
        self.head.classify(&features)
    }
}

impl Forward for PSPHead {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(&[input])
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        self.run(inputs).map(Output::Tensor)
    }
}

impl Module for PSPHead {
    fn class(&self) -> &'static [&'static str] {
        &["PSPHead", "BaseDecodeHead"]
    }

    fn extra_repr(&self) -> String {
        self.head.extra_repr()
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        self.head.parts(parts);
        parts.child("psp_modules", &self.psp_modules);
        parts.child("bottleneck", &self.bottleneck);
    }
}
