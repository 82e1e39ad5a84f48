//! What is told of many measurements.

/// Quartiles and the least of several times, in milliseconds.
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
        let at = |part| quantile(&sorted, part);
        Self { median: at(0.5), lower: at(0.25), upper: at(0.75), least: at(0.0) }
    }

    /// Pictures in a second, with `batch` of them in one pass.
    pub(super) fn per_second(&self, batch: u32) -> f64 {
        1000.0 * f64::from(batch) / self.median
    }
}

/// The middle of several times.
pub(super) fn median(times: &[f64]) -> f64 {
    Summary::of(times).median
}

/// The value below which that part of the sorted values is; between two values it is interpolated.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let position = part * sorted.len().saturating_sub(1) as f64;
    let value = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (value(position.floor()), value(position.ceil()));
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
