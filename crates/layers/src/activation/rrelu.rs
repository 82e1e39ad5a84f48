//! `RReLU`. Reference: `torch.nn.RReLU`; Xu et al., Empirical Evaluation of Rectified Activations (2015).

use mmcv_registry::config_struct;
use tch::{Kind, Tensor};

use super::elementwise::{leaky_relu, replace};
use crate::{Error, Module, Result, Training};

/// The bounds that tch's operator always draws from.
const TCH_LOWER: f64 = 1.0 / 8.0;
const TCH_UPPER: f64 = 1.0 / 3.0;

config_struct! {
    /// Arguments of `RReLU`.
    pub struct RReLUConfig {
        optional {
            /// Smallest slope.
            lower: f64 = 1.0 / 8.0,
            /// Largest slope.
            upper: f64 = 1.0 / 3.0,
            /// Whether the result replaces the input.
            inplace: bool = false,
        }
    }
}

/// `x` where it is positive, else `slope * x`: in training each slope is drawn from `[lower, upper)`, in evaluation it is
/// their mean.
///
/// Shapes: any input, and the output as the input.
#[derive(Debug)]
pub struct RReLU {
    config: RReLUConfig,
    training: Training,
}

impl RReLU {
    /// An RReLU.
    ///
    /// # Errors
    /// None at present: bounds are checked by the forward pass, as in the reference.
    pub fn new(config: &RReLUConfig) -> Result<Self> {
        Ok(Self { config: config.clone(), training: Training::default() })
    }

    /// A slope for each element, 1 where the input is positive.
    ///
    /// The operator that tch binds draws from fixed bounds, so its draws are stretched to ours; in float64, so that
    /// nothing is lost on the way.
    fn slopes(&self, input: &Tensor) -> Result<Tensor> {
        let RReLUConfig { lower, upper, .. } = self.config;
        let _guard = tch::no_grad_guard();
        let values = input.f_to_kind(Kind::Double)?;
        let drawn = values.f_zeros_like()?;
        let _ = values.f_rrelu_with_noise(&drawn, true)?;
        let stretch = (upper - lower) / (TCH_UPPER - TCH_LOWER);
        let slopes = drawn.f_sub_scalar(TCH_LOWER)?.f_mul_scalar(stretch)?.f_add_scalar(lower)?;
        let slopes = drawn.f_where_self(&values.f_gt(0.0)?, &slopes)?;
        Ok(slopes.f_to_kind(input.f_kind()?)?)
    }
}

impl Module for RReLU {
    fn class(&self) -> &'static [&'static str] {
        &["RReLU", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let RReLUConfig { lower, upper, inplace } = self.config;
        if lower > upper || lower.is_nan() || upper.is_nan() {
            return Err(Error::argument("lower", lower, format!("expected at most upper {upper}")));
        }
        if !self.training.get() {
            return leaky_relu(input, (lower + upper) / 2.0, inplace);
        }
        if (lower, upper) == (TCH_LOWER, TCH_UPPER) {
            return Ok(if inplace { input.shallow_clone().f_rrelu_(true)? } else { input.f_rrelu(true)? });
        }
        replace(input, input.f_mul(&self.slopes(input)?)?, inplace)
    }

    fn train(&self, training: bool) {
        self.training.set(training);
    }
}
