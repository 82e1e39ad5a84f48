//! `GeneralizedMeanPooling`. Reference: mmpretrain/models/necks/gem.py; Radenovic et al., Fine-tuning CNN Image Retrieval
//! with No Human Annotation (2018).

use mmcv_layers::observe::of_size;
use mmcv_layers::{Builder, Error, Layer, Module, NotSend, Output, Parts, Result, init, scalar_like};
use mmcv_registry::{Config, Dict};
use tch::Tensor;

use crate::backbone::rows;

/// Arguments of `GeneralizedMeanPooling`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "GeneralizedMeanPooling", layer = GeneralizedMeanPooling)]
pub struct GeneralizedMeanPoolingConfig {
    /// The power whose mean is taken, at least 1: 1 is the mean, and the larger, the nearer to the maximum.
    #[config(default = 3.0)]
    pub p: f64,
    /// The smallest value that a pixel counts for, where there is `clamp`.
    #[config(default = 1e-6)]
    pub eps: f64,
    /// Whether pixels below `eps` count as that.
    #[config(default = true)]
    pub clamp: bool,
    /// Whether `p` is trained.
    #[config(default = true)]
    pub p_trainable: bool,
}

/// The generalised mean over all pixels, for one or several stages: the p-th root of the mean of p-th powers.
///
/// Shapes: input `[N, C, H, W]`, output `[N, C]`. State: `p` `[1]`.
#[derive(Debug)]
pub struct GeneralizedMeanPooling {
    p: Tensor,
    eps: f64,
    clamp: bool,
    _thread: NotSend,
}

impl GeneralizedMeanPooling {
    /// A pooling.
    ///
    /// # Errors
    /// Where `p` is less than 1 or not finite.
    pub fn new(config: &GeneralizedMeanPoolingConfig) -> Result<Self> {
        let GeneralizedMeanPoolingConfig { p: power, eps, clamp, p_trainable } = *config;
        if !(power >= 1.0 && power.is_finite()) {
            return Err(Error::argument("p", power, "expected at least 1"));
        }
        let p = init::parameter(&[1])?;
        init::constant(&p, power)?;
        Ok(Self { p: p.f_set_requires_grad(p_trainable)?, eps, clamp, _thread: NotSend::default() })
    }
}

impl Layer for GeneralizedMeanPooling {
    const NAME: &'static str = "GeneralizedMeanPooling";
    type Config = GeneralizedMeanPoolingConfig;
    type Module = Self;

    fn build(config: &GeneralizedMeanPoolingConfig, _: &Builder<'_>) -> Result<Self> {
        Self::new(config)
    }
}

impl Module for GeneralizedMeanPooling {
    fn class(&self) -> &'static [&'static str] {
        &["GeneralizedMeanPooling", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let map = of_size(input, |shape| match shape {
            [_, _, height, width] => Some([*height, *width]),
            _ => None,
        })?;
        let Some(map) = map else { return Err(Error::input("4D input", format!("{:?}", input.size()))) };
        let clamped = match self.clamp {
            true => input.f_clamp_min_tensor(&scalar_like(self.eps, input)?)?,
            false => input.shallow_clone(),
        };
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

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("p", &self.p);
    }
}
