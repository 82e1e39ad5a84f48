//! [`Linear`]. Reference: `torch.nn.Linear`.

use mmcv_registry::{Config, Spec};
use tch::Tensor;

use crate::explain::{elements, product, python};
use crate::shape_error::wrong_channels;
use crate::{Build, Builder, Error, ErrorKind, Forward, Layer, Module, NotSend, Parts, Result, init};

/// Arguments of [`Linear`].
#[derive(Debug, Clone, PartialEq, Config)]
#[config(type = "Linear", layer = Linear)]
pub struct LinearConfig {
    /// Number of input features: the size of the last dimension.
    pub in_features: i64,
    /// Number of output features.
    pub out_features: i64,
    /// Whether to add a learnable bias.
    #[config(default = true)]
    pub bias: bool,
}

/// The registered linear layer.
pub const SPECS: &[Spec<Build>] = &[Spec {
    group: "linear",
    aliases: &["torch.nn.Linear"],
    doc: "Multiplies by a matrix and adds a bias.",
    source: "torch.nn.Linear",
    ..Linear::SPEC
}];

/// `x weight^T + bias`.
///
/// Shapes: input `[*, in_features]`, output `[*, out_features]`. State: `weight` `[out_features, in_features]`, `bias`
/// `[out_features]`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig, LinearConfig};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let linear = LinearConfig::new(8, 4).with_bias(false).build()?;
/// let output = linear.forward(&Tensor::rand([2, 8], FLOAT_CPU))?;
/// assert_eq!(output.size(), [2, 4]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    class: &'static [&'static str],
    _thread: NotSend,
}

impl Linear {
    /// A linear layer with PyTorch's initial values.
    ///
    /// # Errors
    /// Returns an error if a number of features is negative.
    pub fn new(config: &LinearConfig) -> Result<Self> {
        let LinearConfig { in_features, out_features, bias } = *config;
        for (name, size) in [("in_features", in_features), ("out_features", out_features)] {
            if size < 0 {
                return Err(Error::argument(name, size, "expected at least 0"));
            }
        }
        let weight = init::parameter(&[out_features, in_features])?;
        let bias = if bias { Some(init::parameter(&[out_features])?) } else { None };
        init::conv_default(&weight, bias.as_ref())?;
        if let (0, Some(bias)) = (in_features, &bias) {
            init::uniform(bias, 0.0, 0.0)?;
        }
        Ok(Self { weight, bias, class: &["Linear", "Module"], _thread: NotSend::default() })
    }

    /// As [`Self::new`], but with the class of `mmcv.cnn.Linear`: its base class is `torch.nn.Linear`, so that
    /// `init_cfg` rules for the layer `Module` do not match it.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn wrapper(config: &LinearConfig) -> Result<Self> {
        Ok(Self { class: &["Linear", "Linear"], ..Self::new(config)? })
    }
}

impl Layer for Linear {
    const NAME: &'static str = "Linear";
    type Config = LinearConfig;
    type Module = Self;

    fn build(config: &LinearConfig, _: &Builder<'_>) -> Result<Self> {
        Linear::wrapper(config)
    }
}

impl Forward for Linear {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let refusal = match input.f_linear(&self.weight, self.bias.as_ref()) {
            Ok(output) => return Ok(output),
            Err(refusal) => refusal,
        };
        let shape = input.size();
        match (shape.last(), self.weight.size().last()) {
            (Some(found), Some(features)) if found != features => {
                Err(Error::new(ErrorKind::Shape(wrong_channels("in_features", *features, *found, &shape))))
            }
            _ => Err(refusal.into()),
        }
    }
}

impl Module for Linear {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("weight", &self.weight);
        parts.parameter("bias", &self.bias);
    }

    fn extra_repr(&self) -> String {
        let (mut in_features, mut out_features) = (0, 0);
        if let [outputs, inputs] = *self.weight.size() {
            (in_features, out_features) = (inputs, outputs);
        }
        let bias = python::value(self.bias.is_some());
        format!("in_features={in_features}, out_features={out_features}, bias={bias}")
    }

    fn multiply_adds(&self, inputs: &[Vec<i64>], outputs: &[Vec<i64>]) -> u64 {
        match outputs.first().map(Vec::as_slice) {
            Some([.., out_features]) => elements(inputs).saturating_mul(product(&[*out_features])),
            _ => 0,
        }
    }
}
