//! [`Linear`]. Reference: `torch.nn.Linear`.

use mmcv_registry::{Spec, config_struct};
use tch::Tensor;

use crate::registry::{Build, build_from};
use crate::shape::wrong_channels;
use crate::{Error, ErrorKind, Module, Parts, Result, init};

config_struct! {
    /// Arguments of [`Linear`].
    pub struct LinearConfig {
        required {
            /// Size of the input's last dimension.
            in_features: i64,
            /// Size of the output's last dimension.
            out_features: i64,
        }
        optional {
            /// Whether a bias is added.
            bias: bool = true,
        }
    }
}

/// The registered linear layer.
pub const SPECS: &[Spec<Build>] = &[Spec {
    group: "linear",
    doc: "Multiplies by a matrix and adds a bias.",
    source: "torch.nn.Linear",
    fields: LinearConfig::FIELDS,
    aliases: &["torch.nn.Linear"],
    ..Spec::new("Linear", |arguments| build_from(arguments, Linear::new))
}];

/// `x weight^T + bias`.
///
/// Shapes: input `[*, in_features]`, output `[*, out_features]`. State: `weight` `[out_features, in_features]`, `bias`
/// `[out_features]`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// A linear layer with PyTorch's initial values.
    ///
    /// # Errors
    /// Where a size is negative.
    pub fn new(config: &LinearConfig) -> Result<Self> {
        let LinearConfig { in_features, out_features, bias } = *config;
        for (name, size) in [("in_features", in_features), ("out_features", out_features)] {
            if size < 0 {
                return Err(Error::argument(name, size, "expected at least 0"));
            }
        }
        let weight = init::parameter(&[out_features, in_features])?;
        let bias = bias.then(|| init::parameter(&[out_features])).transpose()?;
        init::conv_default(&weight, bias.as_ref())?;
        if let (0, Some(bias)) = (in_features, &bias) {
            init::uniform(bias, 0.0, 0.0)?;
        }
        Ok(Self { weight, bias })
    }
}

impl Module for Linear {
    fn class(&self) -> &'static [&'static str] {
        &["Linear", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.f_linear(&self.weight, self.bias.as_ref()).map_err(|refused| {
            let shape = input.size();
            match (shape.last(), self.weight.size().last()) {
                (Some(found), Some(features)) if found != features => {
                    Error::new(ErrorKind::Shape(wrong_channels("in_features", *features, *found, &shape)))
                }
                _ => refused.into(),
            }
        })
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("weight", &self.weight);
        parts.parameter("bias", &self.bias);
    }
}
