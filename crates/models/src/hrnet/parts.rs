//! The parts of transitions and exchanges.

use mmcv_layers::activation::{ReLU, ReLUConfig};
use mmcv_layers::containers::Children;
use mmcv_layers::{Builder, Error, Forward, Module, Parts, Result, Sequential};
use tch::Tensor;

use super::{HRNetConfig, Kernel, norm};

/// `torch.nn.ModuleList`: numbered modules, which their parent runs and initializes.
#[derive(Debug, Default)]
pub(crate) struct PlainList(pub Children);

impl Forward for PlainList {
    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported("a ModuleList has no forward pass: its parent runs the modules in it"))
    }
}

impl Module for PlainList {
    fn class(&self) -> &'static [&'static str] {
        &["ModuleList", "Module"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        for (name, module) in self.0.iter() {
            parts.child(name, module);
        }
    }
}

/// A convolution, a norm, and an optional activation, which works in place if `activation` is true.
pub(super) fn conv_norm(
    builder: &Builder<'_>,
    config: &HRNetConfig,
    kernel: &Kernel,
    activation: Option<bool>,
) -> Result<Sequential> {
    let conv = kernel.build(builder, config.conv_cfg.as_ref())?;
    let (_, norm) = norm(builder, &config.norm_cfg, kernel.out_channels, "")?;
    let mut layers = Sequential::new(vec![conv, norm]);
    if let Some(inplace) = activation {
        layers.push(ReLU(ReLUConfig { inplace }));
    }
    Ok(layers)
}
