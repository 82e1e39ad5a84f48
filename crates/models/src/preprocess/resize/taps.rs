//! [`Taps`]: which pixels a new pixel is made of, along one side of an image; and the sums over them.

use std::collections::VecDeque;

use super::super::Pixels;
use super::super::pixels::CHANNELS;

/// For each new pixel along one side, the pixels it is made of and their weights. The pixels of a new one do not begin
/// before those of the one before.
#[derive(Debug)]
pub(super) struct Taps<W> {
    /// Indices of pixels and weights, one new pixel after the other.
    taps: Vec<(usize, W)>,
    /// The end of each new pixel's taps.
    ends: Vec<usize>,
}

/// How weighted sums are computed and rounded: first along the rows of an image, then over the rows.
pub(super) trait Arithmetic {
    /// A weight.
    type Weight: Copy;
    /// A sum.
    type Sum: Copy + Default;
    /// A finished sum along a row.
    type RowSum: Copy;

    /// Adds a pixel's value to a sum along a row.
    fn add_value(&self, sum: &mut Self::Sum, value: u8, weight: Self::Weight);

    /// The finished sum along a row.
    fn row_sum(&self, sum: Self::Sum) -> Self::RowSum;

    /// Adds the sum along a row to a sum over rows.
    fn add_row(&self, sum: &mut Self::Sum, row_sum: Self::RowSum, weight: Self::Weight);

    /// The new value.
    fn value(&self, sum: Self::Sum) -> u8;
}

impl<W: Copy> Taps<W> {
    pub(super) fn new() -> Self {
        Self { taps: Vec::new(), ends: Vec::new() }
    }

    /// Adds the taps of the next new pixel.
    pub(super) fn push(&mut self, taps: impl IntoIterator<Item = (usize, W)>) {
        self.taps.extend(taps);
        self.ends.push(self.taps.len());
    }

    /// The taps of each new pixel.
    fn iter(&self) -> impl Iterator<Item = &[(usize, W)]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let taps = self.taps.get(start..*end).unwrap_or_default();
            start = *end;
            taps
        })
    }
}

/// The new image. Only the sums along the rows that the current new row is made of are kept.
pub(super) fn resample<A: Arithmetic>(
    image: &Pixels,
    rows: &Taps<A::Weight>,
    columns: &Taps<A::Weight>,
    arithmetic: &A,
) -> Pixels {
    let (height, width) = (rows.ends.len(), columns.ends.len());
    let mut values = Vec::with_capacity(height * width * CHANNELS);
    let mut summed: VecDeque<(usize, Vec<A::RowSum>)> = VecDeque::new();
    for taps in rows.iter() {
        let first = taps.first().map_or(0, |(y, _)| *y);
        while summed.front().is_some_and(|(y, _)| *y < first) {
            summed.pop_front();
        }
        let mut sums = vec![A::Sum::default(); width * CHANNELS];
        for (y, weight) in taps {
            if summed.iter().all(|(known, _)| known != y) {
                summed.push_back((*y, along_row(image.row(*y), columns, arithmetic)));
            }
            let Some((_, row)) = summed.iter().find(|(known, _)| known == y) else { continue };
            for (sum, row_sum) in sums.iter_mut().zip(row) {
                arithmetic.add_row(sum, *row_sum, *weight);
            }
        }
        values.extend(sums.into_iter().map(|sum| arithmetic.value(sum)));
    }
    Pixels { height, width, values }
}

/// The sums along one row.
fn along_row<A: Arithmetic>(row: &[u8], columns: &Taps<A::Weight>, arithmetic: &A) -> Vec<A::RowSum> {
    let (pixels, _) = row.as_chunks::<CHANNELS>();
    let mut sums = Vec::with_capacity(columns.ends.len() * CHANNELS);
    for taps in columns.iter() {
        let mut pixel_sums = [A::Sum::default(); CHANNELS];
        for (x, weight) in taps {
            let Some(pixel) = pixels.get(*x) else { continue };
            for (sum, value) in pixel_sums.iter_mut().zip(pixel) {
                arithmetic.add_value(sum, *value, *weight);
            }
        }
        sums.extend(pixel_sums.map(|sum| arithmetic.row_sum(sum)));
    }
    sums
}
