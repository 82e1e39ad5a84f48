//! Weight initialization, with the same random draws as `torch.nn.init` and mmengine/model/weight_init.py.
//!
//! The functions on tensors (`kaiming`, ...) follow `torch.nn.init`; those on modules (`kaiming_init`, ...) follow
//! mmengine and fill the module's own `weight` and `bias`, if it has them. [`InitCfg`] applies rules to a tree of
//! modules.

mod init_cfg;
mod initializer;
mod modules;
mod rule;

use std::cell::Cell;

use mmcv_registry::{Config, ConfigError, KeyPath};
use tch::{Kind, Tensor};

use crate::ops::scalar_like;
use crate::{Error, Result, memory, observe, size};

pub use init_cfg::InitCfg;
pub use initializer::{
    BuildInitializer, Caffe2XavierInit, ConstantInit, INITIALIZER_SPECS, Initializer, KaimingInit, Layers,
    NonlinearityName, NormalInit, Probability, TruncNormalInit, UniformInit, XavierInit,
};
pub use modules::{
    bias_init_with_prob, caffe2_xavier_init, constant_init, kaiming_init, normal_init, trunc_normal_init, uniform_init,
    xavier_init,
};

/// The direction in which the variance is preserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum FanMode {
    /// Inputs per unit: preserves the variance in the forward pass.
    FanIn,
    /// Outputs per unit: preserves the variance in the backward pass.
    FanOut,
}

/// The nonlinearity after the layer, which determines the gain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nonlinearity {
    /// Gain 1.
    Linear,
    /// Gain 5/3.
    Tanh,
    /// Gain sqrt(2).
    Relu,
    /// Gain sqrt(2 / (1 + slope^2)) with the slope for negative inputs.
    LeakyRelu(f64),
    /// Gain 3/4.
    Selu,
}

impl Nonlinearity {
    /// The gain. Reference: `torch.nn.init.calculate_gain`.
    #[must_use]
    pub fn gain(self) -> f64 {
        match self {
            Self::Linear => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::Relu => 2f64.sqrt(),
            Self::LeakyRelu(slope) => (2.0 / (1.0 + slope.powi(2))).sqrt(),
            Self::Selu => 0.75,
        }
    }
}

/// The distribution to draw values from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Config)]
pub enum Distribution {
    /// A normal distribution.
    Normal,
    /// A uniform distribution.
    Uniform,
}

thread_local! {
    static DRAWS: Cell<bool> = const { Cell::new(true) };
}

/// Runs `work` without random draws: [`uniform`], [`normal`], [`trunc_normal`] and the functions based on them leave
/// tensors unchanged, and a new [`parameter`] is zero.
///
/// Use it to build networks whose weights are then loaded: drawing them takes most of the build time.
pub fn without_draws<T>(work: impl FnOnce() -> T) -> T {
    /// Restores the setting, even if `work` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            DRAWS.set(self.0);
        }
    }
    let _restore = Restore(DRAWS.replace(false));
    work()
}

/// A new parameter of the given shape, on the CPU in float32, with uninitialized values.
///
/// # Errors
/// Returns an error if a size is negative or memory does not suffice. Its path is that of the dict that is being built.
pub fn parameter(shape: &[i64]) -> Result<Tensor> {
    if let Err(error) = memory::check(memory::bytes_of(shape), "it") {
        let reason = format!("the sizes in this dict must describe a parameter that fits into memory: {error}");
        return Err(ConfigError::invalid(&KeyPath::root(), format!("a parameter of shape {shape:?}"), reason).into());
    }
    // The system provides zeroed pages, which cost nothing until they are written.
    let new = if DRAWS.get() { Tensor::f_empty } else { Tensor::f_zeros };
    let tensor = new(shape, (Kind::Float, tch::Device::Cpu)).map_err(|_| {
        let reason = "the sizes in this dict must describe a parameter that fits into memory";
        ConfigError::invalid(&KeyPath::root(), format!("a parameter of shape {shape:?}"), reason)
    })?;
    Ok(tensor.f_set_requires_grad(true)?)
}

/// The fan-in and fan-out of a weight.
///
/// # Errors
/// Returns an error if the tensor has fewer than 2 dimensions.
pub fn fans(tensor: &Tensor) -> Result<(i64, i64)> {
    match size::of(tensor)?.as_slice() {
        [outputs, inputs, kernel @ ..] => {
            // A tensor without elements may have sizes whose product is too large.
            let field = size::product(kernel);
            Ok((inputs.saturating_mul(field), outputs.saturating_mul(field)))
        }
        shape => {
            Err(Error::input("a weight of at least 2 dimensions, of which fans can be computed", format!("{shape:?}")))
        }
    }
}

/// Draws from a uniform distribution over `[low, high)`.
///
/// # Errors
/// Returns an error if `low` is greater than `high`.
pub fn uniform(tensor: &Tensor, low: f64, high: f64) -> Result<()> {
    fill_randomly(tensor, |tensor| tensor.f_uniform_(low, high), || format!("uniform({low:.4}, {high:.4})"))
}

