//! [`Convolution`]: access to a convolution for folding a norm into it.

use tch::Tensor;

use crate::{Module, Result};

/// A convolution whose weight and bias can be replaced for one forward pass.
///
/// Implement it for your own convolution, and return it from [`Module::as_convolution`]: `ConvModule` then folds a
/// batch norm into it with `efficient_conv_bn_eval`.
pub trait Convolution: Module {
    /// The bias: `[out_channels]`.
    fn bias(&self) -> Option<&Tensor>;

    /// The weight of the next forward pass: `[out_channels, in_channels / groups, *kernel_size]`, after spectral norm.
    ///
    /// # Errors
    /// Returns an error if libtorch fails.
    fn effective_weight(&self) -> Result<Tensor>;

    /// The convolution with another weight and bias of the same shapes.
    ///
    /// # Errors
    /// Returns an error if the input, the weight or the bias does not fit.
    fn forward_with(&self, input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor>;
}
