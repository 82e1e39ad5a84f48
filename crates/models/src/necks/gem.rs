//! `GeneralizedMeanPooling`. Reference: mmpretrain/models/necks/gem.py; Radenovic et al., Fine-tuning CNN Image Retrieval
//! with No Human Annotation (2018).

use mmcv_layers::observe::of_size;
use mmcv_layers::{Builder, Error, Forward, Layer, Module, NotSend, Output, Result, init, scalar_like};
use mmcv_registry::{Config, Dict};
use tch::Tensor;

use crate::backbone::rows;

/// Arguments of `GeneralizedMeanPooling`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "GeneralizedMeanPooling", layer = GeneralizedMeanPooling)]
pub struct GeneralizedMeanPoolingConfig {
    /// The power of the mean, at least 1: 1 is the arithmetic mean, and larger powers approach the maximum.
    #[config(default = 3.0)]
    pub p: f64,
    /// The least value of a pixel, with `clamp`.
    #[config(default = 1e-6)]
    pub eps: f64,
    /// Whether pixels below `eps` are raised to it.
    #[config(default = true)]
    pub clamp: bool,
    /// Whether `p` is trained.
    #[config(default = true)]
    pub p_trainable: bool,
}

/// The generalized mean over all pixels, of one or several stages: the p-th root of the mean of the p-th powers.
///
/// Shapes: input `[N, C, H, W]`, output `[N, C]`. State: `p` `[1]`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig};
/// use mmcv_models::GeneralizedMeanPoolingConfig;
/// use tch::{Device, Kind, Tensor};
///
/// let pooling = GeneralizedMeanPoolingConfig::new().with_p(2.0).build()?;
/// let output = pooling.forward(&Tensor::ones([2, 16, 7, 7], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [2, 16]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct GeneralizedMeanPooling {
    #[module(parameter)]
    p: Tensor,
    eps: f64,
    clamp: bool,
    _thread: NotSend,
}

impl Layer for GeneralizedMeanPooling {
    const NAME: &'static str = "GeneralizedMeanPooling";
    type Config = GeneralizedMeanPoolingConfig;
    type Module = Self;

    fn build(config: &GeneralizedMeanPoolingConfig, _: &Builder<'_>) -> Result<Self> {
        let GeneralizedMeanPoolingConfig { p: power, eps, clamp, p_trainable } = *config;
        if !(power >= 1.0 && power.is_finite()) {
            return Err(Error::argument("p", power, "expected at least 1"));
        }
        let p = init::parameter(&[1])?;
        init::constant(&p, power)?;
        Ok(Self { p: p.f_set_requires_grad(p_trainable)?, eps, clamp, _thread: NotSend::default() })
    }
}

impl Forward for GeneralizedMeanPooling {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let map = of_size(input, |shape| match shape {
            [_, _, height, width] => Some([*height, *width]),
            _ => None,
        })?;
        let Some(map) = map else { return Err(Error::input("4D input", format!("{:?}", input.size()))) };
        let mut clamped = input.shallow_clone();
        if self.clamp {
            clamped = input.f_clamp_min_tensor(&scalar_like(self.eps, input)?)?;
        }
        let powers = clamped.f_pow(&self.p)?;
        let mean = powers.f_avg_pool2d(map, map, [0, 0], false, true, None::<i64>)?;
        rows(&mean.f_pow(&self.p.f_reciprocal()?)?)
    }

    fn call(&self, inputs: &[&Tensor], _options: &Dict) -> Result<Output> {
        match inputs {
            [single] => self.forward(single).map(Output::Tensor),
            several => several.iter().map(|input| self.forward(input)).collect::<Result<_>>().map(Output::Tensors),
        }
    }
}
