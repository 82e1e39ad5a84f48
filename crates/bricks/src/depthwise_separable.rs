//! `DepthwiseSeparableConvModule`. Reference: mmcv/cnn/bricks/depthwise_separable_conv_module.py.

use mmcv_layers::conv::Padding;
use mmcv_layers::{Builder, Forward, Layer, LayerConfig, Module, ModuleExt, Registry, Result, Size};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, dict};
use tch::Tensor;

use crate::conv_module::{ConvBias, ConvModule, ConvModuleConfig, ConvOrder};

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
    /// Stride of the depthwise convolution in pixels.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Padding of the depthwise convolution, as in `ConvModule`.
    #[config(default = Padding::Size(Size::All(0)))]
    pub padding: Padding,
    /// Spacing between the elements of the depthwise kernel in pixels.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// The normalization of both convolutions; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// The activation of both convolutions; null for none.
    #[config(default = Some(dict! { type: "ReLU" }))]
    pub act_cfg: Option<Dict>,
    /// The normalization of the depthwise convolution; `default` for `norm_cfg`.
    #[config(default = LayerOverride::Default)]
    pub dw_norm_cfg: LayerOverride,
    /// The activation of the depthwise convolution; `default` for `act_cfg`.
    #[config(default = LayerOverride::Default)]
    pub dw_act_cfg: LayerOverride,
    /// The normalization of the pointwise convolution; `default` for `norm_cfg`.
    #[config(default = LayerOverride::Default)]
    pub pw_norm_cfg: LayerOverride,
    /// The activation of the pointwise convolution; `default` for `act_cfg`.
    #[config(default = LayerOverride::Default)]
    pub pw_act_cfg: LayerOverride,
    /// Whether the convolutions have biases, as in `ConvModule`.
    #[config(default = ConvBias::Auto)]
    pub bias: ConvBias,
    /// The type of both convolutions; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// Whether the activations work in place, if they can.
    #[config(default = true)]
    pub inplace: bool,
    /// Whether the convolutions have spectral norm.
    #[config(default = false)]
    pub with_spectral_norm: bool,
    /// The padding of both convolutions, as in `ConvModule`.
    #[config(default = "zeros".to_owned())]
    pub padding_mode: String,
    /// The order of `conv`, `norm` and `act` in both halves.
    #[config(default = ConvOrder::default())]
    pub order: ConvOrder,
    /// Whether convolution and batch norm run as one operation, as in `ConvModule`.
    #[config(default = false)]
    pub efficient_conv_bn_eval: bool,
}

/// A norm or activation for one of the two convolutions.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerOverride {
    /// The layer that both convolutions share.
    Default,
    /// Another layer; `None` for no layer.
    Replace(Option<Dict>),
}

impl LayerOverride {
    fn or(&self, default: &Option<Dict>) -> Option<Dict> {
        match self {
            Self::Default => default.clone(),
            Self::Replace(cfg) => cfg.clone(),
        }
    }
}

impl FromConfig for LayerOverride {
    fn expected() -> String {
        "\"default\", a dict or null".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Str(word) if word == "default" => Ok(Self::Default),
            Config::Dict(dict) => Ok(Self::Replace(Some(dict.clone()))),
            Config::Null => Ok(Self::Replace(None)),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Default => "default".into(),
            Self::Replace(cfg) => cfg.clone().into(),
        }
    }
}

/// A depthwise convolution followed by a pointwise (1x1) convolution. Howard et al., MobileNets (2017).
///
/// Shapes: input `[N, in_channels, *]`, output `[N, out_channels, *]`, with the spatial sizes of a convolution with
/// `kernel_size`. State: `depthwise_conv.*`, `pointwise_conv.*`.
///
/// ```
/// use mmcv_bricks::DepthwiseSeparableConvModuleConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let conv = DepthwiseSeparableConvModuleConfig::new(8, 16, 3).with_stride(2).with_padding(1).build()?;
/// let output = conv.forward(&Tensor::zeros([2, 8, 16, 16], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [2, 16, 8, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct DepthwiseSeparableConvModule {
    #[module(child)]
    depthwise_conv: ConvModule,
    #[module(child)]
    pointwise_conv: ConvModule,
}

impl DepthwiseSeparableConvModuleConfig {
    fn depthwise(&self) -> ConvModuleConfig {
        ConvModuleConfig {
            stride: self.stride.clone(),
            padding: self.padding.clone(),
            dilation: self.dilation.clone(),
            groups: self.in_channels,
            norm_cfg: self.dw_norm_cfg.or(&self.norm_cfg),
            act_cfg: self.dw_act_cfg.or(&self.act_cfg),
            ..self.shared(self.in_channels, self.kernel_size.clone())
        }
    }

    fn pointwise(&self) -> ConvModuleConfig {
        ConvModuleConfig {
            norm_cfg: self.pw_norm_cfg.or(&self.norm_cfg),
            act_cfg: self.pw_act_cfg.or(&self.act_cfg),
            ..self.shared(self.out_channels, Size::All(1))
        }
    }

    /// The arguments that both convolutions share.
    fn shared(&self, out_channels: i64, kernel_size: Size) -> ConvModuleConfig {
        ConvModuleConfig {
            bias: self.bias,
            conv_cfg: self.conv_cfg.clone(),
            inplace: self.inplace,
            with_spectral_norm: self.with_spectral_norm,
            padding_mode: self.padding_mode.clone(),
            order: self.order,
            efficient_conv_bn_eval: self.efficient_conv_bn_eval,
            ..ConvModuleConfig::new(self.in_channels, out_channels, kernel_size)
        }
    }
}

impl Layer for DepthwiseSeparableConvModule {
    const NAME: &'static str = "DepthwiseSeparableConvModule";
    type Config = DepthwiseSeparableConvModuleConfig;
    type Module = Self;

    fn build(config: &DepthwiseSeparableConvModuleConfig, builder: &Builder<'_>) -> Result<Self> {
        let depthwise_conv = config.depthwise().build_with(builder)?;
        let pointwise_conv = config.pointwise().build_with(builder)?;
        Ok(Self { depthwise_conv, pointwise_conv })
    }

    fn registry() -> &'static Registry {
        &crate::MODELS
    }
}

impl Forward for DepthwiseSeparableConvModule {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.run_child(&self.depthwise_conv, input)?;
        self.run_child(&self.pointwise_conv, &output)
    }
}
