//! `RReLU`. Reference: `torch.nn.RReLU`; Xu et al., Empirical Evaluation of Rectified Activations (2015).

use mmcv_registry::Config;
use tch::{Device, Kind, Tensor};

use super::elementwise::{leaky_relu, replace, shown};
use crate::explain::elements;
use crate::ops::{rounded_once, scalar_like};
use crate::{Builder, Error, Forward, Layer, Module, Parts, Result, Training};

/// Arguments of `RReLU`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "RReLU", layer = RReLU)]
pub struct RReLUConfig {
    /// Smallest slope.
    #[config(default = 1.0 / 8.0)]
    pub lower: f64,
    /// Largest slope.
    #[config(default = 1.0 / 3.0)]
    pub upper: f64,
    /// Whether to do the operation in place.
    #[config(default = false)]
    pub inplace: bool,
}

/// `x` if positive, else `slope * x`. In training each slope is drawn from `[lower, upper)`; in evaluation the slope is
/// their mean.
///
/// Shapes: any input; the output has the same shape.
///
/// ```
/// use mmcv_layers::activation::RReLUConfig;
/// use mmcv_layers::{Forward, LayerConfig, Module};
/// use tch::Tensor;
///
/// let rrelu = RReLUConfig::new().with_lower(0.25).with_upper(0.75).build()?;
/// rrelu.train(false);
/// let output = rrelu.forward(&Tensor::from_slice(&[-1.0, 2.0]))?;
/// assert_eq!(output, Tensor::from_slice(&[-0.5, 2.0]));
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct RReLU {
    config: RReLUConfig,
    training: Training,
}

impl RReLU {
    /// A slope for each element; 1 for positive elements.
    ///
    /// tch's operator passes `training` as the lower bound, so the slopes are drawn here as libtorch draws them: in
    /// float64, one for each element that is not positive, row by row.
    fn slopes(&self, input: &Tensor) -> Result<Tensor> {
        let RReLUConfig { lower, upper, .. } = self.config;
        let _guard = tch::no_grad_guard();
        let not_positive = input.f_le_tensor(&scalar_like(0.0, input)?)?;
        let count = not_positive.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        let drawn = Tensor::f_empty([count], (Kind::Double, Device::Cpu))?.f_uniform_(lower, upper)?;
        let drawn = drawn.f_to_kind(input.f_kind()?)?.f_to_device(input.device())?;
        Ok(input.f_ones_like()?.f_masked_scatter(&not_positive, &drawn)?)
    }
}

impl Layer for RReLU {
    const NAME: &'static str = "RReLU";
    type Config = RReLUConfig;
    type Module = Self;

    fn build(config: &RReLUConfig, _: &Builder<'_>) -> Result<Self> {
        Ok(Self { config: config.clone(), training: Training::default() })
    }
}

impl Forward for RReLU {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let RReLUConfig { lower, upper, inplace } = self.config;
        if lower > upper || lower.is_nan() || upper.is_nan() {
            return Err(Error::argument("lower", lower, format!("expected at most upper {upper}")));
        }
        if !self.training.get() {
            return leaky_relu(input, (lower + upper) / 2.0, inplace);
        }
        let output = rounded_once(input, |input| Ok(input.f_mul(&self.slopes(input)?)?))?;
        replace(input, output, inplace)
    }
}

impl Module for RReLU {
    fn class(&self) -> &'static [&'static str] {
        &["RReLU", "Module"]
    }

    fn extra_repr(&self) -> String {
        let RReLUConfig { lower, upper, inplace } = self.config;
        shown(&[("lower", lower), ("upper", upper)], inplace)
    }

    fn multiply_adds(&self, _inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        elements(outputs)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.training(&self.training);
    }
}
