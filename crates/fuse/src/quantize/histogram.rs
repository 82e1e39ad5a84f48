//! [`Histogram`]: how often numbers occur, and the range that is best for integers.

use super::affine::{Affine, LARGEST};

/// How the range of numbers is chosen that integers stand for; numbers outside become its ends.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum RangeMethod {
    /// From the smallest to the largest number that occurred.
    MinMax,
    /// The range with this share of the numbers, in percent; the rest is cut off on both sides alike.
    Percentile(f64),
    /// The range for which the integers tell most about the numbers: with the smallest Kullback-Leibler divergence (Migacz, 8-bit
    /// Inference with TensorRT, 2017).
    Entropy,
    /// The range with the smallest mean square error.
    #[default]
    Mse,
}

/// The number of bins.
const BINS: usize = 4096;

/// How often numbers occurred.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    /// The bins are for the numbers from minus this to this.
    reach: f64,
    bins: Vec<f64>,
    lowest: f64,
    highest: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { reach: 0.0, bins: vec![0.0; BINS], lowest: 0.0, highest: 0.0 }
    }
}

impl Histogram {
    /// Counts these numbers. Zeros, which integers stand for exactly, infinities, and what is no number count nowhere.
    pub(crate) fn add(&mut self, numbers: &[f32]) {
        for number in numbers {
            if number.is_finite() {
                self.lowest = self.lowest.min(f64::from(*number));
                self.highest = self.highest.max(f64::from(*number));
            }
        }
        let reach = self.highest.max(-self.lowest);
        if reach == 0.0 {
            return;
        }
        if self.reach == 0.0 {
            self.reach = reach;
        }
        while self.reach < reach {
            self.widen();
        }
        let bins_per_unit = 1.0 / self.width();
        for number in numbers {
            let bin = (f64::from(*number) + self.reach) * bins_per_unit;
            if number.is_finite()
                && *number != 0.0
                && let Some(count) = self.bins.get_mut((bin as usize).min(BINS - 1))
            {
                *count += 1.0;
            }
        }
    }

    /// Doubles the reach: two bins become one.
    fn widen(&mut self) {
        let mut wider = vec![0.0; BINS];
        let quarter = wider.iter_mut().skip(BINS / 4);
        for (bin, pair) in quarter.zip(self.bins.chunks(2)) {
            *bin = pair.iter().sum();
        }
        self.bins = wider;
        self.reach *= 2.0;
    }

    /// The number in the middle of a bin.
    fn center(&self, bin: usize) -> f64 {
        self.width() * (bin as f64 + 0.5) - self.reach
    }

    fn width(&self) -> f64 {
        2.0 * self.reach / BINS as f64
    }

    /// The range for integers of 8 bits.
    pub(crate) fn range(&self, method: RangeMethod) -> (f64, f64) {
        if self.reach == 0.0 {
            return (0.0, 0.0);
        }
        match method {
            RangeMethod::MinMax => (self.lowest, self.highest),
            RangeMethod::Percentile(percent) => self.percentile(percent),
            RangeMethod::Entropy => self.best(|range| self.divergence(range)),
            RangeMethod::Mse => self.best(|range| self.error(range)),
        }
    }

    fn percentile(&self, percent: f64) -> (f64, f64) {
        let cut = self.bins.iter().sum::<f64>() * (1.0 - percent / 100.0).clamp(0.0, 1.0) / 2.0;
        let lowest = end(self.bins.iter().enumerate(), cut);
        let highest = end(self.bins.iter().enumerate().rev(), cut);
        let half = self.width() / 2.0;
        ((self.center(lowest) - half).max(self.lowest), (self.center(highest) + half).min(self.highest))
    }

    /// The range with the smallest cost: first the whole one, cut on both sides alike, then each side for itself.
    fn best(&self, cost: impl Fn((f64, f64)) -> f64) -> (f64, f64) {
        let (lowest, highest) = (self.lowest, self.highest);
        let mut candidates = Vec::new();
        for step in 0..STEPS {
            let share = 1.0 - f64::from(step) / f64::from(STEPS);
            candidates.push((lowest * share, highest * share));
        }
        let mut best = cheapest(&candidates, &cost);
        for _ in 0..2 {
            let (low, high) = best;
            candidates.clear();
            for step in -8..=8 {
                let share = 1.0 + f64::from(step) / 50.0;
                candidates.push(((low * share).max(lowest), high));
                candidates.push((low, (high * share).min(highest)));
            }
            best = cheapest(&candidates, &cost);
        }
        best
    }

    /// The sum of the squares of what rounding and cutting change.
    fn error(&self, (lowest, highest): (f64, f64)) -> f64 {
        let affine = Affine::of_range(lowest as f32, highest as f32);
        let mut error = 0.0;
        for (bin, count) in self.bins.iter().enumerate() {
            if *count > 0.0 {
                let number = self.center(bin);
                error += count * (number - f64::from(affine.rounded(number as f32))).powi(2);
            }
        }
        error
    }

