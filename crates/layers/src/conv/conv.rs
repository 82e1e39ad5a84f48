//! `Conv1d`, `Conv2d` (alias `Conv`), `Conv3d`. Reference: mmcv/cnn/bricks/conv.py, `torch.nn.Conv2d`.

use mmcv_registry::{Config, ConfigError, FromConfig, KeyPath};
use tch::Tensor;

use super::Convolution;
use super::repr::{self, ConvRepr};
use super::spectral_norm::SpectralNorm;
use crate::explain::{elements, product};
use crate::shape_error::{Expected, Kernel};
use crate::{Builder, Error, ErrorKind, Forward, Layer, Module, Parts, Result, Size, Training, init, ops, size};

/// Arguments of `Conv1d`, `Conv2d` and `Conv3d`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "Conv2d", layer = Conv2d)]
pub struct ConvConfig {
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Size of the kernel.
    pub kernel_size: Size,
    /// Stride of the convolution.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Padding added to both sides of each dimension; or `same` (the output is as large as the input) or `valid`.
    #[config(default = Padding::Size(Size::All(0)))]
    pub padding: Padding,
    /// Spacing between kernel elements.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// Number of blocked connections from input channels to output channels; divides both.
    #[config(default = 1)]
    pub groups: i64,
    /// Whether to add a learnable bias; null counts as false.
    #[config(default = Some(true))]
    pub bias: Option<bool>,
    /// Values of padded pixels.
    #[config(default = PaddingMode::Zeros)]
    pub padding_mode: PaddingMode,
}

/// The padding of a convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Padding {
    /// Pixels on both sides of each dimension.
    Size(Size),
    /// Padding that makes the output as large as the input; requires stride 1.
    Same,
    /// No padding.
    Valid,
}

impl From<Size> for Padding {
    fn from(size: Size) -> Self {
        Self::Size(size)
    }
}

impl From<i64> for Padding {
    fn from(pixels: i64) -> Self {
        Self::Size(pixels.into())
    }
}

impl FromConfig for Padding {
    fn expected() -> String {
        "an integer, a list of integers, \"same\" or \"valid\"".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Int(_) | Config::List(_) | Config::Tuple(_) => Size::from_config(value, path).map(Self::Size),
            Config::Str(word) if word == "same" => Ok(Self::Same),
            Config::Str(word) if word == "valid" => Ok(Self::Valid),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::Size(size) => size.to_config(),
            Self::Same => "same".into(),
            Self::Valid => "valid".into(),
        }
    }
}

/// Values of the padded pixels of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum PaddingMode {
    /// 0.
    Zeros,
    /// The pixels mirrored at the edge, without the edge itself.
    Reflect,
    /// The pixel at the edge.
    Replicate,
    /// The pixels from the other end.
    Circular,
}

/// A convolution over 1, 2 or 3 dimensions.
///
/// Shapes: input `[N, in_channels, *]` or without `N`; output `[N, out_channels, *]` with
/// `(size + 2 padding - dilation (kernel_size - 1) - 1) / stride + 1` pixels in each dimension, rounded down.
/// State: `weight` `[out_channels, in_channels / groups, *kernel_size]`, `bias` `[out_channels]`.
///
/// ```
/// use mmcv_layers::conv::{Conv3d, ConvConfig};
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let config = ConvConfig::new(3, 8, 3).with_padding(1);
/// let conv = config.build()?; // Conv2d
/// let output = conv.forward(&Tensor::rand([1, 3, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 8, 16, 16]);
///
/// let conv = config.build_as::<Conv3d>()?;
/// let output = conv.forward(&Tensor::rand([1, 3, 4, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 8, 4, 16, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    in_channels: i64,
    out_channels: i64,
    groups: i64,
    kernel_size: Vec<i64>,
    stride: Vec<i64>,
    padding: ConvPadding,
    /// As stated in the config.
    stated_padding: Padding,
    padding_mode: PaddingMode,
    dilation: Vec<i64>,
    spectral_norm: Option<SpectralNorm>,
    training: Training,
}

