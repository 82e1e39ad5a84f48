//! Winograd convolutions against sums of products in 64 bits.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::routines::Routines;
use super::{Clamp, Convolution, Finish, Operand, Problem, Tile};
use crate::{Error, Isa, Layout, Serial, Threads, Workers};

/// Numbers between -1 and 1 that look random.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut numbers = Vec::with_capacity(count);
    for _ in 0..count {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        numbers.push((state >> 40) as f32 / (1 << 23) as f32 - 1.0);
    }
    numbers
}

/// Where a number of images of this layout lies.
fn place(layout: Layout, channels: usize, (height, width): (usize, usize), at: [usize; 4]) -> usize {
    let [image, channel, y, x] = at;
    let block = match layout {
        Layout::Blocked8 => 8,
        Layout::Blocked16 => 16,
        _ => return ((image * height + y) * width + x) * channels + channel,
    };
    let blocks = channels.div_ceil(block);
    (((image * blocks + channel / block) * height + y) * width + x) * block + channel % block
}

fn padded(layout: Layout, channels: usize) -> usize {
    match layout {
        Layout::Blocked8 => channels.next_multiple_of(8),
        Layout::Blocked16 => channels.next_multiple_of(16),
        _ => channels,
    }
}

/// Images of random numbers, with zeros in the channels that fill up blocks.
fn images(layout: Layout, batch: usize, channels: usize, size: (usize, usize), seed: u64) -> Vec<f32> {
    let random = numbers(batch * channels * size.0 * size.1, seed);
    let mut images = vec![0.0; batch * padded(layout, channels) * size.0 * size.1];
    let mut random = random.into_iter();
    for image in 0..batch {
        for channel in 0..channels {
            for y in 0..size.0 {
                for x in 0..size.1 {
                    images[place(layout, channels, size, [image, channel, y, x])] = random.next().unwrap();
                }
            }
        }
    }
    images
}

/// What is done with the output.
#[derive(Debug, Clone, Copy)]
struct Ends {
    has_bias: bool,
    is_clamped: bool,
    /// 0: nothing is added; 1: in place; 2: images.
    operand: u8,
}

/// The largest difference from the exact output, as a share of the largest output.
fn error(problem: Problem, tile: Tile, routines: Routines, threads: usize, ends: Ends, workers: &dyn Workers) -> f64 {
    let Problem { batch, in_channels, out_channels, height, width, padding, dilation, source, result } = problem;
    let convolution = Convolution::with_routines(problem, tile, routines, threads).unwrap();
    let weights = numbers(in_channels * out_channels * 9, 1);
    let image = images(source, batch, in_channels, (height, width), 2);
    let bias = numbers(out_channels, 3);
    let out = convolution.output_size();
    let operand = images(result, batch, out_channels, out, 4);
    let mut packed = vec![f32::NAN; convolution.packed_len()];
    convolution.pack(&weights, &mut packed, workers).unwrap();
    let mut output = if ends.operand == 1 { operand.clone() } else { vec![f32::NAN; operand.len()] };
    let clamp = if ends.is_clamped { Clamp { lowest: 0.0, highest: 6.0 } } else { Clamp::default() };
    let finish = Finish {
        bias: ends.has_bias.then_some(&bias),
        before: if ends.operand == 0 { clamp } else { Clamp::default() },
        operand: match ends.operand {
            0 => Operand::None,
            1 => Operand::InPlace,
            _ => Operand::Images(&operand),
        },
        after: clamp,
    };
    let mut scratch = vec![f32::NAN; convolution.scratch_len()];
    convolution.run(&packed, &image, &finish, &mut output, &mut scratch, workers).unwrap();

    let (mut largest, mut difference) = (0.0_f64, 0.0_f64);
    let mut seen = vec![false; output.len()];
    for n in 0..batch {
        for o in 0..out_channels {
            for y in 0..out.0 {
                for x in 0..out.1 {
                    let mut sum = if ends.has_bias { f64::from(bias[o]) } else { 0.0 };
                    for c in 0..in_channels {
                        for tap in 0..9 {
                            let (row, column) = (y + tap / 3 * dilation, x + tap % 3 * dilation);
                            if row < padding || column < padding || row - padding >= height || column - padding >= width
                            {
                                continue;
                            }
                            let at =
                                place(source, in_channels, (height, width), [n, c, row - padding, column - padding]);
                            sum += f64::from(image[at]) * f64::from(weights[(o * in_channels + c) * 9 + tap]);
                        }
                    }
                    let at = place(result, out_channels, out, [n, o, y, x]);
                    if ends.operand > 0 {
                        sum += f64::from(operand[at]);
                    }
                    largest = largest.max(sum.abs());
                    if ends.is_clamped {
                        sum = sum.clamp(0.0, 6.0);
                    }
                    seen[at] = true;
                    let found = f64::from(output[at]);
                    assert!(found.is_finite(), "{problem:?} {tile:?}: {n} {o} {y} {x}: {found}");
                    difference = difference.max((found - sum).abs());
                }
            }
        }
    }
    for (number, seen) in output.iter().zip(seen) {
        assert!(seen || *number == 0.0, "what fills up a block is not zero");
    }
    difference / largest
}

