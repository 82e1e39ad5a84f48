//! `GN`. Reference: `torch.nn.GroupNorm`; Wu and He, Group Normalization (2018).

use mmcv_registry::Config;
use tch::Tensor;

use super::batch_norm::{affine_parameters, normalization};
use super::check;
use crate::explain::python;
use crate::{Builder, Error, Forward, Layer, Module, NotSend, Parts, Result, size};

/// Arguments of `GN`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "GN", layer = GroupNorm, channels = num_channels)]
pub struct GroupNormConfig {
    /// Number of groups to divide the channels into.
    pub num_groups: i64,
    /// Number of channels; divisible by `num_groups`.
    pub num_channels: i64,
    /// Value added to the variance for numerical stability.
    #[config(default = 1e-5)]
    pub eps: f64,
    /// Whether the layer has a learnable weight and bias per channel.
    #[config(default = true)]
    pub affine: bool,
    /// Whether the layer has a bias if `affine` is true.
    #[config(default = true)]
    pub bias: bool,
}

/// Group norm: each group of channels of each sample has mean 0 and variance 1 before weight and bias.
///
/// Shapes: input `[N, C, *]`, output the same. State: `weight`, `bias` `[C]`.
///
/// ```
/// use mmcv_layers::norm::GroupNormConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let norm = GroupNormConfig::new(32).with_num_channels(64).build()?;
/// let output = norm.forward(&Tensor::rand([2, 64, 8, 8], FLOAT_CPU))?;
/// assert_eq!(output.size(), [2, 64, 8, 8]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct GroupNorm {
    num_groups: i64,
    num_channels: i64,
    eps: f64,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    _thread: NotSend,
}

impl Layer for GroupNorm {
    const NAME: &'static str = "GN";
    type Config = GroupNormConfig;
    type Module = Self;

    fn build(config: &GroupNormConfig, _: &Builder<'_>) -> Result<Self> {
        let GroupNormConfig { num_groups, num_channels, eps, affine, bias } = *config;
        if num_channels < 0 {
            return Err(Error::argument("num_channels", num_channels, "expected at least 0"));
        }
        if num_groups <= 0 || num_channels % num_groups != 0 {
            let reason = format!("does not divide num_channels {num_channels}; {} do", size::divisors(&[num_channels]));
            return Err(Error::conflict("num_groups", num_groups, reason));
        }
        let (weight, bias) = affine_parameters(&[num_channels], affine, bias)?;
        Ok(Self { num_groups, num_channels, eps, weight, bias, _thread: NotSend::default() })
    }
}

impl Forward for GroupNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let groups = self.num_groups;
        check::passes(input, move |shape| {
            let [samples, channels, spatial @ ..] = shape else {
                return Err(Error::input("at least 2D input", format!("{}D input", shape.len())));
            };
            let values_per_group = [&[samples.saturating_mul(*channels) / groups, groups], spatial].concat();
            check::several_values_per_channel(&values_per_group)
        })?;
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        let output = input.f_group_norm(self.num_groups, weight, bias, self.eps, true);
        output.map_err(|refusal| check::explain("num_channels", weight, &input.size(), refusal))
    }
}

impl Module for GroupNorm {
    fn class(&self) -> &'static [&'static str] {
        &["GroupNorm", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("weight", &self.weight);
        parts.parameter("bias", &self.bias);
    }

    fn extra_repr(&self) -> String {
        let [eps, affine] = [python::value(self.eps), python::value(self.weight.is_some())];
        let bias = python::value(self.bias.is_some());
        format!("{}, {}, eps={eps}, affine={affine}, bias={bias}", self.num_groups, self.num_channels)
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        normalization(inputs, self.weight.is_some())
    }
}
