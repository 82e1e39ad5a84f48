//! `LN`. Reference: `torch.nn.LayerNorm`; Ba et al., Layer Normalization (2016).

use mmcv_registry::Config;
use tch::Tensor;

use super::batch_norm::{affine_parameters, normalization};
use crate::explain::python;
use crate::{Builder, Error, ErrorKind, Forward, Layer, Module, NotSend, Parts, Result, ShapeMismatch, Size};

/// Arguments of `LN`.
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "LN", layer = LayerNorm, channels = normalized_shape)]
pub struct LayerNormConfig {
    /// Sizes of the last dimensions, which the statistics are computed over; an integer for the last dimension alone.
    pub normalized_shape: Size,
    /// Value added to the variance for numerical stability.
    #[config(default = 1e-5)]
    pub eps: f64,
    /// Whether the layer has a learnable weight and bias per element.
    #[config(default = true)]
    pub elementwise_affine: bool,
    /// Whether the layer has a bias if `elementwise_affine` is true.
    #[config(default = true)]
    pub bias: bool,
}

/// Layer norm: the last dimensions have mean 0 and variance 1 before weight and bias.
///
/// Shapes: input `[*, *normalized_shape]`, output the same. State: `weight`, `bias` of `normalized_shape`.
///
/// ```
/// use mmcv_layers::norm::LayerNormConfig;
/// use mmcv_layers::{Forward, LayerConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let norm = LayerNormConfig::new().with_normalized_shape(64).build()?;
/// let output = norm.forward(&Tensor::rand([2, 10, 64], FLOAT_CPU))?;
/// assert_eq!(output.size(), [2, 10, 64]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct LayerNorm {
    normalized_shape: Vec<i64>,
    eps: f64,
    weight: Option<Tensor>,
    bias: Option<Tensor>,
    _thread: NotSend,
}

impl Layer for LayerNorm {
    const NAME: &'static str = "LN";
    type Config = LayerNormConfig;
    type Module = Self;

    fn build(config: &LayerNormConfig, _: &Builder<'_>) -> Result<Self> {
        let normalized_shape = match &config.normalized_shape {
            Size::All(size) => vec![*size],
            Size::Each(sizes) => sizes.clone(),
        };
        if normalized_shape.iter().any(|size| *size < 0) {
            let found = format!("{normalized_shape:?}");
            return Err(Error::argument("normalized_shape", found, "expected sizes of at least 0"));
        }
        let (weight, bias) = affine_parameters(&normalized_shape, config.elementwise_affine, config.bias)?;
        Ok(Self { normalized_shape, eps: config.eps, weight, bias, _thread: NotSend::default() })
    }
}

impl Forward for LayerNorm {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.weight.as_ref(), self.bias.as_ref());
        let refusal = match input.f_layer_norm(&self.normalized_shape, weight, bias, self.eps, true) {
            Ok(output) => return Ok(output),
            Err(refusal) => refusal,
        };
        let shape = input.size();
        if shape.ends_with(&self.normalized_shape) {
            return Err(refusal.into());
        }
        let last = shape.len().saturating_sub(self.normalized_shape.len());
        let found = shape.get(last..).unwrap_or_default();
        Err(Error::new(ErrorKind::Shape(ShapeMismatch {
            argument: "normalized_shape",
            value: format!("{:?}", self.normalized_shape),
            found: format!("ends with {found:?}"),
            change: format!("set normalized_shape to {found:?}"),
            remedy: "pass inputs with the channels last".to_owned(),
            input: shape,
        })))
    }
}

impl Module for LayerNorm {
    fn class(&self) -> &'static [&'static str] {
        &["LayerNorm", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("weight", &self.weight);
        parts.parameter("bias", &self.bias);
    }

    fn extra_repr(&self) -> String {
        let shape = python::tuple(self.normalized_shape.iter().copied());
        let [eps, affine] = [python::value(self.eps), python::value(self.weight.is_some())];
        format!("{shape}, eps={eps}, elementwise_affine={affine}, bias={}", python::value(self.bias.is_some()))
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        normalization(inputs, self.weight.is_some())
    }
}
