//! Inference rewriting: modules that give the same numbers with fewer operations.
//!
//! [`FoldedConvModule`] multiplies a batch norm into the convolution before it. A rewritten module is for evaluation only.

use mmcv_bricks::{ConvModule, Folded};
use mmcv_layers::{Error, Module, Parts, Result};
use tch::Tensor;

/// A [`ConvModule`] whose batch norm is part of its convolution, as it was when this was made.
///
/// Shapes: as of the module. Reference: `mmcv.cnn.fuse_conv_bn`.
#[derive(Debug)]
pub struct FoldedConvModule {
    module: ConvModule,
    folded: Folded,
}

impl FoldedConvModule {
    /// Folds `module`. Later changes of its parameters or statistics have no effect.
    ///
    /// # Errors
    /// Where no batch norm with running statistics directly follows a plain convolution, or libtorch fails.
    pub fn new(module: ConvModule) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        match module.folded()? {
            Some(folded) => Ok(Self { module, folded }),
            None => Err(Error::unsupported(
                "nothing to fold: expected Conv1d, Conv2d or Conv3d with a batch norm directly after it that keeps running \
                 statistics",
            )),
        }
    }
}

impl Module for FoldedConvModule {
    fn class(&self) -> &'static [&'static str] {
        &["FoldedConvModule", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.module.forward_folded(input, &self.folded)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.buffer("weight", &self.folded.weight);
        parts.buffer("bias", &self.folded.bias);
    }
}