/// Draws from a normal distribution.
///
/// # Errors
/// Returns an error if `std` is negative.
pub fn normal(tensor: &Tensor, mean: f64, std: f64) -> Result<()> {
    fill_randomly(tensor, |tensor| tensor.f_normal_(mean, std), || format!("normal({mean}, {std:.4})"))
}

/// Sets all values.
///
/// # Errors
/// Returns an error if libtorch fails.
pub fn constant(tensor: &Tensor, value: f64) -> Result<()> {
    let number = scalar_like(value, tensor)?;
    fill(tensor, |tensor| tensor.f_fill_tensor_(&number), || format!("constant({value})"))
}

/// Draws from a normal distribution truncated to `[low, high]` (values, not multiples of `std`).
///
/// # Errors
/// Returns an error if `std` is not positive or `low` is greater than `high`.
pub fn trunc_normal(tensor: &Tensor, mean: f64, std: f64, low: f64, high: f64) -> Result<()> {
    if std <= 0.0 || low > high {
        return Err(Error::input("std > 0 and a <= b", format!("std {std}, a {low}, b {high}")));
    }
    let (lower, upper) = (normal_cdf((low - mean) / std)?, normal_cdf((high - mean) / std)?);
    let (factor, shift) = (scalar_like(std * 2f64.sqrt(), tensor)?, scalar_like(mean, tensor)?);
    let (least, greatest) = (scalar_like(low, tensor)?, scalar_like(high, tensor)?);
    let write = |tensor: &mut Tensor| {
        let _ = tensor.f_uniform_(2.0 * lower - 1.0, 2.0 * upper - 1.0)?;
        let _ = tensor.f_erfinv_()?;
        let _ = tensor.f_mul_(&factor)?;
        let _ = tensor.f_add_(&shift)?;
        tensor.f_clamp_tensor_(Some(&least), Some(&greatest))
    };
    fill_randomly(tensor, write, || format!("trunc_normal({mean}, {std:.4}, {low}, {high})"))
}

/// The cumulative distribution function of the standard normal distribution.
fn normal_cdf(value: f64) -> Result<f64> {
    Ok((1.0 + Tensor::from(value / 2f64.sqrt()).f_erf()?.f_double_value(&[])?) / 2.0)
}

/// Glorot and Bengio (2010): preserves the variance between layers, for symmetric activations.
///
/// # Errors
/// Returns an error if the tensor has fewer than 2 dimensions.
pub fn xavier(tensor: &Tensor, gain: f64, distribution: Distribution) -> Result<()> {
    let (fan_in, fan_out) = fans(tensor)?;
    let std = gain * (2.0 / fan_in.saturating_add(fan_out) as f64).sqrt();
    draw(tensor, std, distribution)
}

/// He et al. (2015): preserves the variance between layers, for rectifiers.
///
/// # Errors
/// Returns an error if the tensor has fewer than 2 dimensions.
pub fn kaiming(tensor: &Tensor, mode: FanMode, nonlinearity: Nonlinearity, distribution: Distribution) -> Result<()> {
    if size::of(tensor)?.contains(&0) {
        return Ok(());
    }
    let (fan_in, fan_out) = fans(tensor)?;
    let fan = match mode {
        FanMode::FanIn => fan_in,
        FanMode::FanOut => fan_out,
    };
    draw(tensor, nonlinearity.gain() / (fan as f64).sqrt(), distribution)
}

/// The initial values of PyTorch's convolutions and linear layers: Kaiming with a = sqrt(5), and a bias within
/// 1 / sqrt(fan in).
///
/// # Errors
/// Returns an error if the weight has fewer than 2 dimensions.
pub fn conv_default(weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    kaiming(weight, FanMode::FanIn, Nonlinearity::LeakyRelu(5f64.sqrt()), Distribution::Uniform)?;
    let (fan_in, _) = fans(weight)?;
    match bias {
        Some(bias) if fan_in != 0 => {
            let bound = 1.0 / (fan_in as f64).sqrt();
            uniform(bias, -bound, bound)
        }
        // PyTorch leaves this one uninitialized.
        Some(bias) => constant(bias, 0.0),
        None => Ok(()),
    }
}

fn draw(tensor: &Tensor, std: f64, distribution: Distribution) -> Result<()> {
    match distribution {
        Distribution::Normal => normal(tensor, 0.0, std),
        Distribution::Uniform => {
            let bound = 3f64.sqrt() * std;
            uniform(tensor, -bound, bound)
        }
    }
}

/// As [`fill`], but does nothing within [`without_draws`].
fn fill_randomly(
    tensor: &Tensor,
    write: impl FnOnce(&mut Tensor) -> Result<Tensor, tch::TchError>,
    values: impl FnOnce() -> String,
) -> Result<()> {
    if DRAWS.get() { fill(tensor, write, values) } else { Ok(()) }
}

fn fill(
    tensor: &Tensor,
    write: impl FnOnce(&mut Tensor) -> Result<Tensor, tch::TchError>,
    values: impl FnOnce() -> String,
) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let _ = write(&mut tensor.shallow_clone())?;
    observe::initialized(tensor, values);
    Ok(())
}