/// The functions that this processor can run, by name, and those of AVX-512 without its instructions.
fn available() -> Vec<(&'static str, Routines)> {
    let mut found = vec![("as AVX-512", Routines::as_avx512())];
    for (name, isa) in [("portable", Isa::Portable), ("AVX2", Isa::Avx2), ("AVX-512", Isa::Avx512)] {
        if isa.is_available() {
            found.push((name, Routines::new(isa)));
        }
    }
    found
}

/// What the tile's arithmetic may lose; measured: 4e-7, 3e-6 and 1e-5.
fn allowed(tile: Tile) -> f64 {
    match tile {
        Tile::F2 => 2e-6,
        Tile::F4 => 1e-5,
        _ => 5e-5,
    }
}

fn problem(channels: (usize, usize), size: (usize, usize)) -> Problem {
    Problem {
        batch: 1,
        in_channels: channels.0,
        out_channels: channels.1,
        height: size.0,
        width: size.1,
        padding: 1,
        dilation: 1,
        source: Layout::ChannelsLast,
        result: Layout::ChannelsLast,
    }
}

const PLAIN: Ends = Ends { has_bias: false, is_clamped: false, operand: 0 };

#[test]
fn all_instructions_tiles_and_ends() {
    for (name, routines) in available() {
        for tile in [Tile::F2, Tile::F4, Tile::F6] {
            for operand in 0..3 {
                for has_bias in [false, true] {
                    let ends = Ends { has_bias, is_clamped: operand != 1 || has_bias, operand };
                    let found = error(problem((18, 20), (13, 9)), tile, routines, 1, ends, &Serial);
                    assert!(found < allowed(tile), "{name} {tile:?} {ends:?}: {found:e}");
                }
            }
        }
    }
}

