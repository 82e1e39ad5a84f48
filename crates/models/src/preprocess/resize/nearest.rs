//! The nearest pixel.

use super::super::Pixels;
use super::super::pixels::CHANNELS;

/// OpenCV's choice: the pixel that holds the upper left corner of the new one.
pub(super) fn cv2(image: &Pixels, height: usize, width: usize) -> Pixels {
    pick(image, &corners(image.height, height), &corners(image.width, width))
}

fn corners(old: usize, new: usize) -> Vec<usize> {
    let step = 1.0 / (new as f64 / old as f64);
    (0..new).map(|index| ((index as f64 * step).floor() as usize).min(old - 1)).collect()
}

/// Pillow's choice: the pixel that holds the center of the new one.
pub(super) fn pillow(image: &Pixels, height: usize, width: usize) -> Pixels {
    pick(image, &centers(image.height, height), &centers(image.width, width))
}

/// Pillow adds the step again and again; its rounding decides where a center is on the border of two pixels.
fn centers(old: usize, new: usize) -> Vec<usize> {
    let step = old as f64 / new as f64;
    let mut center = step * 0.5;
    let mut indices = Vec::with_capacity(new);
    for _ in 0..new {
        indices.push((center as usize).min(old - 1));
        center += step;
    }
    indices
}

fn pick(image: &Pixels, rows: &[usize], columns: &[usize]) -> Pixels {
    let mut values = Vec::with_capacity(rows.len() * columns.len() * CHANNELS);
    for y in rows {
        let (pixels, _) = image.row(*y).as_chunks::<CHANNELS>();
        for x in columns {
            values.extend(pixels.get(*x).copied().unwrap_or_default());
        }
    }
    Pixels { height: rows.len(), width: columns.len(), values }
}