    /// The Kullback-Leibler divergence of the numbers and of what their integers tell about them.
    fn divergence(&self, (lowest, highest): (f64, f64)) -> f64 {
        let affine = Affine::of_range(lowest as f32, highest as f32);
        let level = |bin: usize| {
            let integer = (self.center(bin) / f64::from(affine.scale)).round() + f64::from(affine.zero_point);
            integer.clamp(0.0, f64::from(LARGEST)) as usize
        };
        // What is cut off counts in the last bins inside.
        let clamped = |number: f64| ((number + self.reach) / self.width()).clamp(0.0, BINS as f64 - 1.0) as usize;
        let (first, last) = (clamped(lowest), clamped(highest));
        let mut inside = vec![0.0; BINS];
        let (mut masses, mut filled) = (vec![0.0; 256], vec![0.0; 256]);
        for (bin, count) in self.bins.iter().enumerate() {
            if let Some(inside) = inside.get_mut(bin.clamp(first, last)) {
                *inside += count;
            }
            if *count > 0.0
                && (first..=last).contains(&bin)
                && let (Some(mass), Some(filled)) = (masses.get_mut(level(bin)), filled.get_mut(level(bin)))
            {
                *mass += count;
                *filled += 1.0;
            }
        }
        let (all, kept) = (inside.iter().sum::<f64>(), masses.iter().sum::<f64>());
        let mut divergence = 0.0;
        for (bin, count) in inside.iter().enumerate() {
            if *count == 0.0 {
                continue;
            }
            let told = match (masses.get(level(bin)), filled.get(level(bin))) {
                (Some(mass), Some(filled)) if *mass > 0.0 => mass / filled / kept,
                _ => 0.0,
            };
            divergence += count / all * (count / all / told.max(UNLIKELY)).ln();
        }
        divergence
    }
}

/// The first bin with which more numbers were seen than `cut`.
fn end<'a>(bins: impl Iterator<Item = (usize, &'a f64)>, cut: f64) -> usize {
    let mut seen = 0.0;
    for (bin, count) in bins {
        seen += count;
        if seen > cut {
            return bin;
        }
    }
    BINS / 2
}

/// The first of the ranges with the smallest cost.
fn cheapest(ranges: &[(f64, f64)], cost: &impl Fn((f64, f64)) -> f64) -> (f64, f64) {
    let mut best = ((0.0, 0.0), f64::INFINITY);
    for range in ranges {
        let cost = cost(*range);
        if cost < best.1 {
            best = (*range, cost);
        }
    }
    best.0
}

/// The least probability of a number: numbers that are cut off are only unlikely.
const UNLIKELY: f64 = 1e-9;

/// The number of shares of the whole range that are tried.
const STEPS: i32 = 100;

#[cfg(test)]
mod tests {
    use super::{Histogram, RangeMethod};
    use crate::sample::splitmix;

    fn histogram(numbers: &[f32]) -> Histogram {
        let mut histogram = Histogram::default();
        for part in numbers.chunks(1000) {
            histogram.add(part);
        }
        histogram
    }

    #[test]
    fn all_numbers_are_counted_however_the_range_grows() {
        let numbers: Vec<f32> = (0..4000_i16).map(|number| f32::from(number) - 500.0).collect();
        let histogram = histogram(&numbers);
        assert!((histogram.bins.iter().sum::<f64>() - 3999.0).abs() < 0.5);
        assert_eq!(histogram.range(RangeMethod::MinMax), (-500.0, 3499.0));
        let (lowest, highest) = histogram.range(RangeMethod::Percentile(50.0));
        assert!((lowest - 500.0).abs() < 10.0 && (highest - 2500.0).abs() < 10.0, "{lowest} {highest}");
    }

    #[test]
    fn a_single_outlier_is_cut_off() {
        let mut state = 7;
        let mut numbers = vec![100.0];
        for _ in 0..20_000 {
            // The sum of twelve is nearly normal.
            let uniform = (0..12).map(|_| (splitmix(&mut state) >> 11) as f64 / (1_u64 << 53) as f64);
            numbers.push((uniform.sum::<f64>() - 6.0) as f32);
        }
        let histogram = histogram(&numbers);
        for method in [RangeMethod::Entropy, RangeMethod::Percentile(99.9)] {
            let (lowest, highest) = histogram.range(method);
            assert!(lowest < -1.5 && highest > 1.5 && highest < 80.0, "{method:?}: {lowest} {highest}");
        }
        let errors = [RangeMethod::Mse, RangeMethod::MinMax].map(|method| histogram.error(histogram.range(method)));
        assert!(errors[0] < errors[1], "{errors:?}");
    }

    #[test]
    fn numbers_that_are_all_zero_have_a_range() {
        assert_eq!(histogram(&[0.0; 8]).range(RangeMethod::Mse), (0.0, 0.0));
        assert_eq!(histogram(&[f32::NAN, f32::INFINITY]).range(RangeMethod::MinMax), (0.0, 0.0));
    }
}
