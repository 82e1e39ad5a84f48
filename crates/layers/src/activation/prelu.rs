//! `PReLU`. Reference: `torch.nn.PReLU`; He et al., Delving Deep into Rectifiers (2015).

use mmcv_registry::Config;
use tch::Tensor;

use crate::explain::{elements, product};
use crate::{Builder, Error, Forward, Layer, Module, NotSend, Parts, Result, init};

/// Arguments of `PReLU`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "PReLU", layer = PReLU)]
pub struct PReLUConfig {
    /// Number of slopes: 1, or the number of channels.
    #[config(default = 1)]
    pub num_parameters: i64,
    /// Initial slope.
    #[config(default = 0.25)]
    pub init: f64,
}

/// `x` if positive, else `weight * x`, with one learned slope for all channels or one per channel.
///
/// Shapes: input `[N, C, *]`, output the same. State: `weight` `[num_parameters]`.
///
/// ```
/// use mmcv_layers::activation::PReLUConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let prelu = PReLUConfig::new().with_num_parameters(8).build()?;
/// let output = prelu.forward(&Tensor::rand([2, 8, 4, 4], FLOAT_CPU))?;
/// assert_eq!(output.size(), [2, 8, 4, 4]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct PReLU {
    weight: Tensor,
    _thread: NotSend,
}

impl Layer for PReLU {
    const NAME: &'static str = "PReLU";
    type Config = PReLUConfig;
    type Module = Self;

    fn build(config: &PReLUConfig, _: &Builder<'_>) -> Result<Self> {
        if config.num_parameters < 0 {
            return Err(Error::argument(
                "num_parameters",
                config.num_parameters,
                "expected 1 or the number of channels",
            ));
        }
        let weight = init::parameter(&[config.num_parameters])?;
        init::constant(&weight, config.init)?;
        Ok(Self { weight, _thread: NotSend::default() })
    }
}

impl Forward for PReLU {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_prelu(&self.weight)?)
    }
}

impl Module for PReLU {
    fn class(&self) -> &'static [&'static str] {
        &["PReLU", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("weight", &self.weight);
    }

    fn extra_repr(&self) -> String {
        format!("num_parameters={}", product(&self.weight.size()))
    }

    fn multiply_adds(&self, _inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        elements(outputs)
    }
}
