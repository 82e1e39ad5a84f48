//! `FCNHead`. Reference: mmseg/models/decode_heads/fcn_head.py; Long et al., Fully Convolutional Networks for Semantic
//! Segmentation (2014).

use mmcv_bricks::ConvModule;
use mmcv_layers::{
    Builder, Error, Forward, Identity, Layer, Module, ModuleExt, Output, Parts, Registry, Result, Sequential,
    no_options,
};
use mmcv_registry::{Config, Dict};
use tch::Tensor;

use super::decode::{Channels, DecodeHead, DecodeHeadOptions, OneOrMore, conv_module};

/// Limit on the convolutions: a larger number is a mistake.
const MOST_CONVS: i64 = 1000;

/// Arguments of `FCNHead`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "FCNHead", layer = FCNHead)]
pub struct FCNHeadConfig {
    /// Channels of the input; with `resize_concat` a list with those of each input.
    pub in_channels: OneOrMore,
    /// Channels of the map before the last convolution.
    pub channels: i64,
    /// Number of classes.
    pub num_classes: i64,
    /// Number of convolutions before the concatenation; 0 for none, if `channels` is `in_channels`.
    #[config(default = 2)]
    pub num_convs: i64,
    /// Size of their kernels in pixels.
    #[config(default = 3)]
    pub kernel_size: i64,
    /// Whether the convolutions' output is concatenated to their input, and another convolution follows.
    #[config(default = true)]
    pub concat_input: bool,
    /// Spacing between the elements of their kernels in pixels.
    #[config(default = 1)]
    pub dilation: i64,
    /// The arguments that all heads of segmentation networks share.
    #[config(flatten)]
    pub options: DecodeHeadOptions,
}

/// Convolutions, and a 1x1 convolution that outputs a score of each class for each pixel.
///
/// Shapes: input `[N, in_channels, H, W]`, one of the stages that the head is called with; output `[N, num_classes, H, W]`.
/// State: `conv_seg.*`, `convs.*`, `conv_cat.*`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::FCNHeadConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let head = FCNHeadConfig::new(32, 8, 19).with_num_convs(1).build()?;
/// let scores = head.forward(&Tensor::zeros([1, 32, 16, 16], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(scores.size(), [1, 19, 16, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct FCNHead {
    head: DecodeHead,
    convs: Box<dyn Module>,
    conv_cat: Option<ConvModule>,
}

impl FCNHeadConfig {
    fn check(&self) -> Result<()> {
        if !(0..=MOST_CONVS).contains(&self.num_convs) {
            return Err(Error::argument("num_convs", self.num_convs, format!("expected 0 to {MOST_CONVS}")));
        }
        for (name, value) in [("kernel_size", self.kernel_size), ("dilation", self.dilation)] {
            if value < 1 {
                return Err(Error::argument(name, value, "expected at least 1"));
            }
        }
        Ok(())
    }
}

impl Layer for FCNHead {
    const NAME: &'static str = "FCNHead";
    type Config = FCNHeadConfig;
    type Module = Self;

    fn build(config: &FCNHeadConfig, builder: &Builder<'_>) -> Result<Self> {
        config.check()?;
        let FCNHeadConfig { in_channels, channels, num_classes, kernel_size, dilation, options, .. } = config;
        let widths = Channels { in_channels, channels: *channels, num_classes: *num_classes };
        let head = DecodeHead::new(builder, widths, options)?;
        if config.num_convs == 0 && head.in_channels != *channels {
            let reason = format!("expected {}, the channels of the input, as num_convs is 0", head.in_channels);
            return Err(Error::argument("channels", channels, reason));
        }
        let mut convs = Sequential::default();
        // The reference draws the values of the first convolution even if there is none.
        for index in 0..config.num_convs.max(1) {
            let inputs = if index == 0 { head.in_channels } else { *channels };
            convs.push(conv_module(builder, options, (inputs, *channels), *kernel_size, *dilation)?);
        }
        let mut conv_cat = None;
        if config.concat_input {
            let inputs = head.in_channels.saturating_add(*channels);
            conv_cat = Some(conv_module(builder, options, (inputs, *channels), *kernel_size, 1)?);
        }
        let convs: Box<dyn Module> =
            if config.num_convs == 0 { Box::new(Identity::default()) } else { Box::new(convs) };
        Ok(Self { head, convs, conv_cat })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl FCNHead {
    fn run(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let input = self.head.select(inputs)?;
        let mut features = self.run_child(&self.convs, &input)?;
        if let Some(conv_cat) = &self.conv_cat {
            features = self.run_child(conv_cat, &Tensor::f_cat(&[&input, &features], 1)?)?;
        }
        self.head.classify(&features)
    }
}

impl Forward for FCNHead {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.run(&[input])
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        no_options(options)?;
        self.run(inputs).map(Output::Tensor)
    }
}

impl Module for FCNHead {
    fn class(&self) -> &'static [&'static str] {
        &["FCNHead", "BaseDecodeHead"]
    }

    fn extra_repr(&self) -> String {
        self.head.extra_repr()
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        self.head.parts(parts);
        parts.child("convs", &*self.convs);
        if let Some(conv_cat) = &self.conv_cat {
            parts.child("conv_cat", conv_cat);
        }
    }
}
