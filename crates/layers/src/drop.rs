//! `Dropout` and `DropPath`. Reference: mmcv/cnn/bricks/drop.py.

use mmcv_registry::{Config, Spec};
use tch::Tensor;

use crate::explain::python;
use crate::ops::scalar_like;
use crate::{Build, Builder, Error, Forward, Layer, Module, Parts, Result, Training};

/// Arguments of `Dropout`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "Dropout", layer = Dropout)]
pub struct DropoutConfig {
    /// Probability of setting an element to 0 in training, between 0 and 1.
    #[config(default = 0.5)]
    pub drop_prob: f64,
    /// Whether to do the operation in place.
    #[config(default = false)]
    pub inplace: bool,
}

/// Arguments of `DropPath`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "DropPath", layer = DropPath)]
pub struct DropPathConfig {
    /// Probability of setting a sample to 0 in training, between 0 and 1.
    #[config(default = 0.1)]
    pub drop_prob: f64,
}

/// The registered layers that drop values.
pub const SPECS: &[Spec<Build>] = &[
    Spec {
        group: "drop",
        doc: "Sets single elements to 0 in training.",
        source: "torch.nn.Dropout; Srivastava et al., Dropout (2014)",
        ..Dropout::SPEC
    },
    Spec {
        group: "drop",
        doc: "Sets whole samples to 0 in training: stochastic depth in front of an addition.",
        source: "mmcv DropPath; Huang et al., Deep Networks with Stochastic Depth (2016)",
        ..DropPath::SPEC
    },
];

/// Sets random elements to 0 in training, and scales up the others so that the mean stays the same.
///
/// Shapes: any input; the output has the same shape.
///
/// ```
/// use mmcv_layers::drop::DropoutConfig;
/// use mmcv_layers::{Forward, LayerConfig, Module};
/// use tch::Tensor;
///
/// let dropout = DropoutConfig::new().with_drop_prob(0.1).build()?;
/// dropout.train(false);
/// let input = Tensor::from_slice(&[1.0, 2.0]);
/// assert_eq!(dropout.forward(&input)?, input);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Dropout {
    config: DropoutConfig,
    training: Training,
}

impl Layer for Dropout {
    const NAME: &'static str = "Dropout";
    type Config = DropoutConfig;
    type Module = Self;

    fn build(config: &DropoutConfig, _: &Builder<'_>) -> Result<Self> {
        if !(0.0..=1.0).contains(&config.drop_prob) {
            return Err(Error::argument("drop_prob", config.drop_prob, "expected a number between 0 and 1"));
        }
        Ok(Self { config: config.clone(), training: Training::default() })
    }
}

impl Forward for Dropout {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let DropoutConfig { drop_prob, inplace } = self.config;
        let training = self.training.get();
        Ok(if inplace {
            input.shallow_clone().f_dropout_(drop_prob, training)?
        } else {
            input.f_dropout(drop_prob, training)?
        })
    }
}

impl Module for Dropout {
    fn class(&self) -> &'static [&'static str] {
        &["Dropout", "Dropout"]
    }

    fn extra_repr(&self) -> String {
        format!("p={}, inplace={}", python::value(self.config.drop_prob), python::value(self.config.inplace))
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.training(&self.training);
    }
}

/// Sets random samples to 0 in training, and scales up the others so that the mean stays the same.
///
/// Shapes: input `[N, *]`; the output has the same shape.
///
/// ```
/// use mmcv_layers::drop::DropPathConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let drop_path = DropPathConfig::new().with_drop_prob(0.2).build()?;
/// let output = drop_path.forward(&Tensor::rand([4, 10, 64], FLOAT_CPU))?;
/// assert_eq!(output.size(), [4, 10, 64]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Module)]
pub struct DropPath {
    drop_prob: f64,
    training: Training,
}

impl DropPath {
    /// Creates the layer.
    #[must_use]
    pub fn new(config: &DropPathConfig) -> Self {
        Self { drop_prob: config.drop_prob, training: Training::default() }
    }
}

impl Layer for DropPath {
    const NAME: &'static str = "DropPath";
    type Config = DropPathConfig;
    type Module = Self;

    fn build(config: &DropPathConfig, _: &Builder<'_>) -> Result<Self> {
        Ok(Self::new(config))
    }
}

impl Forward for DropPath {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        if self.drop_prob == 0.0 || !self.training.get() {
            return Ok(input.shallow_clone());
        }
        let keep = 1.0 - self.drop_prob;
        let mut shape = vec![1; input.dim()];
        let (Some(first), Some(samples)) = (shape.first_mut(), input.size().first().copied()) else {
            return Err(Error::input("at least 1D input", "a scalar"));
        };
        *first = samples;
        let keep = scalar_like(keep, input)?;
        let kept = Tensor::f_rand(shape, (input.f_kind()?, input.device()))?.f_add(&keep)?.f_floor()?;
        Ok(input.f_div(&keep)?.f_mul(&kept)?)
    }
}
