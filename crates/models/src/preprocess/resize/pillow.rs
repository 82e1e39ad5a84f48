//! Pillow's filters, which are widened where an image shrinks.
//!
//! Weights have 22 fractional bits, and values are rounded to 8 bits after each of the two passes.

use std::f64::consts::PI;

use super::super::Pixels;
use super::taps::{Arithmetic, Taps, resample};

/// The fractional bits of weights.
const BITS: u32 = 22;

/// A filter.
pub(super) struct Filter {
    /// The distance from which on the weight is 0.
    radius: f64,
    /// The weight at a distance.
    weight: fn(f64) -> f64,
}

pub(super) const BOX: Filter = Filter { radius: 0.5, weight: box_weight };
pub(super) const BILINEAR: Filter = Filter { radius: 1.0, weight: bilinear };
pub(super) const HAMMING: Filter = Filter { radius: 1.0, weight: hamming };
pub(super) const BICUBIC: Filter = Filter { radius: 2.0, weight: bicubic };
pub(super) const LANCZOS: Filter = Filter { radius: 3.0, weight: lanczos };

/// Resizes along rows, then along columns; a side that keeps its size is left as it is. Pillow 13 turns the order round where
/// it saves work; Pillow 11 does not.
pub(super) fn resize(image: &Pixels, height: usize, width: usize, filter: &Filter) -> Pixels {
    let columns = taps(image.width, width, filter);
    let rows = taps(image.height, height, filter);
    if shrinks_mostly_in_height(image, height, width) {
        return resample(&image.transposed(), &columns, &rows, &FixedPoint).transposed();
    }
    resample(image, &rows, &columns, &FixedPoint)
}

fn shrinks_mostly_in_height(image: &Pixels, height: usize, width: usize) -> bool {
    let rows = image.height.saturating_sub(height);
    let columns = image.width.saturating_sub(width);
    rows > 2 * columns
}

/// Sums with [`BITS`] fractional bits, rounded to 8 bits along each side.
struct FixedPoint;

impl Arithmetic for FixedPoint {
    type Weight = i64;
    type Sum = i64;
    type RowSum = u8;

    fn add_value(&self, sum: &mut i64, value: u8, weight: i64) {
        *sum += i64::from(value) * weight;
    }

    fn row_sum(&self, sum: i64) -> u8 {
        self.value(sum)
    }

    fn add_row(&self, sum: &mut i64, row_sum: u8, weight: i64) {
        self.add_value(sum, row_sum, weight);
    }

    fn value(&self, sum: i64) -> u8 {
        ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
    }
}

fn taps(old: usize, new: usize, filter: &Filter) -> Taps<i64> {
    let mut taps = Taps::new();
    if old == new {
        for index in 0..new {
            taps.push([(index, 1 << BITS)]);
        }
        return taps;
    }
    let scale = old as f64 / new as f64;
    let widening = scale.max(1.0);
    let radius = filter.radius * widening;
    for index in 0..new {
        let center = (index as f64 + 0.5) * scale;
        // Both are cut off towards zero after adding one half.
        let start = (center - radius + 0.5).max(0.0) as usize;
        let end = ((center + radius + 0.5) as usize).min(old);
        let mut weights = Vec::new();
        for pixel in start..end {
            weights.push((filter.weight)((pixel as f64 - center + 0.5) / widening));
        }
        let sum: f64 = weights.iter().sum();
        let normalized = weights.iter().map(|weight| if sum == 0.0 { *weight } else { weight / sum });
        taps.push((start..).zip(normalized.map(|weight| (weight * f64::from(1 << BITS)).round() as i64)));
    }
    taps
}

fn box_weight(x: f64) -> f64 {
    if x > -0.5 && x <= 0.5 { 1.0 } else { 0.0 }
}

fn bilinear(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

fn hamming(x: f64) -> f64 {
    let x = x.abs();
    if x >= 1.0 {
        return 0.0;
    }
    sinc(x) * (0.54 + 0.46 * (PI * x).cos())
}

/// The cubic convolution with parameter -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn lanczos(x: f64) -> f64 {
    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}
