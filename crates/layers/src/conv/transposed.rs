//! `deconv`. Reference: mmcv/cnn/bricks/wrappers.py, `torch.nn.ConvTranspose2d`.

use mmcv_registry::Config;
use tch::Tensor;

use super::conv::{check_channels, kernel_sizes};
use super::repr::{self, ConvRepr};
use super::spectral_norm::SpectralNorm;
use crate::explain::{elements, product};
use crate::shape_error::Expected;
use crate::{Builder, Forward, Layer, Module, Parts, Result, Size, Training, init};

/// Arguments of `deconv`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "deconv", layer = ConvTranspose2d)]
pub struct ConvTransposeConfig {
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Size of the kernel.
    pub kernel_size: Size,
    /// Stride of the convolution: the factor by which the input grows.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Pixels removed from both sides of each dimension of the output.
    #[config(default = Size::All(0))]
    pub padding: Size,
    /// Pixels added to one side of each dimension of the output; smaller than `stride` or `dilation`.
    #[config(default = Size::All(0))]
    pub output_padding: Size,
    /// Number of blocked connections from input channels to output channels; divides both.
    #[config(default = 1)]
    pub groups: i64,
    /// Whether to add a learnable bias; null counts as false.
    #[config(default = Some(true))]
    pub bias: Option<bool>,
    /// Spacing between kernel elements.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// Values of padded pixels: only `zeros` is supported.
    #[config(default = TransposedPaddingMode::Zeros)]
    pub padding_mode: TransposedPaddingMode,
}

/// Values of the padded pixels of a transposed convolution; there is only one choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum TransposedPaddingMode {
    /// 0.
    Zeros,
}

/// A transposed convolution over 1, 2 or 3 dimensions.
///
/// Shapes: input `[N, in_channels, *]`; output `[N, out_channels, *]` with
/// `(size - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1` pixels in each dimension.
/// State: `weight` `[in_channels, out_channels / groups, *kernel_size]`, `bias` `[out_channels]`.
///
/// ```
/// use mmcv_layers::conv::ConvTransposeConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let conv = ConvTransposeConfig::new(8, 4, 2).with_stride(2).build()?; // ConvTranspose2d
/// let output = conv.forward(&Tensor::rand([1, 8, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 4, 32, 32]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct ConvTranspose {
    weight: Tensor,
    bias: Option<Tensor>,
    in_channels: i64,
    out_channels: i64,
    groups: i64,
    kernel_size: Vec<i64>,
    stride: Vec<i64>,
    padding: Vec<i64>,
    output_padding: Vec<i64>,
    dilation: Vec<i64>,
    spectral_norm: Option<SpectralNorm>,
    training: Training,
}

impl ConvTranspose {
    /// A transposed convolution over `dims` dimensions (1, 2 or 3), with PyTorch's initial values.
    ///
    /// # Errors
    /// Returns an error if channels or groups are not positive, `groups` does not divide the channels, a list of
    /// sizes does not have `dims` items, or a size is out of range.
    pub fn new(dims: usize, config: &ConvTransposeConfig) -> Result<Self> {
        let ConvTransposeConfig { in_channels, out_channels, groups, .. } = *config;
        check_channels(in_channels, out_channels, groups)?;
        let kernel_size = kernel_sizes(&config.kernel_size, dims)?;
        let shape = [&[in_channels, out_channels / groups], kernel_size.as_slice()].concat();
        let stride = config.stride.broadcast_at_least(1, dims, "stride")?;
        let padding = config.padding.broadcast_at_least(0, dims, "padding")?;
        let output_padding = config.output_padding.broadcast_at_least(0, dims, "output_padding")?;
        let dilation = config.dilation.broadcast_at_least(1, dims, "dilation")?;
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
            output_padding,
            dilation,
            spectral_norm: None,
            training: Training::default(),
        })
    }
}

/// The type `deconv`.
#[derive(Debug)]
pub enum ConvTranspose2d {}

impl Layer for ConvTranspose2d {
    const NAME: &'static str = "deconv";
    type Config = ConvTransposeConfig;
    type Module = ConvTranspose;

    fn build(config: &ConvTransposeConfig, _: &Builder<'_>) -> Result<ConvTranspose> {
        ConvTranspose::new(2, config)
    }
}

/// The type `deconv3d`.
#[derive(Debug)]
pub enum ConvTranspose3d {}

impl Layer for ConvTranspose3d {
    const NAME: &'static str = "deconv3d";
    type Config = ConvTransposeConfig;
    type Module = ConvTranspose;

    fn build(config: &ConvTransposeConfig, _: &Builder<'_>) -> Result<ConvTranspose> {
        ConvTranspose::new(3, config)
    }
}

impl Forward for ConvTranspose {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let weight = match &self.spectral_norm {
            Some(norm) => norm.apply(&self.weight, self.training.get())?,
            None => self.weight.shallow_clone(),
        };
        let Self { stride, padding, output_padding, dilation, groups, .. } = self;
        let bias = self.bias.as_ref();
        let dims = stride.len();
        let output = match dims {
            1 => input.f_conv_transpose1d(&weight, bias, stride, padding, output_padding, *groups, dilation),
            2 => input.f_conv_transpose2d(&weight, bias, stride, padding, output_padding, *groups, dilation),
            _ => input.f_conv_transpose3d(&weight, bias, stride, padding, output_padding, *groups, dilation),
        };
        output.map_err(|refusal| {
            let channels = ("in_channels", self.in_channels);
            Expected { class: self.name(), dims, channels, kernel: None }.explain(input, refusal)
        })
    }
}

impl Module for ConvTranspose {
    fn class(&self) -> &'static [&'static str] {
        match self.stride.len() {
            1 => &["ConvTranspose1d", "_ConvTransposeNd"],
            // MMCV registers wrappers, which derive from torch's classes of the same names.
            2 => &["ConvTranspose2d", "ConvTranspose2d"],
            _ => &["ConvTranspose3d", "ConvTranspose3d"],
        }
    }

    fn add_spectral_norm(&mut self) -> Result<()> {
        self.spectral_norm = Some(SpectralNorm::new(&self.weight, 1)?);
        Ok(())
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.training(&self.training);
        SpectralNorm::parts(self.spectral_norm.as_ref(), &self.weight, self.bias.as_ref(), parts);
    }

    fn extra_repr(&self) -> String {
        let shown = ConvRepr {
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            kernel_size: &self.kernel_size,
            stride: &self.stride,
            padding: repr::padding(&self.padding),
            dilation: &self.dilation,
            output_padding: &self.output_padding,
            groups: self.groups,
            bias: self.bias.is_some(),
            padding_mode: TransposedPaddingMode::Zeros.word(),
        };
        shown.text()
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        let per_input = product(&self.kernel_size).saturating_mul(product(&[self.out_channels / self.groups]));
        let bias = if self.bias.is_some() { elements(outputs) } else { 0 };
        elements(inputs).saturating_mul(per_input).saturating_add(bias)
    }
}
