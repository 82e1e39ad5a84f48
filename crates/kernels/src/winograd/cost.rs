//! Which tile is best: an estimate, so that the same network always gets the same numbers.
//!
//! The test below compares it with measured times; `cargo bench -p mmcv-kernels` measures again.

use super::{Problem, Tile, output_size};
use crate::isa::Isa;

/// What a processor does in a cycle.
#[derive(Debug, Clone, Copy)]
struct Rates {
    /// Multiplications of one core.
    multiplications: f64,
    /// The share of it that products of matrices reach.
    products: f64,
    /// Bytes that all cores together read from memory: weights are not in the cache when their layer's turn comes.
    memory: f64,
}

/// Two units of 8 numbers or one of 16: AVX2, and AVX-512 of Zen 4.
const NARROW: Rates = Rates { multiplications: 16.0, products: 0.85, memory: 9.0 };

/// Two units of 16 numbers, which memory does not keep pace with: Sapphire Rapids.
const WIDE: Rates = Rates { multiplications: 32.0, products: 0.5, memory: 3.5 };

/// The share of its multiplications that direct convolutions reach.
const DIRECT: f64 = 0.92;

/// Cycles to transform one number of a tile, there and back, of 16 channels each.
const TRANSFORM: f64 = 14.0;

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
        fastest(problem, Rates::of(isa), (isa.width(), threads), largest)
    }
}

impl Rates {
    fn of(isa: Isa) -> Self {
        // Of the processors with AVX-512, those that compute in half precision have the wide units.
        #[cfg(target_arch = "x86_64")]
        if isa == Isa::Avx512 && std::arch::is_x86_feature_detected!("avx512fp16") {
            return WIDE;
        }
        NARROW
    }
}

fn fastest(problem: &Problem, rates: Rates, (lanes, threads): (usize, usize), largest: Tile) -> Option<Tile> {
    let mut limit = WORTHWHILE * direct(problem, rates, lanes, threads)?;
    let mut fastest = None;
    for tile in [Tile::F2, Tile::F4, Tile::F6] {
        let cycles = winograd(problem, tile, rates, lanes, threads)?;
        if tile.outputs() <= largest.outputs() && cycles < limit {
            (limit, fastest) = (LARGER * cycles, Some(tile));
        }
    }
    fastest
}

/// The cycles of a direct convolution.
fn direct(problem: &Problem, rates: Rates, lanes: usize, threads: usize) -> Option<f64> {
    let (height, width) = output_size(problem)?;
    let pixels = (problem.batch * height * width) as f64;
    let weights = (9 * problem.in_channels * problem.out_channels.next_multiple_of(lanes)) as f64;
    let products = pixels * weights / rates.multiplications / DIRECT / threads as f64;
    Some(products.max(4.0 * weights / rates.memory))
}

/// The cycles of a Winograd convolution with this tile.
fn winograd(problem: &Problem, tile: Tile, rates: Rates, lanes: usize, threads: usize) -> Option<f64> {
    let (height, width) = output_size(problem)?;
    let tiles = tiles_along(height, problem.dilation, tile) * tiles_along(width, problem.dilation, tile);
    let (inputs, outputs) = (problem.in_channels.next_multiple_of(lanes), problem.out_channels.next_multiple_of(lanes));
    let numbers = (tile.size() * tile.size() * problem.batch * tiles) as f64;
    let weights = (tile.size() * tile.size() * problem.in_channels * outputs * 4) as f64;
    let products =
        numbers * (problem.in_channels * outputs) as f64 / rates.multiplications / rates.products / threads as f64;
    let transforms = numbers * (inputs + outputs) as f64 / 16.0 * TRANSFORM / threads as f64;
    Some(products.max(weights / rates.memory) + transforms + BEGIN)
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
    use super::{NARROW, Problem, Rates, Tile, WIDE, direct, fastest, winograd};
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

    /// A layer: images, channels, pixels along an axis; milliseconds of the direct form and of each tile that was tried.
    type Measured = (usize, usize, usize, f64, [Option<f64>; 3]);

    #[track_caller]
    fn assert_near(measured: &[Measured], rates: Rates, cycles: f64) {
        for &(batch, channels, size, milliseconds, tiles) in measured {
            let problem = problem(batch, channels, size);
            let share = direct(&problem, rates, 16, 2).unwrap() / (milliseconds * cycles);
            assert!((0.8..1.2).contains(&share), "direct, {batch} x {channels}, {size}: {share}");
            for (tile, milliseconds) in [Tile::F2, Tile::F4, Tile::F6].into_iter().zip(tiles) {
                let Some(milliseconds) = milliseconds else { continue };
                let share = winograd(&problem, tile, rates, 16, 2).unwrap() / (milliseconds * cycles);
                assert!((0.6..1.4).contains(&share), "{tile:?}, {batch} x {channels}, {size}: {share}");
            }
        }
    }

    /// Two cores of Zen 4 with AVX-512 at 3.7 GHz, by a prototype.
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
        assert_near(&measured, NARROW, 3.7e6);
    }

    /// Two cores of Sapphire Rapids at 2.6 GHz, by `mmcv bench --profile` with ResNet-18 and VGG-16.
    #[test]
    fn estimates_for_wide_units_are_near_to_what_was_measured() {
        let measured = [
            (1, 64, 56, 0.763, [None, None, Some(0.500)]),
            (1, 128, 28, 0.783, [None, None, Some(0.735)]),
            (1, 256, 14, 0.833, [None, Some(1.000), None]),
            (1, 512, 7, 1.206, [Some(1.652), None, None]),
            (1, 64, 224, 11.931, [None, None, Some(6.260)]),
            (1, 128, 112, 12.579, [None, None, Some(7.853)]),
            (1, 256, 56, 12.631, [None, None, Some(7.930)]),
            (1, 512, 28, 11.775, [None, None, Some(9.480)]),
            (1, 512, 14, 3.326, [None, Some(3.965), None]),
        ];
        assert_near(&measured, WIDE, 2.6e6);
    }

    #[test]
    fn few_channels_and_few_pixels_stay_direct() {
        let fastest = |problem: &Problem| fastest(problem, NARROW, (16, 2), Tile::F6);
        assert_eq!(fastest(&problem(1, 4, 7)), None);
        assert_eq!(fastest(&problem(1, 64, 1)), None);
        assert_eq!(fastest(&problem(1, 512, 7)), Some(Tile::F2));
        assert_eq!(fastest(&problem(1, 256, 14)), Some(Tile::F4));
        assert_eq!(fastest(&problem(1, 128, 112)), Some(Tile::F6));
        assert_eq!(Tile::fastest(&problem(1, 128, 112), Isa::Avx2, 2, Tile::F4), Some(Tile::F4));
        assert_eq!(Tile::fastest(&problem(1, 128, 112), Isa::Portable, 2, Tile::F4), None);
    }

    /// Large weights have to be read, and wide units would wait for them.
    #[test]
    fn with_wide_units_large_weights_stay_direct_unless_there_are_many_pixels() {
        let fastest = |problem: &Problem| fastest(problem, WIDE, (16, 2), Tile::F6);
        assert_eq!(fastest(&problem(1, 256, 14)), None);
        assert_eq!(fastest(&problem(1, 512, 7)), None);
        assert_eq!(fastest(&problem(1, 512, 28)), Some(Tile::F4));
        assert_eq!(fastest(&problem(1, 64, 56)), Some(Tile::F6));
    }
}
