//! Which tile is best: an estimate, so that the same network always gets the same numbers.
//!
//! The test below compares it with measured times; `cargo bench -p mmcv-kernels` measures again.

use super::{Problem, Tile, output_size};
use crate::isa::Isa;

/// Multiplications in a cycle, of a processor with two units of 8 numbers or one of 16.
const MULTIPLICATIONS: f64 = 16.0;

/// The share of it that products of matrices reach, and that direct convolutions reach.
const PRODUCTS: f64 = 0.85;
const DIRECT: f64 = 0.92;

/// Cycles to transform one number of a tile, there and back, of 16 channels each.
const TRANSFORM: f64 = 14.0;

/// Bytes that all cores together read from memory in a cycle: weights are not in the cache when their layer's turn comes.
const MEMORY: f64 = 9.0;

/// Cycles to let all threads begin and to wait for the last.
const BEGIN: f64 = 20_000.0;

/// The share of the direct form's cycles that a tile may take at most, as small layers gain less than is estimated.
const WORTHWHILE: f64 = 0.72;

/// The share of a smaller tile's cycles that a larger one may take at most, as it loses more digits and has larger weights.
const LARGER: f64 = 0.92;

impl Tile {
    /// The tile that is estimated to be fastest among those up to `largest`; `None` if the direct convolution is, or if there are
    /// no vector instructions to speak of.
    #[must_use]
    pub fn fastest(problem: &Problem, isa: Isa, threads: usize, largest: Self) -> Option<Self> {
        if isa == Isa::Portable {
            return None;
        }
        let lanes = isa.width();
        let mut limit = WORTHWHILE * direct(problem, lanes, threads)?;
        let mut fastest = None;
        for tile in [Self::F2, Self::F4, Self::F6] {
            let cycles = winograd(problem, tile, lanes, threads)?;
            if tile.outputs() <= largest.outputs() && cycles < limit {
                (limit, fastest) = (LARGER * cycles, Some(tile));
            }
        }
        fastest
    }
}

/// The cycles of a direct convolution.
fn direct(problem: &Problem, lanes: usize, threads: usize) -> Option<f64> {
    let (height, width) = output_size(problem)?;
    let pixels = (problem.batch * height * width) as f64;
    let weights = (9 * problem.in_channels * problem.out_channels.next_multiple_of(lanes)) as f64;
    Some(pixels * weights / MULTIPLICATIONS / DIRECT / threads as f64)
}

/// The cycles of a Winograd convolution with this tile.
fn winograd(problem: &Problem, tile: Tile, lanes: usize, threads: usize) -> Option<f64> {
    let (height, width) = output_size(problem)?;
    let tiles = tiles_along(height, problem.dilation, tile) * tiles_along(width, problem.dilation, tile);
    let (inputs, outputs) = (problem.in_channels.next_multiple_of(lanes), problem.out_channels.next_multiple_of(lanes));
    let numbers = (tile.size() * tile.size() * problem.batch * tiles) as f64;
    let weights = (tile.size() * tile.size() * problem.in_channels * outputs * 4) as f64;
    let products = numbers * (problem.in_channels * outputs) as f64 / MULTIPLICATIONS / PRODUCTS / threads as f64;
    let transforms = numbers * (inputs + outputs) as f64 / 16.0 * TRANSFORM / threads as f64;
    Some(products.max(weights / MEMORY) + transforms + BEGIN)
}

/// The tiles along an axis of so many outputs: every `dilation`-th output has tiles of its own.
fn tiles_along(outputs: usize, dilation: usize, tile: Tile) -> usize {
    let mut tiles = 0;
    for first in 0..dilation.min(outputs) {
        tiles += (outputs - first).div_ceil(dilation).div_ceil(tile.outputs());
    }
    tiles
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Problem, Tile, direct, winograd};
    use crate::{Isa, Layout};

    fn problem(batch: usize, channels: usize, size: usize) -> Problem {
        Problem {
            batch,
            in_channels: channels,
            out_channels: channels,
            height: size,
            width: size,
            padding: 1,
            dilation: 1,
            source: Layout::ChannelsLast,
            result: Layout::ChannelsLast,
        }
    }

    /// Layers whose times were measured on two cores of Zen 4 with AVX-512, by a prototype: milliseconds of the direct form, and
    /// of each tile that was tried.
    #[test]
    fn estimates_are_near_to_what_was_measured() {
        let measured = [
            (1, 64, 56, 1.010, [None, Some(0.385), Some(0.365)]),
            (1, 128, 28, 0.999, [None, Some(0.343), Some(0.341)]),
            (1, 256, 14, 0.963, [Some(0.531), Some(0.477), Some(0.616)]),
            (1, 512, 7, 0.970, [Some(0.751), Some(1.154), Some(2.070)]),
            (1, 64, 224, 16.336, [None, Some(7.870), Some(6.346)]),
            (1, 128, 112, 16.061, [None, Some(5.967), Some(5.019)]),
            (1, 256, 56, 15.887, [None, Some(5.713), Some(5.639)]),
            (1, 512, 28, 15.774, [None, Some(5.322), Some(4.880)]),
            (1, 512, 14, 3.886, [Some(2.401), Some(1.858), Some(2.270)]),
            (8, 64, 56, 8.308, [None, Some(3.977), Some(3.251)]),
            (8, 512, 7, 7.573, [None, Some(3.228), Some(4.186)]),
        ];
        for (batch, channels, size, milliseconds, tiles) in measured {
            let problem = problem(batch, channels, size);
            // 3.7 GHz.
            let cycles = 3.7e6;
            let share = direct(&problem, 16, 2).unwrap() / (milliseconds * cycles);
            assert!((0.8..1.2).contains(&share), "direct, {batch} x {channels}, {size}: {share}");
            for (tile, milliseconds) in [Tile::F2, Tile::F4, Tile::F6].into_iter().zip(tiles) {
                let Some(milliseconds) = milliseconds else { continue };
                let share = winograd(&problem, tile, 16, 2).unwrap() / (milliseconds * cycles);
                assert!((0.6..1.4).contains(&share), "{tile:?}, {batch} x {channels}, {size}: {share}");
            }
        }
    }

    #[test]
    fn few_channels_and_few_pixels_stay_direct() {
        let fastest = |problem: &Problem| Tile::fastest(problem, Isa::Avx512, 2, Tile::F6);
        assert_eq!(fastest(&problem(1, 4, 7)), None);
        assert_eq!(fastest(&problem(1, 64, 1)), None);
        assert_eq!(fastest(&problem(1, 512, 7)), Some(Tile::F2));
        assert_eq!(fastest(&problem(1, 256, 14)), Some(Tile::F4));
        assert_eq!(fastest(&problem(1, 128, 112)), Some(Tile::F6));
        assert_eq!(Tile::fastest(&problem(1, 128, 112), Isa::Avx2, 2, Tile::F4), Some(Tile::F4));
        assert_eq!(Tile::fastest(&problem(1, 128, 112), Isa::Portable, 2, Tile::F4), None);
    }
}
