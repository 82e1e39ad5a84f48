//! `ConvWS` and `ConvAWS`: convolutions with weight standardization. Reference: mmcv/cnn/bricks/conv_ws.py; Qiao et
//! al., Weight Standardization (2019).

use mmcv_registry::Config;
use tch::{Device, Kind, Tensor};

use super::Convolution;
use super::conv::{Conv, ConvConfig, Padding};
use crate::ops::scalar_like;
use crate::{Builder, Forward, Layer, Module, Parts, Result, Size};

/// Arguments of `ConvWS`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ConvWS", layer = ConvWS2d)]
pub struct ConvWSConfig {
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Size of the kernel.
    pub kernel_size: Size,
    /// Stride of the convolution.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Padding added to both sides of each dimension.
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
    /// Value added to the standard deviation for numerical stability.
    #[config(default = 1e-5)]
    pub eps: f64,
}

/// Arguments of `ConvAWS` and `Conv2dAdaptivePadding`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "ConvAWS", layer = ConvAWS2d)]
pub struct PlainConvConfig {
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Size of the kernel.
    pub kernel_size: Size,
    /// Stride of the convolution.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Padding added to both sides of each dimension.
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
}

impl PlainConvConfig {
    /// The arguments of the underlying convolution.
    pub(super) fn to_conv(&self) -> ConvConfig {
        let Self { in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias } = self.clone();
        ConvConfig {
            stride,
            padding,
            dilation,
            groups,
            bias,
            ..ConvConfig::new(in_channels, out_channels, kernel_size)
        }
    }
}

/// A 2-D convolution whose weight has mean 0 and standard deviation 1 for each output.
///
/// Shapes and state: those of `Conv2d`.
///
/// ```
/// use mmcv_layers::conv::ConvWSConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let conv = ConvWSConfig::new(3, 8, 3).with_padding(1).build()?;
/// let output = conv.forward(&Tensor::rand([1, 3, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 8, 16, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct ConvWS2d {
    conv: Conv,
    eps: f64,
}

impl ConvWS2d {
    /// The convolution without standardization.
    #[must_use]
    pub fn conv(&self) -> &Conv {
        &self.conv
    }
}

impl Layer for ConvWS2d {
    const NAME: &'static str = "ConvWS";
    type Config = ConvWSConfig;
    type Module = Self;

    fn build(config: &ConvWSConfig, _: &Builder<'_>) -> Result<Self> {
        let ConvWSConfig { in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, eps } =
            config.clone();
        let plain = PlainConvConfig { in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias };
        Ok(Self { conv: Conv::new(2, &plain.to_conv())?, eps })
    }
}

impl Forward for ConvWS2d {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let weight = self.conv.effective_weight()?;
        let (flat, per_output) = flattened(&weight)?;
        let mean = flat.f_mean_dim([1i64].as_slice(), true, None::<Kind>)?.f_view(per_output)?;
        let std = flat.f_std_dim([1i64].as_slice(), true, true)?.f_view(per_output)?;
        let weight = weight.f_sub(&mean)?.f_div(&std.f_add(&scalar_like(self.eps, &std)?)?)?;
        self.conv.forward_with(input, &weight, self.conv.bias())
    }
}

impl Module for ConvWS2d {
    fn class(&self) -> &'static [&'static str] {
        &["ConvWS2d", "Conv2d"]
    }

    fn as_convolution(&self) -> Option<&dyn Convolution> {
        Some(&self.conv)
    }

    fn add_spectral_norm(&mut self) -> Result<()> {
        self.conv.add_spectral_norm()
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        self.conv.parts(parts);
    }

    fn extra_repr(&self) -> String {
        self.conv.extra_repr()
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        self.conv.multiply_adds(inputs, outputs)
    }
}

