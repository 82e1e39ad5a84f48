//! The products of transformed inputs and weights: small matrices whose sums stay in registers.
#![allow(unsafe_code)]
#![allow(unsafe_op_in_unsafe_fn, reason = "each function says what the caller promises, for all of it")]

use crate::simd::Vector;

/// The product of some tiles with some vectors of output channels.
#[derive(Clone, Copy)]
pub(super) struct Product {
    /// The input: for each vector of channels the tiles, one after the other.
    pub(super) input: *const f32,
    /// From one vector of channels to the next.
    pub(super) input_step: usize,
    /// How many input channels there are.
    pub(super) channels: usize,
    /// The weights: for each input channel the vectors of output channels.
    pub(super) weights: *const f32,
    pub(super) output: *mut f32,
    /// From one tile of the output to the next.
    pub(super) tile_step: usize,
    /// From one vector of output channels to the next.
    pub(super) vector_step: usize,
}

/// Multiplies `TILES` tiles with `VECTORS` vectors of output channels.
///
/// # Safety
/// The instructions of `V` exist, and all that the product describes can be read or written.
#[inline(always)]
pub(super) unsafe fn multiply<V: Vector, const TILES: usize, const VECTORS: usize>(product: Product) {
    let mut sums = [[V::splat(0.0); VECTORS]; TILES];
    let (mut input, mut weights) = (product.input, product.weights);
    let mut left = product.channels;
    while left > 0 {
        let count = left.min(V::LANES);
        for channel in 0..count {
            let mut row = [V::splat(0.0); VECTORS];
            for (index, vector) in row.iter_mut().enumerate() {
                *vector = V::load(weights.add(index * V::LANES));
            }
            weights = weights.add(VECTORS * V::LANES);
            for (tile, sums) in sums.iter_mut().enumerate() {
                let number = V::splat(*input.add(tile * V::LANES + channel));
                for (sum, vector) in sums.iter_mut().zip(row) {
                    *sum = number.mul_add(vector, *sum);
                }
            }
        }
        input = input.add(product.input_step);
        left -= count;
    }
    for (tile, sums) in sums.iter().enumerate() {
        for (index, sum) in sums.iter().enumerate() {
            sum.store(product.output.add(tile * product.tile_step + index * product.vector_step));
        }
    }
}
