//! In which order the elements of an input stand in memory.

use anyhow::Result;
use tch::{Kind, Tensor};

/// In which order the elements of an input stand in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The last dimension first.
    Contiguous,
    /// The channels first, where there are spatial dimensions.
    ChannelsLast,
    /// As the one before, for weights too.
    ChannelsLastWeights,
    /// With gaps between the elements.
    Strided,
}

impl Layout {
    /// By how many units in the last place of the largest value results may differ from those of contiguous inputs:
    /// libtorch has other kernels for other layouts, which add in another order.
    #[must_use]
    pub fn units(self) -> f64 {
        if self == Self::Contiguous { 0.0 } else { 8.0 }
    }

    /// A copy of the input in this layout, through which gradients flow.
    ///
    /// # Errors
    /// Where libtorch fails.
    pub fn copy(self, input: &Tensor) -> Result<Tensor> {
        let copy = if input.requires_grad() { input.f_mul(&Tensor::ones_like(input))? } else { input.copy() };
        Ok(match (self, input.dim() as i64) {
            (Self::ChannelsLast | Self::ChannelsLastWeights, dims @ 3..) => {
                let last: Vec<i64> = [0].into_iter().chain(2..dims).chain([1]).collect();
                let first: Vec<i64> = [0, dims - 1].into_iter().chain(1..dims - 1).collect();
                copy.f_permute(last)?.f_contiguous()?.f_permute(first)?
            }
            (Self::Strided, dims @ 1..) if input.f_kind()? != Kind::Bool => {
                let twice = Tensor::f_stack(&[&copy, &copy.f_zeros_like()?], dims)?;
                twice.f_select(dims, 0)?
            }
            _ => copy,
        })
    }
}
