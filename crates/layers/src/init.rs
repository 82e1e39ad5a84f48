//! Weight initialisation, with the draws of `torch.nn.init` and of mmengine/model/weight_init.py.
//!
//! The functions on tensors (`kaiming_uniform`, ...) are `torch.nn.init`'s; those on modules (`kaiming_init`, ...) are
//! mmengine's: they fill the module's own `weight` and `bias`, where it has them.

use mmcv_registry::{ConfigError, KeyPath};
use tch::{Kind, Tensor};

use crate::{Error, Module, Parts, Result, size};

/// Which number of connections the variance is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FanMode {
    /// Those that lead to one output: keeps the variance in the forward pass.
    FanIn,
    /// Those that lead from one input: keeps the variance in the backward pass.
    FanOut,
}

/// The function that follows the layer, which decides the gain.
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

/// The distribution from which values are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// A normal distribution.
    Normal,
    /// A uniform distribution.
    Uniform,
}

/// A new parameter of the given shape, on the CPU in float32, whose values are not set yet.
///
/// # Errors
/// Where a size is negative or the memory is not there; the error stands at the dict that is being built.
pub fn parameter(shape: &[i64]) -> Result<Tensor> {
    let tensor = Tensor::f_empty(shape, (Kind::Float, tch::Device::Cpu)).map_err(|_| {
        let reason = "the sizes in this dict must give a parameter that fits into memory";
        ConfigError::invalid(&KeyPath::root(), format!("a parameter of shape {shape:?}"), reason)
    })?;
    Ok(tensor.f_set_requires_grad(true)?)
}

/// Inputs and outputs of one unit: (fan in, fan out).
///
/// # Errors
/// Where the tensor has fewer than 2 dimensions.
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
/// Where `low` is greater than `high`.
pub fn uniform(tensor: &Tensor, low: f64, high: f64) -> Result<()> {
    fill(tensor, |tensor| tensor.f_uniform_(low, high))
}

/// Draws from a normal distribution.
///
/// # Errors
/// Where `std` is negative.
pub fn normal(tensor: &Tensor, mean: f64, std: f64) -> Result<()> {
    fill(tensor, |tensor| tensor.f_normal_(mean, std))
}

/// Sets all values.
///
/// # Errors
/// Where libtorch refuses.
pub fn constant(tensor: &Tensor, value: f64) -> Result<()> {
    let value = size::number(value, tensor)?;
    fill(tensor, |tensor| tensor.f_fill_tensor_(&value))
}

/// Draws from a normal distribution that is cut at `low` and `high` (in units of the values, not of `std`).
///
/// # Errors
/// Where `std` is not positive or `low` is greater than `high`.
pub fn trunc_normal(tensor: &Tensor, mean: f64, std: f64, low: f64, high: f64) -> Result<()> {
    if std <= 0.0 || low > high {
        return Err(Error::input("std > 0 and a <= b", format!("std {std}, a {low}, b {high}")));
    }
    let cdf = |value: f64| -> Result<f64> {
        let argument = Tensor::from((value - mean) / std / 2f64.sqrt());
        Ok((1.0 + argument.f_erf()?.f_double_value(&[])?) / 2.0)
    };
    let (lower, upper) = (cdf(low)?, cdf(high)?);
    let number = |value: f64| size::number(value, tensor);
    let (factor, mean, low, high) = (number(std * 2f64.sqrt())?, number(mean)?, number(low)?, number(high)?);
    fill(tensor, |tensor| {
        let _ = tensor.f_uniform_(2.0 * lower - 1.0, 2.0 * upper - 1.0)?;
        let _ = tensor.f_erfinv_()?;
        let _ = tensor.f_mul_(&factor)?;
        let _ = tensor.f_add_(&mean)?;
        tensor.f_clamp_tensor_(Some(&low), Some(&high))
    })
}

