//! `AdaptivePadding`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::conv::same_padding_of;
use mmcv_layers::{Builder, Forward, Layer, Module, Result, Size};
use mmcv_registry::Config;
use tch::Tensor;

/// Arguments of `AdaptivePadding`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "AdaptivePadding", layer = AdaptivePadding)]
pub struct AdaptivePaddingConfig {
    /// Size of the windows in pixels.
    #[config(default = Size::All(1))]
    pub kernel_size: Size,
    /// Stride of the windows in pixels.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Spacing between the elements of the windows in pixels.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// The sides on which pixels are added: `corner` (right and bottom) or `same` (all sides).
    #[config(default = PadMode::Corner)]
    pub padding: PadMode,
}

/// The sides on which pixels are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum PadMode {
    /// Right and bottom.
    Corner,
    /// All sides.
    Same,
}

/// Pads an image on the right and at the bottom, or on all sides, so that the windows of a convolution cover all of it.
///
/// Shapes: input `[N, C, H, W]`, output `[N, C, H', W']`.
///
/// ```
/// use mmcv_bricks::transformer::AdaptivePaddingConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Device, Kind, Tensor};
///
/// let padding = AdaptivePaddingConfig::new().with_kernel_size(16).with_stride(16).build()?;
/// let output = padding.forward(&Tensor::zeros([1, 3, 30, 33], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [1, 3, 32, 48]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct AdaptivePadding {
    kernel_size: Vec<i64>,
    stride: Vec<i64>,
    dilation: Vec<i64>,
    mode: PadMode,
}

impl Layer for AdaptivePadding {
    const NAME: &'static str = "AdaptivePadding";
    type Config = AdaptivePaddingConfig;
    type Module = Self;

    fn build(config: &AdaptivePaddingConfig, _: &Builder<'_>) -> Result<Self> {
        Ok(Self {
            kernel_size: config.kernel_size.broadcast_at_least(1, 2, "kernel_size")?,
            stride: config.stride.broadcast_at_least(1, 2, "stride")?,
            dilation: config.dilation.broadcast_at_least(1, 2, "dilation")?,
            mode: config.padding,
        })
    }
}

impl Forward for AdaptivePadding {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let pad = same_padding_of(input, &self.kernel_size, &self.stride, &self.dilation)?;
        // The last dimension first.
        let mut sides = Vec::new();
        for pad in pad.iter().rev() {
            sides.extend(match self.mode {
                PadMode::Corner => [0, *pad],
                PadMode::Same => [pad / 2, pad - pad / 2],
            });
        }
        if sides.iter().all(|pad| *pad == 0) {
            return Ok(input.shallow_clone());
        }
        Ok(input.f_pad(sides, "constant", 0.0)?)
    }
}