/// Many tiles, many channels, few tiles: each way of sharing work.
#[test]
fn all_schedules() {
    for (channels, size) in [((8, 8), (70, 66)), ((200, 72), (9, 14)), ((64, 150), (7, 7)), ((130, 120), (20, 20))] {
        for tile in [Tile::F2, Tile::F4, Tile::F6] {
            for (name, routines) in available() {
                for threads in [1, 5] {
                    let found = error(problem(channels, size), tile, routines, threads, PLAIN, &Threads);
                    assert!(found < allowed(tile), "{name} {channels:?} {size:?} {tile:?} {threads}: {found:e}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn any_convolution(
        batch in 1_usize..4,
        channels in (1_usize..40, 1_usize..40),
        size in (1_usize..14, 1_usize..14),
        padding in 0_usize..4,
        dilation in 1_usize..4,
        layouts in (0_usize..3, 0_usize..3),
        tile in 0_usize..3,
        routines in 0..available().len(),
        threads in 1_usize..4,
        ends in (any::<bool>(), any::<bool>(), 0_u8..3),
    ) {
        let layout = |index: usize| [Layout::ChannelsLast, Layout::Blocked8, Layout::Blocked16][index];
        let problem = Problem {
            batch, in_channels: channels.0, out_channels: channels.1, height: size.0, width: size.1,
            padding, dilation, source: layout(layouts.0), result: layout(layouts.1),
        };
        let tile = [Tile::F2, Tile::F4, Tile::F6][tile];
        let (name, routines) = available()[routines];
        let is_possible = padding % dilation == 0
            && size.0 + 2 * padding > 2 * dilation && size.1 + 2 * padding > 2 * dilation;
        let wide = routines.lanes > 8 && (layouts.0 == 1 || layouts.1 == 1);
        if !is_possible || wide {
            prop_assert!(Convolution::with_routines(problem, tile, routines, threads).is_err());
            return Ok(());
        }
        let ends = Ends { has_bias: ends.0, is_clamped: ends.1, operand: ends.2 };
        let found = error(problem, tile, routines, threads, ends, &Threads);
        prop_assert!(found < allowed(tile), "{name}: {problem:?} {tile:?} {threads} {ends:?}: {found:e}");
    }
}

/// Every output then reads the pixel in the middle of its kernel alone.
#[test]
fn a_dilation_larger_than_the_image() {
    let far = Problem { padding: 1_000_003, dilation: 1_000_003, ..problem((5, 6), (4, 3)) };
    let found = error(far, Tile::F4, Routines::new(Isa::best()), 2, PLAIN, &Threads);
    assert!(found < allowed(Tile::F4), "{found:e}");
    assert_eq!(Tile::fastest(&far, Isa::Avx512, 2, Tile::F6), None);
}

#[test]
fn memory_of_another_length_is_an_error() {
    let convolution = Convolution::new(problem((4, 4), (5, 5)), Tile::F4, Isa::best(), 1).unwrap();
    let mut packed = vec![0.0; convolution.packed_len()];
    let short = convolution.pack(&[0.0; 143], &mut packed, &Serial).unwrap_err();
    assert_eq!(short.to_string(), "the weight has 143 numbers, and 144 are needed");
    convolution.pack(&[0.0; 144], &mut packed, &Serial).unwrap();
    let (image, mut output) = (vec![0.0; 100], vec![0.0; 100]);
    let mut scratch = vec![0.0; convolution.scratch_len()];
    let length = scratch.len();
    let run = |image: &[f32], finish: &Finish<'_>, output: &mut [f32], scratch: &mut [f32]| {
        convolution.run(&packed, image, finish, output, scratch, &Serial)
    };
    run(&image, &Finish::default(), &mut output, &mut scratch).unwrap();
    let bias = Finish { bias: Some(&[0.0; 3]), ..Finish::default() };
    let operand = Finish { operand: Operand::Images(&[0.0; 99]), ..Finish::default() };
    for result in [
        run(&image[1..], &Finish::default(), &mut output, &mut scratch),
        run(&image, &Finish::default(), &mut output[1..], &mut scratch),
        run(&image, &Finish::default(), &mut output, &mut scratch[1..length]),
        run(&image, &bias, &mut output, &mut scratch),
        run(&image, &operand, &mut output, &mut scratch),
    ] {
        assert!(matches!(result, Err(Error::Length { .. })), "{result:?}");
    }
}

#[test]
fn sizes_that_cannot_be_had_are_errors() {
    let plain = problem((4, 4), (5, 5));
    for wrong in [
        Problem { batch: 0, ..plain },
        Problem { in_channels: 0, ..plain },
        Problem { dilation: 0, ..plain },
        Problem { dilation: 2, ..plain },
        Problem { padding: 0, height: 2, ..plain },
        Problem { height: usize::MAX / 2, ..plain },
        Problem { out_channels: usize::MAX - 3, ..plain },
        Problem { padding: usize::MAX, ..plain },
        Problem { batch: usize::MAX / 100, ..plain },
    ] {
        assert!(Convolution::new(wrong, Tile::F4, Isa::best(), 2).is_err(), "{wrong:?}");
    }
}