/// The padding as it is applied.
#[derive(Debug)]
enum ConvPadding {
    /// By the convolution.
    Zeros(Vec<i64>),
    /// By the convolution, so that the size stays the same.
    Same,
    /// Before the convolution: pixels before and after each dimension, the last dimension first.
    Before(Vec<i64>, &'static str),
}

impl Conv {
    /// A convolution over `dims` dimensions (1, 2 or 3), with PyTorch's initial values.
    ///
    /// # Errors
    /// Returns an error if channels or groups are not positive, `groups` does not divide the channels, a list of
    /// sizes does not have `dims` items, a size is out of range, or `same` padding is combined with a stride.
    pub fn new(dims: usize, config: &ConvConfig) -> Result<Self> {
        let ConvConfig { in_channels, out_channels, groups, .. } = *config;
        check_channels(in_channels, out_channels, groups)?;
        let kernel_size = kernel_sizes(&config.kernel_size, dims)?;
        let stride = config.stride.broadcast_at_least(1, dims, "stride")?;
        let dilation = config.dilation.broadcast_at_least(1, dims, "dilation")?;
        let padding = ConvPadding::new(config, &kernel_size, &stride, &dilation)?;
        let shape = [&[out_channels, in_channels / groups], kernel_size.as_slice()].concat();
        let weight = init::parameter(&shape)?;
        let bias = if config.bias == Some(true) { Some(init::parameter(&[out_channels])?) } else { None };
        init::conv_default(&weight, bias.as_ref())?;
        Ok(Self {
            weight,
            bias,
            in_channels,
            out_channels,
            groups,
            kernel_size,
            stride,
            padding,
            stated_padding: config.padding.clone(),
            padding_mode: config.padding_mode,
            dilation,
            spectral_norm: None,
            training: Training::default(),
        })
    }

    /// The weight: `[out_channels, in_channels / groups, *kernel_size]`. With spectral norm, the one before division.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Number of input channels.
    #[must_use]
    pub fn in_channels(&self) -> i64 {
        self.in_channels
    }

    /// Number of output channels.
    #[must_use]
    pub fn out_channels(&self) -> i64 {
        self.out_channels
    }

    fn expected(&self) -> Expected<'_> {
        let Self { kernel_size, dilation, .. } = self;
        let kernel = match &self.padding {
            ConvPadding::Zeros(padding) => Some(Kernel { size: kernel_size, dilation, padding }),
            ConvPadding::Same | ConvPadding::Before(..) => None,
        };
        let channels = ("in_channels", self.in_channels);
        Expected { class: self.name(), dims: kernel_size.len(), channels, kernel }
    }

    fn convolve(&self, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (stride, dilation, groups) = (&self.stride, &self.dilation, self.groups);
        let (padded, zeros);
        let (input, padding) = match &self.padding {
            ConvPadding::Same => {
                return Ok(match stride.len() {
                    1 => input.f_conv1d_padding(weight, bias, stride, "same", dilation, groups)?,
                    2 => input.f_conv2d_padding(weight, bias, stride, "same", dilation, groups)?,
                    _ => input.f_conv3d_padding(weight, bias, stride, "same", dilation, groups)?,
                });
            }
            ConvPadding::Zeros(padding) => (input, padding),
            ConvPadding::Before(padding, mode) => {
                padded = ops::pad(input, padding, mode, None)?;
                zeros = vec![0; stride.len()];
                (&padded, &zeros)
            }
        };
        Ok(match stride.len() {
            1 => input.f_conv1d(weight, bias, stride, padding, dilation, groups)?,
            2 => input.f_conv2d(weight, bias, stride, padding, dilation, groups)?,
            _ => input.f_conv3d(weight, bias, stride, padding, dilation, groups)?,
        })
    }
}

/// The type `Conv1d`.
#[derive(Debug)]
pub enum Conv1d {}

impl Layer for Conv1d {
    const NAME: &'static str = "Conv1d";
    type Config = ConvConfig;
    type Module = Conv;

    fn build(config: &ConvConfig, _: &Builder<'_>) -> Result<Conv> {
        Conv::new(1, config)
    }
}

/// The type `Conv2d`.
#[derive(Debug)]
pub enum Conv2d {}

impl Layer for Conv2d {
    const NAME: &'static str = "Conv2d";
    type Config = ConvConfig;
    type Module = Conv;

    fn build(config: &ConvConfig, _: &Builder<'_>) -> Result<Conv> {
        Conv::new(2, config)
    }
}

/// The type `Conv3d`.
#[derive(Debug)]
pub enum Conv3d {}

impl Layer for Conv3d {
    const NAME: &'static str = "Conv3d";
    type Config = ConvConfig;
    type Module = Conv;

    fn build(config: &ConvConfig, _: &Builder<'_>) -> Result<Conv> {
        Conv::new(3, config)
    }
}

impl Convolution for Conv {
    fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    fn effective_weight(&self) -> Result<Tensor> {
        match &self.spectral_norm {
            Some(norm) => norm.apply(&self.weight, self.training.get()),
            None => Ok(self.weight.shallow_clone()),
        }
    }

