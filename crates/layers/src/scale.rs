//! `Scale` and `LayerScale`. Reference: mmcv/cnn/bricks/scale.py.

use mmcv_registry::{Config, Spec};
use tch::Tensor;

use crate::explain::elements;
use crate::{Build, Builder, Error, Forward, Layer, Module, NotSend, Parts, Result, init, size};

/// Arguments of `Scale`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "Scale", layer = Scale)]
pub struct ScaleConfig {
    /// Initial value of the factor.
    #[config(default = 1.0)]
    pub scale: f64,
}

/// Arguments of `LayerScale`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "LayerScale", layer = LayerScale)]
pub struct LayerScaleConfig {
    /// Number of channels.
    pub dim: i64,
    /// Whether to do the operation in place.
    #[config(default = false)]
    pub inplace: bool,
    /// Position of the channels: `channels_last` or `channels_first`.
    #[config(default = DataFormat::ChannelsLast)]
    pub data_format: DataFormat,
    /// Initial value of the factor.
    #[config(default = 1e-5)]
    pub scale: f64,
}

/// The registered layers that multiply by learned factors.
pub const SPECS: &[Spec<Build>] = &[
    Spec { group: "scale", doc: "Multiplies by one learned factor.", source: "mmcv Scale", ..Scale::SPEC },
    Spec {
        group: "scale",
        doc: "Multiplies each channel by a learned factor.",
        source: "mmcv LayerScale; Touvron et al., Going Deeper with Image Transformers (2021)",
        ..LayerScale::SPEC
    },
];

/// Position of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum DataFormat {
    /// `[N, *, C]`
    ChannelsLast,
    /// `[N, C, *]`
    ChannelsFirst,
}

/// Multiplies by one learned factor.
///
/// Shapes: any input; the output has the same shape. State: `scale` (0-dim).
///
/// ```
/// use mmcv_layers::scale::ScaleConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::Tensor;
///
/// let scale = ScaleConfig::new().with_scale(2.0).build()?;
/// let output = scale.forward(&Tensor::from_slice(&[1.0, 3.0]))?;
/// assert_eq!(output, Tensor::from_slice(&[2.0, 6.0]));
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Scale {
    scale: Tensor,
    _thread: NotSend,
}

impl Layer for Scale {
    const NAME: &'static str = "Scale";
    type Config = ScaleConfig;
    type Module = Self;

    fn build(config: &ScaleConfig, _: &Builder<'_>) -> Result<Self> {
        let scale = init::parameter(&[])?;
        init::constant(&scale, config.scale)?;
        Ok(Self { scale, _thread: NotSend::default() })
    }
}

impl Forward for Scale {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_mul(&self.scale)?)
    }
}

impl Module for Scale {
    fn class(&self) -> &'static [&'static str] {
        &["Scale", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("scale", &self.scale);
    }

    fn multiply_adds(&self, _inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        elements(outputs)
    }
}

/// Multiplies each channel by a learned factor.
///
/// Shapes: see [`DataFormat`]; the output has the same shape. State: `weight` `[dim]`.
///
/// ```
/// use mmcv_layers::scale::LayerScaleConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let scale = LayerScaleConfig::new(64).with_scale(1e-4).build()?;
/// let output = scale.forward(&Tensor::rand([2, 10, 64], FLOAT_CPU))?;
/// assert_eq!(output.size(), [2, 10, 64]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct LayerScale {
    weight: Tensor,
    inplace: bool,
    data_format: DataFormat,
    _thread: NotSend,
}

impl Layer for LayerScale {
    const NAME: &'static str = "LayerScale";
    type Config = LayerScaleConfig;
    type Module = Self;

    fn build(config: &LayerScaleConfig, _: &Builder<'_>) -> Result<Self> {
        if config.dim < 0 {
            return Err(Error::argument("dim", config.dim, "expected at least 0"));
        }
        let weight = init::parameter(&[config.dim])?;
        init::constant(&weight, config.scale)?;
        Ok(Self { weight, inplace: config.inplace, data_format: config.data_format, _thread: NotSend::default() })
    }
}

impl Forward for LayerScale {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let dims = size::dims(input)?;
        let shape: Vec<i64> = match self.data_format {
            DataFormat::ChannelsLast => [vec![1; dims.saturating_sub(1)], vec![-1]].concat(),
            DataFormat::ChannelsFirst => [vec![1, -1], vec![1; dims.saturating_sub(2)]].concat(),
        };
        let weight = self.weight.f_view(shape.as_slice())?;
        Ok(if self.inplace { input.shallow_clone().f_mul_(&weight)? } else { input.f_mul(&weight)? })
    }
}

impl Module for LayerScale {
    fn class(&self) -> &'static [&'static str] {
        &["LayerScale", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("weight", &self.weight);
    }

    fn multiply_adds(&self, _inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        elements(outputs)
    }
}
