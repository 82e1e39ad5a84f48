//! OpenCV's mean over the pixels that a new pixel covers.

use super::super::Pixels;
use super::cv2::{clamped, fixed, linear_with};
use super::taps::{Arithmetic, Taps, resample};

/// Parts of pixels that are smaller are left out.
const LEAST: f64 = 1e-3;

/// The mean of the covered pixels where no side grows, and an interpolation between 2 x 2 pixels otherwise.
pub(super) fn resize(image: &Pixels, height: usize, width: usize) -> Pixels {
    if height > image.height || width > image.width {
        return linear_with(image, &enlarged(image.height, height), &enlarged(image.width, width));
    }
    let (rows, columns) = (covered(image.height, height), covered(image.width, width));
    let rounds_up = (image.height, image.width) == (2 * height, 2 * width);
    resample(image, &rows, &columns, &Mean { rounds_up })
}

/// The mean of pixels.
struct Mean {
    /// Whether halves are rounded up, as OpenCV does for 2 x 2 pixels, and not to even.
    rounds_up: bool,
}

impl Arithmetic for Mean {
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
        // The weights are rounded, so that halves may be off by a little.
        let sum = (sum * 4096.0).round() / 4096.0;
        let rounded = if self.rounds_up { (sum + 0.5).floor() } else { sum.round_ties_even() };
        rounded.clamp(0.0, 255.0) as u8
    }
}

/// The shares of the covered pixels.
fn covered(old: usize, new: usize) -> Taps<f64> {
    let scale = old as f64 / new as f64;
    let mut taps = Taps::new();
    for index in 0..new {
        let start = index as f64 * scale;
        let end = start + scale;
        let size = scale.min(old as f64 - start);
        let last = (end.floor() as usize).min(old - 1);
        let first = (start.ceil() as usize).min(last);
        let mut shares = Vec::new();
        if first as f64 - start > LEAST {
            shares.push((first - 1, (first as f64 - start) / size));
        }
        shares.extend((first..last).map(|index| (index, 1.0 / size)));
        if end - last as f64 > LEAST {
            shares.push((last, (end - last as f64).min(1.0).min(size) / size));
        }
        taps.push(shares);
    }
    taps
}

/// The weights of two pixels where an image grows: the second one counts from where the new pixel covers a part of it.
fn enlarged(old: usize, new: usize) -> Taps<i32> {
    let scale = old as f64 / new as f64;
    let inverse = new as f64 / old as f64;
    let mut taps = Taps::new();
    for index in 0..new {
        let mut first = (index as f64 * scale).floor() as i64;
        let mut fraction = ((index + 1) as f64 - (first + 1) as f64 * inverse) as f32;
        fraction = if fraction <= 0.0 { 0.0 } else { fraction - fraction.floor() };
        if first >= old as i64 - 1 {
            first = old as i64 - 1;
            fraction = 0.0;
        }
        let weights = [fixed(1.0 - fraction), fixed(fraction)];
        taps.push([clamped(first, old), clamped(first + 1, old)].into_iter().zip(weights));
    }
    taps
}
