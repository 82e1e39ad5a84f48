//! `DepthwiseSeparableConvModule`. Reference: mmcv/cnn/bricks/depthwise_separable_conv_module.py.

use mmcv_layers::{Arguments, Builder, Module, Parts, Result, Size, run_child};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, config_struct, dict};
use tch::Tensor;

use crate::conv_module::{Bias, ConvModule, ConvModuleConfig, Order};

config_struct! {
    /// Arguments of `DepthwiseSeparableConvModule`.
    pub struct DepthwiseSeparableConvModuleConfig {
        required {
            /// Channels of the input.
            in_channels: i64,
            /// Channels of the output.
            out_channels: i64,
            /// Size of the depthwise kernel in pixels.
            kernel_size: Size,
        }
        optional {
            /// Step of the depthwise kernel in pixels.
            stride: Size = Size::All(1),
            /// Padding of the depthwise convolution, as in `ConvModule`.
            padding: Config = Config::Int(0),
            /// Distance of the depthwise kernel's elements in pixels.
            dilation: Size = Size::All(1),
            /// The normalisation of both convolutions; null for none.
            norm_cfg: Option<Dict> = None,
            /// The activation of both convolutions; null for none.
            act_cfg: Option<Dict> = Some(dict! { type: "ReLU" }),
            /// The normalisation of the depthwise convolution; `default` for `norm_cfg`.
            dw_norm_cfg: Override = Override::Default,
            /// The activation of the depthwise convolution; `default` for `act_cfg`.
            dw_act_cfg: Override = Override::Default,
            /// The normalisation of the pointwise convolution; `default` for `norm_cfg`.
            pw_norm_cfg: Override = Override::Default,
            /// The activation of the pointwise convolution; `default` for `act_cfg`.
            pw_act_cfg: Override = Override::Default,
            /// As in `ConvModule`, for both convolutions.
            bias: Bias = Bias::Auto,
            /// As in `ConvModule`, for both convolutions.
            conv_cfg: Option<Dict> = None,
            /// As in `ConvModule`, for both convolutions.
            inplace: bool = true,
            /// As in `ConvModule`, for both convolutions.
            with_spectral_norm: bool = false,
            /// As in `ConvModule`, for both convolutions.
            padding_mode: String = "zeros".to_owned(),
            /// As in `ConvModule`, for both convolutions.
            order: Order = Order::default(),
            /// As in `ConvModule`, for both convolutions.
            efficient_conv_bn_eval: bool = false,
        }
    }
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

/// Builds `DepthwiseSeparableConvModule` from a dict.
pub(crate) fn build(arguments: &Arguments<'_>) -> Result<Box<dyn Module>> {
    let config = arguments.decode::<DepthwiseSeparableConvModuleConfig>()?;
    Ok(Box::new(DepthwiseSeparableConvModule::new(&arguments.here(), &config)?))
}