/// A 2-D convolution whose weight is standardized and then rescaled to a learned mean and standard deviation.
///
/// Shapes: those of `Conv2d`. State: also `weight_gamma`, `weight_beta` `[out_channels, 1, 1, 1]`. Weights that were
/// trained without them are loaded so that the output of the convolution stays the same, see [`Module::after_load`].
/// Chen et al., DetectoRS (2020).
///
/// ```
/// use mmcv_layers::conv::PlainConvConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let conv = PlainConvConfig::new(3, 8, 3).with_padding(1).build()?;
/// let output = conv.forward(&Tensor::rand([1, 3, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 8, 16, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct ConvAWS2d {
    conv: Conv,
    gamma: Tensor,
    beta: Tensor,
}

impl ConvAWS2d {
    /// Value added to the variance for numerical stability.
    const EPS: f64 = 1e-5;

    /// The convolution without standardization.
    #[must_use]
    pub fn conv(&self) -> &Conv {
        &self.conv
    }

    /// Mean and standard deviation of each output of the weight.
    fn statistics(weight: &Tensor) -> Result<(Tensor, Tensor)> {
        let (flat, per_output) = flattened(weight)?;
        let mean = flat.f_mean_dim([1i64].as_slice(), false, None::<Kind>)?.f_view(per_output)?;
        let variance = flat.f_var_dim([1i64].as_slice(), true, false)?;
        let variance = variance.f_add(&scalar_like(Self::EPS, &variance)?)?;
        Ok((mean, variance.f_sqrt()?.f_view(per_output)?))
    }
}

impl Layer for ConvAWS2d {
    const NAME: &'static str = "ConvAWS";
    type Config = PlainConvConfig;
    type Module = Self;

    fn build(config: &PlainConvConfig, _: &Builder<'_>) -> Result<Self> {
        let conv = Conv::new(2, &config.to_conv())?;
        let shape = [config.out_channels, 1, 1, 1];
        let float = (Kind::Float, Device::Cpu);
        Ok(Self { conv, gamma: Tensor::f_ones(shape, float)?, beta: Tensor::f_zeros(shape, float)? })
    }
}

impl Forward for ConvAWS2d {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let weight = self.conv.effective_weight()?;
        let (mean, std) = Self::statistics(&weight)?;
        let weight = weight.f_sub(&mean)?.f_div(&std)?;
        let weight = self.gamma.f_mul(&weight)?.f_add(&self.beta)?;
        self.conv.forward_with(input, &weight, self.conv.bias())
    }
}

impl Module for ConvAWS2d {
    fn class(&self) -> &'static [&'static str] {
        &["ConvAWS2d", "Conv2d"]
    }

    fn as_convolution(&self) -> Option<&dyn Convolution> {
        Some(&self.conv)
    }

    fn add_spectral_norm(&mut self) -> Result<()> {
        self.conv.add_spectral_norm()
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        self.conv.parts(parts);
        parts.buffer("weight_gamma", &self.gamma);
        parts.buffer("weight_beta", &self.beta);
    }

    fn extra_repr(&self) -> String {
        self.conv.extra_repr()
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        self.conv.multiply_adds(inputs, outputs)
    }

    fn may_be_absent(&self, name: &str) -> bool {
        matches!(name, "weight_gamma" | "weight_beta")
    }

    fn after_load(&self, absent: &[&str]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let is_trained =
            !absent.contains(&"weight_gamma") && self.gamma.f_mean(None::<Kind>)?.f_double_value(&[])? > 0.0;
        if !is_trained {
            let (mean, std) = Self::statistics(self.conv.weight())?;
            self.beta.shallow_clone().f_copy_(&mean)?;
            self.gamma.shallow_clone().f_copy_(&std)?;
        }
        Ok(())
    }
}

/// The weight with one row per output, and the shape of a tensor with one number per output.
fn flattened(weight: &Tensor) -> Result<(Tensor, [i64; 4])> {
    let outputs = weight.size().first().copied().unwrap_or(0);
    Ok((weight.f_reshape([outputs, -1])?, [outputs, 1, 1, 1]))
}