    fn forward_with(&self, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        self.convolve(input, weight, bias).map_err(|error| match *error.kind {
            ErrorKind::Torch(refusal) => self.expected().explain(input, refusal),
            _ => error,
        })
    }
}

impl Forward for Conv {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match &self.spectral_norm {
            Some(_) => self.forward_with(input, &self.effective_weight()?, self.bias()),
            None => self.forward_with(input, &self.weight, self.bias()),
        }
    }
}

impl Module for Conv {
    fn class(&self) -> &'static [&'static str] {
        match self.kernel_size.len() {
            1 => &["Conv1d", "_ConvNd"],
            2 => &["Conv2d", "_ConvNd"],
            // MMCV registers a wrapper, which derives from `torch.nn.Conv3d`.
            _ => &["Conv3d", "Conv3d"],
        }
    }

    fn as_convolution(&self) -> Option<&dyn Convolution> {
        Some(self)
    }

    fn add_spectral_norm(&mut self) -> Result<()> {
        self.spectral_norm = Some(SpectralNorm::new(&self.weight, 0)?);
        Ok(())
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.training(&self.training);
        SpectralNorm::parts(self.spectral_norm.as_ref(), &self.weight, self.bias(), parts);
    }

    fn extra_repr(&self) -> String {
        let padding = match &self.stated_padding {
            Padding::Size(Size::All(size)) => repr::padding(&vec![*size; self.stride.len()]),
            Padding::Size(Size::Each(sizes)) => repr::padding(sizes),
            Padding::Same => Some("same".to_owned()),
            Padding::Valid => Some("valid".to_owned()),
        };
        let shown = ConvRepr {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: &self.kernel_size,
            stride: &self.stride,
            padding,
            dilation: &self.dilation,
            output_padding: &[],
            groups: self.groups,
            bias: self.bias.is_some(),
            padding_mode: self.padding_mode.word(),
        };
        shown.text()
    }

    fn multiply_adds(&self, _inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        let per_output = product(&self.kernel_size).saturating_mul(product(&[self.in_channels / self.groups]));
        let bias = u64::from(self.bias.is_some());
        elements(outputs).saturating_mul(per_output.saturating_add(bias))
    }
}

impl ConvPadding {
    fn new(config: &ConvConfig, kernel_size: &[i64], stride: &[i64], dilation: &[i64]) -> Result<Self> {
        let dims = kernel_size.len();
        let mode = config.padding_mode;
        let mut sides = Vec::with_capacity(dims);
        match &config.padding {
            Padding::Same if stride.iter().any(|stride| *stride != 1) => {
                let reason = "\"same\" is not supported for strided convolutions: expected stride 1";
                return Err(Error::argument("padding", format!("stride {stride:?}"), reason));
            }
            Padding::Same if mode == PaddingMode::Zeros => return Ok(Self::Same),
            Padding::Same => {
                for (size, dilation) in kernel_size.iter().zip(dilation) {
                    let total = dilation.saturating_mul(size - 1);
                    sides.push([total / 2, total - total / 2]);
                }
            }
            Padding::Valid => sides.resize(dims, [0, 0]),
            Padding::Size(size) if mode == PaddingMode::Zeros => {
                return Ok(Self::Zeros(size.broadcast_at_least(0, dims, "padding")?));
            }
            Padding::Size(size) => {
                for pixels in size.expand(dims, "padding")? {
                    sides.push([pixels, pixels]);
                }
            }
        }
        if mode == PaddingMode::Zeros {
            return Ok(Self::Zeros(vec![0; dims]));
        }
        sides.reverse();
        Ok(Self::Before(sides.concat(), mode.word()))
    }
}

/// Checks the arguments that all convolutions share.
pub(super) fn check_channels(in_channels: i64, out_channels: i64, groups: i64) -> Result<()> {
    if groups <= 0 {
        return Err(Error::argument("groups", groups, "expected a positive integer"));
    }
    for (name, channels) in [("in_channels", in_channels), ("out_channels", out_channels)] {
        if channels < 0 {
            return Err(Error::argument(name, channels, "expected at least 0"));
        }
        if channels % groups != 0 {
            let divisors = size::divisors(&[in_channels, out_channels]);
            let reason = format!("must be divisible by groups {groups}; with these channels groups can be {divisors}");
            return Err(Error::conflict(name, channels, reason));
        }
    }
    Ok(())
}

/// The sizes of a kernel: one for all dimensions, or one for each.
pub(super) fn kernel_sizes(size: &Size, dims: usize) -> Result<Vec<i64>> {
    size.expand(dims, "kernel_size")?;
    size.broadcast_at_least(1, dims, "kernel_size")
}
