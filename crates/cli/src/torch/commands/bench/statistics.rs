//! Statistics of repeated measurements.

/// Quartiles and minimum of several times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) least: f64,
}

impl Summary {
    pub(super) fn of(times: &[f64]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 0.5),
            lower: quantile(&sorted, 0.25),
            upper: quantile(&sorted, 0.75),
            least: quantile(&sorted, 0.0),
        }
    }

    /// Images per second, with `batch_size` images in one pass.
    pub(super) fn per_second(&self, batch_size: u32) -> f64 {
        1000.0 * f64::from(batch_size) / self.median
    }
}

/// The median of several times.
pub(super) fn median(times: &[f64]) -> f64 {
    Summary::of(times).median
}

/// The value at a fraction of sorted values, interpolated linearly; NaN if there are none.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = fraction * last as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

#[cfg(test)]
mod tests {
    use super::Summary;

    #[test]
    fn quartiles_lie_between_the_values() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(summary, Summary { median: 2.5, lower: 1.75, upper: 3.25, least: 1.0 });
        assert_eq!(summary.per_second(8), 3200.0);
        assert_eq!(Summary::of(&[7.0]), Summary { median: 7.0, lower: 7.0, upper: 7.0, least: 7.0 });
    }
}
