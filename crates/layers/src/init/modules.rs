//! Initialization of one module's own weight and bias. Reference: mmengine/model/weight_init.py.

use tch::Tensor;

use super::{Distribution, FanMode, Nonlinearity, constant, kaiming, normal, trunc_normal, uniform, xavier};
use crate::{Module, Parts, Result};

/// Fills the module's own weight and bias. Reference: `mmengine.model.constant_init`.
///
/// # Errors
/// Returns an error if libtorch fails.
pub fn constant_init(module: &dyn Module, value: f64, bias: f64) -> Result<()> {
    init(module, bias, |weight| constant(weight, value))
}

/// Reference: `mmengine.model.xavier_init`.
///
/// # Errors
/// Returns an error if the module's weight has fewer than 2 dimensions.
pub fn xavier_init(module: &dyn Module, gain: f64, bias: f64, distribution: Distribution) -> Result<()> {
    init(module, bias, |weight| xavier(weight, gain, distribution))
}

/// Reference: `mmengine.model.normal_init`.
///
/// # Errors
/// Returns an error if `std` is negative.
pub fn normal_init(module: &dyn Module, mean: f64, std: f64, bias: f64) -> Result<()> {
    init(module, bias, |weight| normal(weight, mean, std))
}

/// Reference: `mmengine.model.trunc_normal_init`.
///
/// # Errors
/// Returns an error if `std` is not positive or `low` is greater than `high`.
pub fn trunc_normal_init(module: &dyn Module, mean: f64, std: f64, low: f64, high: f64, bias: f64) -> Result<()> {
    init(module, bias, |weight| trunc_normal(weight, mean, std, low, high))
}

/// Reference: `mmengine.model.uniform_init`.
///
/// # Errors
/// Returns an error if `low` is greater than `high`.
pub fn uniform_init(module: &dyn Module, low: f64, high: f64, bias: f64) -> Result<()> {
    init(module, bias, |weight| uniform(weight, low, high))
}

/// Reference: `mmengine.model.kaiming_init`.
///
/// # Errors
/// Returns an error if the module's weight has fewer than 2 dimensions.
pub fn kaiming_init(
    module: &dyn Module,
    mode: FanMode,
    nonlinearity: Nonlinearity,
    bias: f64,
    distribution: Distribution,
) -> Result<()> {
    init(module, bias, |weight| kaiming(weight, mode, nonlinearity, distribution))
}

/// The `XavierFill` of Caffe2. Reference: `mmengine.model.caffe2_xavier_init`.
///
/// # Errors
/// Returns an error if the module's weight has fewer than 2 dimensions.
pub fn caffe2_xavier_init(module: &dyn Module, bias: f64) -> Result<()> {
    kaiming_init(module, FanMode::FanIn, Nonlinearity::LeakyRelu(1.0), bias, Distribution::Uniform)
}

/// The bias for which a sigmoid classifier initially returns `prior`, between 0 and 1.
///
/// Reference: `mmengine.model.bias_init_with_prob`; Lin et al., Focal Loss (2017).
#[must_use]
pub fn bias_init_with_prob(prior: f64) -> f64 {
    -((1.0 - prior) / prior).ln()
}

fn init(module: &dyn Module, bias: f64, weight: impl FnOnce(&Tensor) -> Result<()>) -> Result<()> {
    let parts = Parts::of(module);
    // With spectral norm the trained weight is `weight_orig`.
    if let Some(tensor) = parts.find_parameter("weight").or(parts.find_parameter("weight_orig")) {
        weight(tensor)?;
    }
    match parts.find_parameter("bias") {
        Some(tensor) => constant(tensor, bias),
        None => Ok(()),
    }
}
