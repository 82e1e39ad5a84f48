//! `Conv2dAdaptivePadding`. Reference: mmcv/cnn/bricks/conv2d_adaptive_padding.py.

use tch::Tensor;

use super::Convolution;
use super::conv::{Conv, Padding};
use super::weight_standardization::PlainConvConfig;
use crate::observe::of_size;
use crate::{Builder, Error, Forward, Layer, Module, Parts, Result, Size};

/// A 2-D convolution with TensorFlow's `same` padding: the output has `size / stride` pixels, rounded up.
///
/// Shapes and state: those of `Conv2d`; `padding` is accepted and ignored.
///
/// ```
/// use mmcv_layers::conv::{Conv2dAdaptivePadding, PlainConvConfig};
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let config = PlainConvConfig::new(3, 8, 3).with_stride(2);
/// let conv = config.build_as::<Conv2dAdaptivePadding>()?;
/// let output = conv.forward(&Tensor::rand([1, 3, 15, 15], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 8, 8, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Conv2dAdaptivePadding {
    conv: Conv,
    kernel_size: Vec<i64>,
    stride: Vec<i64>,
    dilation: Vec<i64>,
}

impl Conv2dAdaptivePadding {
    /// The convolution without padding.
    #[must_use]
    pub fn conv(&self) -> &Conv {
        &self.conv
    }
}

impl Layer for Conv2dAdaptivePadding {
    const NAME: &'static str = "Conv2dAdaptivePadding";
    type Config = PlainConvConfig;
    type Module = Self;

    fn build(config: &PlainConvConfig, _: &Builder<'_>) -> Result<Self> {
        let config = PlainConvConfig { padding: Padding::Size(Size::All(0)), ..config.clone() };
        let conv = Conv::new(2, &config.to_conv())?;
        Ok(Self {
            conv,
            kernel_size: config.kernel_size.expand(2, "kernel_size")?,
            stride: config.stride.broadcast(2, "stride")?,
            dilation: config.dilation.broadcast(2, "dilation")?,
        })
    }
}

impl Forward for Conv2dAdaptivePadding {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let pad = same_padding_of(input, &self.kernel_size, &self.stride, &self.dilation)?;
        let padded = if pad.iter().any(|pad| *pad > 0) {
            // The last dimension first.
            let mut sides = Vec::with_capacity(2 * pad.len());
            for pad in pad.iter().rev() {
                sides.extend([pad / 2, pad - pad / 2]);
            }
            input.f_pad(sides, "constant", 0.0)?
        } else {
            input.shallow_clone()
        };
        self.conv.forward(&padded)
    }
}

impl Module for Conv2dAdaptivePadding {
    fn class(&self) -> &'static [&'static str] {
        &["Conv2dAdaptivePadding", "Conv2d"]
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

/// [`same_padding`] for an image.
///
/// # Errors
/// Returns an error if the input has fewer than two dimensions.
pub fn same_padding_of(input: &Tensor, kernel_size: &[i64], stride: &[i64], dilation: &[i64]) -> Result<Vec<i64>> {
    let [kernel_size, stride, dilation] = [kernel_size, stride, dilation].map(<[i64]>::to_vec);
    let pad = of_size(input, move |shape| match shape {
        [.., height, width] => Some(same_padding(&[*height, *width], &kernel_size, &stride, &dilation)),
        _ => None,
    })?;
    match pad {
        Some(pad) => Ok(pad),
        None => Err(Error::input("3D or 4D input", format!("{}D input {:?}", input.dim(), input.size()))),
    }
}

/// The pixels to add to each dimension so that the output has `size / stride` pixels, rounded up.
#[must_use]
pub fn same_padding(sizes: &[i64], kernel_size: &[i64], stride: &[i64], dilation: &[i64]) -> Vec<i64> {
    let mut padding = Vec::with_capacity(sizes.len());
    for (((size, kernel), stride), dilation) in sizes.iter().zip(kernel_size).zip(stride).zip(dilation) {
        let outputs = size.saturating_add(stride - 1).checked_div(*stride).unwrap_or(0);
        let field = dilation.saturating_mul(kernel - 1).saturating_add(1);
        padding.push((outputs - 1).saturating_mul(*stride).saturating_add(field).saturating_sub(*size).max(0));
    }
    padding
}
