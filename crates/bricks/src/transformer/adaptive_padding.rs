//! `AdaptivePadding`. Reference: mmcv/cnn/bricks/transformer.py.

use mmcv_layers::conv::same_padding_of;
use mmcv_layers::{Builder, Layer, Module, Result, Size};
use mmcv_registry::Config;
use tch::Tensor;

/// Arguments of `AdaptivePadding`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "AdaptivePadding", layer = AdaptivePadding)]
pub struct AdaptivePaddingConfig {
    /// Size of the windows in pixels.
    #[config(default = Size::All(1))]
    pub kernel_size: Size,
    /// Step of the windows in pixels.
    #[config(default = Size::All(1))]
    pub stride: Size,
    /// Distance of the windows' elements in pixels.
    #[config(default = Size::All(1))]
    pub dilation: Size,
    /// Where pixels are added: `corner` (right and bottom) or `same` (all sides).
    #[config(default = PadMode::Corner)]
    pub padding: PadMode,
}

/// Where pixels are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum PadMode {
    /// Right and bottom.
    Corner,
    /// On all sides.
    Same,
}

/// Pads an image on the right and at the bottom, or on all sides, so that windows cover all of it.
///
/// Shapes: input `[N, C, H, W]`, output the same but for height and width.
#[derive(Debug)]
pub struct AdaptivePadding {
    kernel_size: Vec<i64>,
    stride: Vec<i64>,
    dilation: Vec<i64>,
    mode: PadMode,
}

impl AdaptivePadding {
    /// A padding.
    ///
    /// # Errors
    /// Where a list of sizes has not 2 items, or a size is not positive.
    pub fn new(config: &AdaptivePaddingConfig) -> Result<Self> {
        Ok(Self {
            kernel_size: config.kernel_size.broadcast_at_least(1, 2, "kernel_size")?,
            stride: config.stride.broadcast_at_least(1, 2, "stride")?,
            dilation: config.dilation.broadcast_at_least(1, 2, "dilation")?,
            mode: config.padding,
        })
    }
}

impl Layer for AdaptivePadding {
    const NAME: &'static str = "AdaptivePadding";
    type Config = AdaptivePaddingConfig;
    type Module = Self;

    fn build(config: &AdaptivePaddingConfig, _: &Builder<'_>) -> Result<Self> {
        Self::new(config)
    }
}

impl Module for AdaptivePadding {
    fn class(&self) -> &'static [&'static str] {
        &["AdaptivePadding", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let pad = same_padding_of(input, &self.kernel_size, &self.stride, &self.dilation)?;
        // The last dimension first.
        let sides: Vec<i64> = pad
            .iter()
            .rev()
            .flat_map(|pad| match self.mode {
                PadMode::Corner => [0, *pad],
                PadMode::Same => [pad / 2, pad - pad / 2],
            })
            .collect();
        if pad.iter().all(|pad| *pad == 0) {
            return Ok(input.shallow_clone());
        }
        Ok(input.f_pad(sides, "constant", 0.0)?)
    }
}
