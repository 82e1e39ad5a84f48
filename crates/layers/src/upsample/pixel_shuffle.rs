//! `pixel_shuffle`. Reference: mmcv/cnn/bricks/upsample.py, `PixelShufflePack`.

use mmcv_registry::Config;
use tch::Tensor;

use crate::conv::{Conv, ConvConfig, Padding};
use crate::init::{self, Distribution};
use crate::{Builder, Error, Forward, Layer, Module, ModuleExt, Parts, Result, Size};

/// Arguments of `pixel_shuffle`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "pixel_shuffle", layer = PixelShufflePack)]
pub struct PixelShufflePackConfig {
    /// Number of input channels.
    pub in_channels: i64,
    /// Number of output channels.
    pub out_channels: i64,
    /// Factor by which height and width grow.
    pub scale_factor: i64,
    /// Size of the convolution's kernel.
    pub upsample_kernel: i64,
}

/// A convolution to `scale_factor^2` times the channels, which are then rearranged into pixels.
///
/// Shapes: input `[N, in_channels, H, W]`, output `[N, out_channels, scale_factor H, scale_factor W]` for an odd
/// kernel. State: `upsample_conv.weight`, `upsample_conv.bias`. Shi et al. (2016).
///
/// ```
/// use mmcv_layers::upsample::PixelShufflePackConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let upsample = PixelShufflePackConfig::new(8, 4, 2, 3).build()?;
/// let output = upsample.forward(&Tensor::rand([1, 8, 16, 16], FLOAT_CPU))?;
/// assert_eq!(output.size(), [1, 4, 32, 32]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct PixelShufflePack {
    upsample_conv: Conv,
    scale_factor: i64,
}

impl Layer for PixelShufflePack {
    const NAME: &'static str = "pixel_shuffle";
    type Config = PixelShufflePackConfig;
    type Module = Self;

    fn build(config: &PixelShufflePackConfig, _: &Builder<'_>) -> Result<Self> {
        let PixelShufflePackConfig { in_channels, out_channels, scale_factor, upsample_kernel } = *config;
        if out_channels < 0 {
            return Err(Error::argument("out_channels", out_channels, "expected at least 0"));
        }
        let expanded = match scale_factor.checked_mul(scale_factor) {
            Some(pixels) if scale_factor > 0 => out_channels.checked_mul(pixels),
            _ => None,
        };
        let Some(expanded) = expanded else {
            return Err(Error::argument("scale_factor", scale_factor, "expected a small positive integer"));
        };
        if upsample_kernel < 1 {
            return Err(Error::argument("upsample_kernel", upsample_kernel, "expected a positive integer"));
        }
        let padding = Padding::Size(Size::All((upsample_kernel - 1) / 2));
        let conv = ConvConfig { padding, ..ConvConfig::new(in_channels, expanded, upsample_kernel) };
        let layer = Self { upsample_conv: Conv::new(2, &conv)?, scale_factor };
        layer.init_weights()?;
        Ok(layer)
    }
}

impl Forward for PixelShufflePack {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let expanded = self.run_child(&self.upsample_conv, input)?;
        Ok(expanded.f_pixel_shuffle(self.scale_factor)?)
    }
}

impl Module for PixelShufflePack {
    fn class(&self) -> &'static [&'static str] {
        &["PixelShufflePack", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child("upsample_conv", &self.upsample_conv);
    }

    fn init_weights(&self) -> Result<()> {
        init::xavier_init(&self.upsample_conv, 1.0, 0.0, Distribution::Uniform)
    }

    fn has_init_weights(&self) -> bool {
        true
    }
}