/// Glorot and Bengio (2010): keeps the variance between layers, for symmetric functions.
///
/// # Errors
/// Where the tensor has fewer than 2 dimensions.
pub fn xavier(tensor: &Tensor, gain: f64, distribution: Distribution) -> Result<()> {
    let (fan_in, fan_out) = fans(tensor)?;
    let std = gain * (2.0 / fan_in.saturating_add(fan_out) as f64).sqrt();
    draw(tensor, std, distribution)
}

/// He et al. (2015): keeps the variance between layers, for rectifiers.
///
/// # Errors
/// Where the tensor has fewer than 2 dimensions.
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
/// Where the weight has fewer than 2 dimensions.
pub fn conv_default(weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    kaiming(weight, FanMode::FanIn, Nonlinearity::LeakyRelu(5f64.sqrt()), Distribution::Uniform)?;
    let (fan_in, _) = fans(weight)?;
    match bias {
        Some(bias) if fan_in != 0 => {
            let bound = 1.0 / (fan_in as f64).sqrt();
            uniform(bias, -bound, bound)
        }
        // PyTorch leaves this one as the memory was.
        Some(bias) => constant(bias, 0.0),
        None => Ok(()),
    }
}

/// Fills the module's own weight and bias. Reference: `mmengine.model.constant_init`.
///
/// # Errors
/// Where libtorch refuses.
pub fn constant_init(module: &dyn Module, value: f64, bias: f64) -> Result<()> {
    init(module, bias, |weight| constant(weight, value))
}

/// Reference: `mmengine.model.xavier_init`.
///
/// # Errors
/// Where the module's weight has fewer than 2 dimensions.
pub fn xavier_init(module: &dyn Module, gain: f64, bias: f64, distribution: Distribution) -> Result<()> {
    init(module, bias, |weight| xavier(weight, gain, distribution))
}

/// Reference: `mmengine.model.normal_init`.
///
/// # Errors
/// Where `std` is negative.
pub fn normal_init(module: &dyn Module, mean: f64, std: f64, bias: f64) -> Result<()> {
    init(module, bias, |weight| normal(weight, mean, std))
}

/// Reference: `mmengine.model.trunc_normal_init`.
///
/// # Errors
/// Where `std` is not positive or `low` is greater than `high`.
pub fn trunc_normal_init(module: &dyn Module, mean: f64, std: f64, low: f64, high: f64, bias: f64) -> Result<()> {
    init(module, bias, |weight| trunc_normal(weight, mean, std, low, high))
}

/// Reference: `mmengine.model.uniform_init`.
///
/// # Errors
/// Where `low` is greater than `high`.
pub fn uniform_init(module: &dyn Module, low: f64, high: f64, bias: f64) -> Result<()> {
    init(module, bias, |weight| uniform(weight, low, high))
}

/// Reference: `mmengine.model.kaiming_init`.
///
/// # Errors
/// Where the module's weight has fewer than 2 dimensions.
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
/// Where the module's weight has fewer than 2 dimensions.
pub fn caffe2_xavier_init(module: &dyn Module, bias: f64) -> Result<()> {
    kaiming_init(module, FanMode::FanIn, Nonlinearity::LeakyRelu(1.0), bias, Distribution::Uniform)
}

/// The bias of a sigmoid classifier whose output is `prior` at first, between 0 and 1.
///
/// Reference: `mmengine.model.bias_init_with_prob`; Lin et al., Focal Loss (2017).
#[must_use]
pub fn bias_init_with_prob(prior: f64) -> f64 {
    -((1.0 - prior) / prior).ln()
}

fn init(module: &dyn Module, bias: f64, weight: impl FnOnce(&Tensor) -> Result<()>) -> Result<()> {
    let parts = Parts::of(module);
    // With spectral norm the trained weight is `weight_orig`.
    if let Some(tensor) = parts.find_parameter("weight").or_else(|| parts.find_parameter("weight_orig")) {
        weight(tensor)?;
    }
    parts.find_parameter("bias").map_or(Ok(()), |tensor| constant(tensor, bias))
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

fn fill(tensor: &Tensor, write: impl FnOnce(&mut Tensor) -> Result<Tensor, tch::TchError>) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let _ = write(&mut tensor.shallow_clone())?;
    Ok(())
}
