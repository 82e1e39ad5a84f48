//! [`Routines`]: what is compiled for each instruction set.
#![allow(unsafe_code)]
#![allow(unsafe_op_in_unsafe_fn, reason = "each function says what the caller promises, for all of it")]

use super::product::{self, Product};
use super::transform::{self, Input, Kernels, Output};
use crate::isa::Isa;

/// Calls its last argument with each number of the transform of kernels, for all their channels, and with its position.
type Weights = unsafe fn(usize, Kernels<'_>, &mut dyn FnMut(usize, &[f32]));

/// The functions for one instruction set, and the shapes of its products.
///
/// # Safety
/// They are to be called where the instructions exist, as those of [`transform`] and [`product`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Routines {
    /// Transforms one tile of the size that is the first argument.
    pub(super) input: unsafe fn(usize, Input<'_>),
    pub(super) output: unsafe fn(usize, Output<'_>),
    pub(super) weights: Weights,
    /// Multiplies this many tiles with this many vectors of output channels.
    pub(super) multiply: unsafe fn(usize, usize, Product),
    pub(super) lanes: usize,
    /// The most tiles of a product with 2 vectors of output channels.
    pub(super) tiles: usize,
    /// The most tiles of a product with 4 vectors; 0 if there is none.
    pub(super) few_tiles: usize,
}

/// The functions for the vectors `$vector`, compiled with `$attribute`.
macro_rules! routines {
    ($module:ident, $vector:ty, [$($attribute:meta)?], [$($two:literal)*], [$($four:literal)*]) => {
        mod $module {
            use super::*;

            $(#[$attribute])?
            unsafe fn input(size: usize, tile: Input<'_>) {
                    match size {
                        4 => transform::input::<$vector, 4>(tile),
                        6 => transform::input::<$vector, 6>(tile),
                        _ => transform::input::<$vector, 8>(tile),
                    }
            }

            $(#[$attribute])?
            unsafe fn output(size: usize, tile: Output<'_>) {
                    match size {
                        4 => transform::output::<$vector, 4>(tile),
                        6 => transform::output::<$vector, 6>(tile),
                        _ => transform::output::<$vector, 8>(tile),
                    }
            }

            $(#[$attribute])?
            unsafe fn weights(size: usize, kernels: Kernels<'_>, write: &mut dyn FnMut(usize, &[f32])) {
                match size {
                    4 => transform::weights::<4>(kernels, write),
                    6 => transform::weights::<6>(kernels, write),
                    _ => transform::weights::<8>(kernels, write),
                }
            }

            $(#[$attribute])?
            unsafe fn multiply(tiles: usize, vectors: usize, product: Product) {
                    match (vectors, tiles) {
                        $((1, $two) => product::multiply::<$vector, $two, 1>(product),)*
                        $((2, $two) => product::multiply::<$vector, $two, 2>(product),)*
                        $((3, $four) => product::multiply::<$vector, $four, 3>(product),)*
                        $((4, $four) => product::multiply::<$vector, $four, 4>(product),)*
                        _ => {}
                    }
            }

            pub(super) const ROUTINES: Routines = Routines {
                input,
                output,
                weights,
                multiply,
                lanes: <$vector as crate::simd::Vector>::LANES,
                tiles: <[usize]>::len(&[$($two),*]),
                few_tiles: <[usize]>::len(&[$($four),*]),
            };
        }
    };
}

#[cfg(target_arch = "x86_64")]
routines!(avx512, crate::simd::Avx512, [target_feature(enable = "avx512f,avx2,fma")],
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4 5 6]);
#[cfg(target_arch = "x86_64")]
routines!(avx2, crate::simd::Avx2, [target_feature(enable = "avx2,fma")], [1 2 3 4 5 6], []);
routines!(portable, crate::simd::Portable<4>, [], [1 2 3 4], []);
// What AVX-512 does, for processors without it.
#[cfg(test)]
routines!(as_avx512, crate::simd::Portable<16>, [], [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4 5 6]);

impl Routines {
    /// The functions of AVX-512 with loops in place of its instructions.
    #[cfg(test)]
    pub(super) fn as_avx512() -> Self {
        as_avx512::ROUTINES
    }

    /// The functions for `isa`, or the portable ones if this processor lacks it.
    pub(super) fn new(isa: Isa) -> Self {
        if !isa.is_available() {
            return portable::ROUTINES;
        }
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::ROUTINES,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::ROUTINES,
            _ => portable::ROUTINES,
        }
    }
}
