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
    /// Step of the kernel in pixels.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Pixels added at both ends of each dimension; or `same` or `valid`, as in the convolution.
    #[config(default = Padding::Size(Size::All(0)))]
    pub padding: Padding,
    /// Distance of the kernel's elements in pixels.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// Number of groups of channels that are not connected to each other.
    #[config(default = 1)]
    pub groups: i64,
    /// Whether the convolution has a bias; `auto`: where there is no norm.
    #[config(default = Bias::Auto)]
    pub bias: Bias,
    /// The convolution; null for `Conv2d`.
    #[config(default = None)]
    pub conv_cfg: Option<Dict>,
    /// The normalisation; null for none.
    #[config(default = None)]
    pub norm_cfg: Option<Dict>,
    /// The activation; null for none.
    #[config(default = Some(dict! { type: "ReLU" }))]
    pub act_cfg: Option<Dict>,
    /// Whether the activation works in place, where it can.
    #[config(default = true)]
    pub inplace: bool,
    /// Whether the convolution has spectral norm.
    #[config(default = false)]
    pub with_spectral_norm: bool,
    /// `zeros` and `circular` pad with zeros; else the type of a padding layer, such as `reflect`.
    #[config(default = "zeros".to_owned())]
    pub padding_mode: String,
    /// The order of `conv`, `norm` and `act`.
    #[config(default = Order::default())]
    pub order: Order,
    /// Whether convolution and batch norm are one operation where the batch norm is in evaluation mode.
    #[config(default = false)]
    pub efficient_conv_bn_eval: bool,
}

/// Whether a convolution has a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// Where there is no norm.
    Auto,
    /// As given.
    Given(bool),
}

impl From<bool> for Bias {
    fn from(given: bool) -> Self {
        Self::Given(given)
    }
}

impl FromConfig for Bias {
    fn expected() -> String {
        "\"auto\", true or false".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Bool(given) => Ok(Self::Given(*given)),
            Config::Str(word) if word == "auto" => Ok(Self::Auto),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Auto => "auto".into(),
            Self::Given(given) => Config::Bool(*given),
        }
    }
}

/// One of the three steps of a `ConvModule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The convolution, with its padding layer.
    Conv,
    /// The normalisation.
    Norm,
    /// The activation.
    Act,
}

/// The order of the three steps: each of them once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order([Step; 3]);

impl Order {
    const NAMES: [(&'static str, Step); 3] = [("conv", Step::Conv), ("norm", Step::Norm), ("act", Step::Act)];

    /// An order.
    ///
    /// # Errors
    /// Where a step comes twice.
    pub fn new(steps: [Step; 3]) -> Result<Self> {
        let [first, second, third] = steps;
        if first == second || second == third || first == third {
            return Err(Error::argument("order", format!("{steps:?}"), format!("expected {}", Self::expected())));
        }
        Ok(Self(steps))
    }

    /// The steps in order.
    #[must_use]
    pub fn steps(self) -> [Step; 3] {
        self.0
    }

    /// Whether the normalisation comes after the convolution.
    pub(super) fn norm_after_conv(self) -> bool {
        let position = |wanted| self.0.iter().position(|step| *step == wanted);
        position(Step::Norm) > position(Step::Conv)
    }

    /// Whether nothing stands between the convolution and the normalisation after it.
    pub(super) fn norm_directly_after_conv(self) -> bool {
        self.0.windows(2).any(|pair| pair == [Step::Conv, Step::Norm])
    }
}

impl Default for Order {
    fn default() -> Self {
        Self([Step::Conv, Step::Norm, Step::Act])
    }
}

impl FromConfig for Order {
    fn expected() -> String {
        "a list of \"conv\", \"norm\" and \"act\", each of them once".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::wrong_type(path, Self::expected(), value);
        let Config::List(items) = value else { return Err(wrong()) };
        let step =
            |item: &Config| Self::NAMES.iter().find(|(name, _)| item.as_str() == Some(name)).map(|(_, step)| *step);
        let steps: Option<Vec<Step>> = items.iter().map(step).collect();
        let steps: [Step; 3] = steps.and_then(|steps| steps.try_into().ok()).ok_or_else(wrong)?;
        Self::new(steps).map_err(|_| wrong())
    }

    fn to_config(&self) -> Config {
        let name = |step: Step| Self::NAMES.iter().find(|(_, named)| *named == step).map_or("", |(name, _)| name);
        self.0.map(name).into()
    }
}
