//! OpenCV's interpolations, without antialiasing.
//!
//! The arithmetic is that of OpenCV's packages for x86-64. The bilinear and the Lanczos interpolation have weights with 11
//! fractional bits: sums along a row are exact, and the sum over rows is rounded once, in the bilinear interpolation after lower
//! bits are dropped. The cubic interpolation computes with floats there, and with such weights elsewhere, which changes one value
//! in 25 by 1.

use std::f64::consts::{FRAC_PI_4, PI};

use super::super::Pixels;
use super::area;
use super::taps::{Arithmetic, Taps, resample};

/// The fractional bits of weights.
const BITS: u32 = 11;
/// One as a weight.
const ONE: f32 = (1 << BITS) as f32;

/// The arithmetic of the bilinear interpolation.
struct TwoTaps;

impl Arithmetic for TwoTaps {
    type Weight = i32;
    type Sum = i32;
    type RowSum = i32;

    fn add_value(&self, sum: &mut i32, value: u8, weight: i32) {
        *sum += i32::from(value) * weight;
    }

    fn row_sum(&self, sum: i32) -> i32 {
        sum >> 4
    }

    fn add_row(&self, sum: &mut i32, row_sum: i32, weight: i32) {
        *sum += (row_sum * weight) >> 16;
    }

    fn value(&self, sum: i32) -> u8 {
        ((sum + 2) >> 2).clamp(0, 255) as u8
    }
}

/// The arithmetic of the Lanczos interpolation.
struct EightTaps;

impl Arithmetic for EightTaps {
    type Weight = i64;
    type Sum = i64;
    type RowSum = i64;

    fn add_value(&self, sum: &mut i64, value: u8, weight: i64) {
        *sum += i64::from(value) * weight;
    }

    fn row_sum(&self, sum: i64) -> i64 {
        sum
    }

    fn add_row(&self, sum: &mut i64, row_sum: i64, weight: i64) {
        *sum += row_sum * weight;
    }

    fn value(&self, sum: i64) -> u8 {
        ((sum + (1 << (2 * BITS - 1))) >> (2 * BITS)).clamp(0, 255) as u8
    }
}

/// The arithmetic of the cubic interpolation.
struct FourTaps;

impl Arithmetic for FourTaps {
    type Weight = f64;
    type Sum = f64;
    type RowSum = f64;

    fn add_value(&self, sum: &mut f64, value: u8, weight: f64) {
        *sum += f64::from(value) * weight;
    }

    fn row_sum(&self, sum: f64) -> f64 {
        sum
    }

    fn add_row(&self, sum: &mut f64, row_sum: f64, weight: f64) {
        *sum += row_sum * weight;
    }

    fn value(&self, sum: f64) -> u8 {
        sum.round_ties_even().clamp(0.0, 255.0) as u8
    }
}

/// Between 2 x 2 pixels.
pub(super) fn linear(image: &Pixels, height: usize, width: usize) -> Pixels {
    // The mean of 2 x 2 pixels, which OpenCV computes without weights.
    if (image.height, image.width) == (2 * height, 2 * width) {
        return area::resize(image, height, width);
    }
    linear_with(image, &linear_taps(image.height, height, false), &linear_taps(image.width, width, true))
}

/// The bilinear interpolation with these weights.
pub(super) fn linear_with(image: &Pixels, rows: &Taps<i32>, columns: &Taps<i32>) -> Pixels {
    resample(image, rows, columns, &TwoTaps)
}

/// The weights of the two nearest pixels. At the border of the image a row is repeated with both weights, and a column
/// gets the whole weight; the rounding differs.
fn linear_taps(old: usize, new: usize, is_column: bool) -> Taps<i32> {
    let mut taps = Taps::new();
    for index in 0..new {
        let (first, mut fraction) = position(index, old, new);
        let last = old as i64 - 1;
        if is_column && (first < 0 || first >= last) {
            fraction = 0.0;
        }
        let weights = [fixed(1.0 - fraction), fixed(fraction)];
        taps.push([clamped(first, old), clamped(first + 1, old)].into_iter().zip(weights));
    }
    taps
}

/// Between 4 x 4 pixels.
pub(super) fn cubic(image: &Pixels, height: usize, width: usize) -> Pixels {
    let rows = taps(image.height, height, -1, |x| cubic_weights(x).map(f64::from));
    let columns = taps(image.width, width, -1, |x| cubic_weights(x).map(f64::from));
    resample(image, &rows, &columns, &FourTaps)
}

/// Between 8 x 8 pixels.
pub(super) fn lanczos(image: &Pixels, height: usize, width: usize) -> Pixels {
    let rows = taps(image.height, height, -3, |x| lanczos_weights(x).map(|weight| i64::from(fixed(weight))));
    let columns = taps(image.width, width, -3, |x| lanczos_weights(x).map(|weight| i64::from(fixed(weight))));
    resample(image, &rows, &columns, &EightTaps)
}

/// The weights of `N` pixels, the first of them `offset` away from the one on the left; beyond the border of the image the last
/// pixel is repeated.
fn taps<W: Copy, const N: usize>(old: usize, new: usize, offset: i64, weights: impl Fn(f32) -> [W; N]) -> Taps<W> {
    let mut taps = Taps::new();
    for index in 0..new {
        let (first, fraction) = position(index, old, new);
        let indices = (first + offset..).map(|index| clamped(index, old));
        taps.push(indices.zip(weights(fraction)));
    }
    taps
}

/// The pixel on the left of the center of a new pixel, and how far the center is from it to the next one.
fn position(index: usize, old: usize, new: usize) -> (i64, f32) {
    let scale = 1.0 / (new as f64 / old as f64);
    let center = ((index as f64 + 0.5) * scale - 0.5) as f32;
    let first = center.floor();
    (first as i64, center - first)
}

/// The cubic convolution with parameter -0.75.
fn cubic_weights(x: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let outer = |distance: f32| ((A * distance - 5.0 * A) * distance + 8.0 * A) * distance - 4.0 * A;
    let inner = |distance: f32| ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0;
    let (first, second, third) = (outer(x + 1.0), inner(x), inner(1.0 - x));
    [first, second, third, 1.0 - first - second - third]
}

/// Sinc functions with a window of 8 pixels, scaled to a sum of 1.
fn lanczos_weights(x: f32) -> [f32; 8] {
    let mut weights = [0.0; 8];
    for (index, weight) in weights.iter_mut().enumerate() {
        let distance = f64::from(x) + 3.0 - index as f64;
        if distance.abs() < 1e-6 {
            *weight = 1.0;
        } else {
            let (full, window) = (PI * distance, FRAC_PI_4 * distance);
            *weight = (full.sin() / full) * (window.sin() / window);
        }
    }
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| (weight / sum) as f32)
}

/// A weight with [`BITS`] fractional bits.
pub(super) fn fixed(weight: f32) -> i32 {
    (weight * ONE).round_ties_even() as i32
}

/// The index of the nearest pixel that the image has.
pub(super) fn clamped(index: i64, count: usize) -> usize {
    usize::try_from(index).unwrap_or_default().min(count - 1)
}
