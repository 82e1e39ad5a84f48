//! `GlobalAveragePooling`. Reference: mmpretrain/models/necks/gap.py.

use mmcv_layers::pool::AdaptiveAvgPool;
use mmcv_layers::{Builder, Error, Forward, Layer, Module, ModuleExt, Output, Parts, Result, Size};
use mmcv_registry::{Config, Dict};
use tch::Tensor;

use crate::backbone::rows;

/// Arguments of `GlobalAveragePooling`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "GlobalAveragePooling", layer = GlobalAveragePooling)]
pub struct GlobalAveragePoolingConfig {
    /// Spatial dimensions of the input: 1, 2 or 3.
    #[config(default = 2)]
    pub dim: i64,
}

/// The mean over all pixels, of one or several stages.
///
/// Shapes: input `[N, C, *]`, output `[N, C]`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::GlobalAveragePoolingConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let pooling = GlobalAveragePoolingConfig::new().build()?;
/// let output = pooling.forward(&Tensor::zeros([2, 16, 7, 7], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [2, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct GlobalAveragePooling {
    gap: AdaptiveAvgPool,
}

impl Layer for GlobalAveragePooling {
    const NAME: &'static str = "GlobalAveragePooling";
    type Config = GlobalAveragePoolingConfig;
    type Module = Self;

    fn build(config: &GlobalAveragePoolingConfig, _: &Builder<'_>) -> Result<Self> {
        let gap = match config.dim {
            1 => AdaptiveAvgPool::new(1, Size::All(1))?,
            2 => AdaptiveAvgPool::new(2, Size::Each(vec![1; 2]))?,
            3 => AdaptiveAvgPool::new(3, Size::Each(vec![1; 3]))?,
            other => return Err(Error::argument("dim", other, "expected 1, 2 or 3")),
        };
        Ok(Self { gap })
    }
}

impl Forward for GlobalAveragePooling {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let pooled = self.run_child(&self.gap, input)?;
        rows(&pooled)
    }

    fn call(&self, inputs: &[&Tensor], _options: &Dict) -> Result<Output> {
        match inputs {
            [single] => self.forward(single).map(Output::Tensor),
            several => several.iter().map(|input| self.forward(input)).collect::<Result<_>>().map(Output::Tensors),
        }
    }
}

impl Module for GlobalAveragePooling {
    fn class(&self) -> &'static [&'static str] {
        &["GlobalAveragePooling", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.child("gap", &self.gap);
    }

    fn has_init_weights(&self) -> bool {
        true
    }
}
