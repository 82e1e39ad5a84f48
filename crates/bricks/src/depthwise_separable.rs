//! `DepthwiseSeparableConvModule`. Reference: mmcv/cnn/bricks/depthwise_separable_conv_module.py.

use mmcv_layers::conv::Padding;
use mmcv_layers::{Builder, Layer, Module, Parts, Registry, Result, Size, run_child};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, dict};
use tch::Tensor;

use crate::conv_module::{Bias, ConvModule, ConvModuleConfig, Order};

/// Arguments of `DepthwiseSeparableConvModule`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "DepthwiseSeparableConvModule", layer = DepthwiseSeparableConvModule)]
pub struct DepthwiseSeparableConvModuleConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the output.
    pub out_channels: i64,
    /// Size of the depthwise kernel in pixels.
    pub kernel_size: Size,
    /// Step of the depthwise kernel in pixels.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Padding of the depthwise convolution, as in `ConvModule`.
    #[config(default = Padding::Size(Size::All(0)))]
    pub padding: Padding,
    /// Distance of the depthwise kernel's elements in pixels.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// The normalisation of both convolutions; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// The activation of both convolutions; null for none.
    #[config(default = Some(dict! { type: "ReLU" }))]
    pub act_cfg: Option<Dict>,
    /// The normalisation of the depthwise convolution; `default` for `norm_cfg`.
    #[config(default = Override::Default)]
    pub dw_norm_cfg: Override,
    /// The activation of the depthwise convolution; `default` for `act_cfg`.
    #[config(default = Override::Default)]
    pub dw_act_cfg: Override,
    /// The normalisation of the pointwise convolution; `default` for `norm_cfg`.
    #[config(default = Override::Default)]
    pub pw_norm_cfg: Override,
    /// The activation of the pointwise convolution; `default` for `act_cfg`.
    #[config(default = Override::Default)]
    pub pw_act_cfg: Override,
    /// As in `ConvModule`, for both convolutions.
    #[config(default = Bias::Auto)]
    pub bias: Bias,
    /// As in `ConvModule`, for both convolutions.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// As in `ConvModule`, for both convolutions.
    #[config(default = true)]
    pub inplace: bool,
    /// As in `ConvModule`, for both convolutions.
    #[config(default = false)]
    pub with_spectral_norm: bool,
    /// As in `ConvModule`, for both convolutions.
    #[config(default = "zeros".to_owned())]
    pub padding_mode: String,
    /// As in `ConvModule`, for both convolutions.
    #[config(default = Order::default())]
    pub order: Order,
    /// As in `ConvModule`, for both convolutions.
    #[config(default = false)]
    pub efficient_conv_bn_eval: bool,
}

/// A config of one of the two convolutions.
#[derive(Debug, Clone, PartialEq)]
pub enum Override {
    /// That of both.
    Default,
    /// One of its own; `None` for no layer.
    Given(Option<Dict>),
}

impl Override {
    fn or(&self, default: &Option<Dict>) -> Option<Dict> {
        match self {
            Self::Default => default.clone(),
            Self::Given(cfg) => cfg.clone(),
        }
    }
}

impl FromConfig for Override {
    fn expected() -> String {
        "\"default\", a dict or null".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Str(word) if word == "default" => Ok(Self::Default),
            Config::Dict(dict) => Ok(Self::Given(Some(dict.clone()))),
            Config::Null => Ok(Self::Given(None)),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Default => "default".into(),
            Self::Given(cfg) => cfg.clone().into(),
        }
    }
}

/// A convolution over each channel alone, and one over all channels of each pixel.
///
/// Shapes: as of a convolution with `kernel_size`. State: `depthwise_conv.*`, `pointwise_conv.*`. Howard et al.,
/// MobileNets (2017).
#[derive(Debug)]
pub struct DepthwiseSeparableConvModule {
    depthwise_conv: ConvModule,
    pointwise_conv: ConvModule,
}

impl DepthwiseSeparableConvModule {
    /// Builds both convolutions; `builder`'s path is where the config stands.
    ///
    /// # Errors
    /// As [`ConvModule::new`].
    pub fn new(builder: &Builder<'_>, config: &DepthwiseSeparableConvModuleConfig) -> Result<Self> {
        let DepthwiseSeparableConvModuleConfig { in_channels, out_channels, norm_cfg, act_cfg, .. } = config;
        let common = |inputs: i64, outputs: i64, kernel_size: Size| ConvModuleConfig {
            bias: config.bias,
            conv_cfg: config.conv_cfg.clone(),
            inplace: config.inplace,
            with_spectral_norm: config.with_spectral_norm,
            padding_mode: config.padding_mode.clone(),
            order: config.order,
            efficient_conv_bn_eval: config.efficient_conv_bn_eval,
            ..ConvModuleConfig::new(inputs, outputs, kernel_size)
        };
        let depthwise = ConvModuleConfig {
            stride: config.stride.clone(),
            padding: config.padding.clone(),
            dilation: config.dilation.clone(),
            groups: *in_channels,
            norm_cfg: config.dw_norm_cfg.or(norm_cfg),
            act_cfg: config.dw_act_cfg.or(act_cfg),
            ..common(*in_channels, *in_channels, config.kernel_size.clone())
        };
        let pointwise = ConvModuleConfig {
            norm_cfg: config.pw_norm_cfg.or(norm_cfg),
            act_cfg: config.pw_act_cfg.or(act_cfg),
            ..common(*in_channels, *out_channels, Size::All(1))
        };
        let depthwise_conv = ConvModule::new(builder, &depthwise)?;
        Ok(Self { depthwise_conv, pointwise_conv: ConvModule::new(builder, &pointwise)? })
    }
}

impl Layer for DepthwiseSeparableConvModule {
    const NAME: &'static str = "DepthwiseSeparableConvModule";
    type Config = DepthwiseSeparableConvModuleConfig;
    type Module = Self;

    fn build(config: &DepthwiseSeparableConvModuleConfig, builder: &Builder<'_>) -> Result<Self> {
        Self::new(builder, config)
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Module for DepthwiseSeparableConvModule {
    fn class(&self) -> &'static [&'static str] {
        &["DepthwiseSeparableConvModule", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = run_child("depthwise_conv", &self.depthwise_conv, input)?;
        run_child("pointwise_conv", &self.pointwise_conv, &output)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child("depthwise_conv", &self.depthwise_conv);
        parts.child("pointwise_conv", &self.pointwise_conv);
    }
}
