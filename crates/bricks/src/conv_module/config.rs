//! The arguments of `ConvModule`.

use mmcv_layers::conv::Padding;
use mmcv_layers::{Error, Result, Size};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, dict};

/// Arguments of `ConvModule`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ConvModule", layer = super::ConvModule)]
pub struct ConvModuleConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the output.
    pub out_channels: i64,
    /// Size of the kernel in pixels.
    pub kernel_size: Size,
    /// Stride in pixels.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Pixels added at both ends of each dimension; or `same` or `valid`, if the convolution takes them.
    #[config(default = Padding::Size(Size::All(0)))]
    pub padding: Padding,
    /// Spacing between the elements of the kernel in pixels.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// Number of groups of channels; each output channel sees the input channels of its group only.
    #[config(default = 1)]
    pub groups: i64,
    /// Whether the convolution has a bias; `auto`: only without a norm.
    #[config(default = ConvBias::Auto)]
    pub bias: ConvBias,
    /// The convolution; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalization; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// The activation; null for none.
    #[config(default = Some(dict! { type: "ReLU" }))]
    pub act_cfg: Option<Dict>,
    /// Whether the activation works in place, if it can.
    #[config(default = true)]
    pub inplace: bool,
    /// Whether the convolution has spectral norm.
    #[config(default = false)]
    pub with_spectral_norm: bool,
    /// `zeros` and `circular` pad with zeros; otherwise the type of a padding layer, such as `reflect`.
    #[config(default = "zeros".to_owned())]
    pub padding_mode: String,
    /// The order of `conv`, `norm` and `act`.
    #[config(default = ConvOrder::default())]
    pub order: ConvOrder,
    /// Whether convolution and batch norm run as one operation while the batch norm is in evaluation mode.
    #[config(default = false)]
    pub efficient_conv_bn_eval: bool,
}

/// Whether a convolution has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvBias {
    /// Only without a norm.
    Auto,
    /// Always or never.
    Fixed(bool),
}

impl From<bool> for ConvBias {
    fn from(has_bias: bool) -> Self {
        Self::Fixed(has_bias)
    }
}

impl FromConfig for ConvBias {
    fn expected() -> String {
        "\"auto\", true or false".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Bool(has_bias) => Ok(Self::Fixed(*has_bias)),
            Config::Str(word) if word == "auto" => Ok(Self::Auto),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Auto => "auto".into(),
            Self::Fixed(has_bias) => Config::Bool(*has_bias),
        }
    }
}

/// One of the three steps of a `ConvModule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvStep {
    /// The convolution, with its padding layer.
    Conv,
    /// The normalization.
    Norm,
    /// The activation.
    Act,
}

impl ConvStep {
    fn name(self) -> &'static str {
        match self {
            Self::Conv => "conv",
            Self::Norm => "norm",
            Self::Act => "act",
        }
    }

    fn from_name(name: &Config) -> Option<Self> {
        match name.as_str()? {
            "conv" => Some(Self::Conv),
            "norm" => Some(Self::Norm),
            "act" => Some(Self::Act),
            _ => None,
        }
    }
}

/// The order of the three steps, each of which occurs once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvOrder([ConvStep; 3]);

impl ConvOrder {
    /// Creates an order.
    ///
    /// # Errors
    /// Returns an error if a step occurs twice.
    pub fn new(steps: [ConvStep; 3]) -> Result<Self> {
        let [first, second, third] = steps;
        if first == second || second == third || first == third {
            return Err(Error::argument("order", format!("{steps:?}"), format!("expected {}", Self::expected())));
        }
        Ok(Self(steps))
    }

    /// The steps in order.
    #[must_use]
    pub fn steps(self) -> [ConvStep; 3] {
        self.0
    }

    /// Whether the normalization comes after the convolution.
    pub(super) fn norm_after_conv(self) -> bool {
        self.position(ConvStep::Norm) > self.position(ConvStep::Conv)
    }

    fn position(self, step: ConvStep) -> Option<usize> {
        self.0.iter().position(|other| *other == step)
    }

    /// Whether the normalization follows the convolution immediately.
    pub(super) fn norm_directly_after_conv(self) -> bool {
        self.0.windows(2).any(|pair| pair == [ConvStep::Conv, ConvStep::Norm])
    }
}

impl Default for ConvOrder {
    fn default() -> Self {
        Self([ConvStep::Conv, ConvStep::Norm, ConvStep::Act])
    }
}

impl FromConfig for ConvOrder {
    fn expected() -> String {
        "a list of \"conv\", \"norm\" and \"act\", each of them once".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        if let Config::List(items) | Config::Tuple(items) = value
            && let [first, second, third] = items.as_slice()
            && let (Some(first), Some(second), Some(third)) =
                (ConvStep::from_name(first), ConvStep::from_name(second), ConvStep::from_name(third))
            && let Ok(order) = Self::new([first, second, third])
        {
            return Ok(order);
        }
        Err(ConfigError::wrong_type(path, Self::expected(), value))
    }

    fn to_config(&self) -> Config {
        self.0.map(ConvStep::name).into()
    }
}
