//! The measures of a package or of the workspace, and their limits.

use serde_json::{Value, json};

use crate::tally::{Count, Tally};

/// A measure of the sources.
pub(crate) struct Measure {
    pub(crate) title: &'static str,
    pub(crate) value: fn(&Tally) -> Measured,
    /// The most that it may be in the whole workspace.
    pub(crate) limit: Option<Limit>,
}

/// A limit is today's value until the workspace meets the goal, and then the goal; it may only fall.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) limit: f64,
    pub(crate) goal: f64,
}

/// A value of a measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Measured {
    /// A number of things.
    Count(usize),
    /// Things per lines, words or types.
    Rate(f64),
    /// Lengths: median, 90th percentile, maximum. The limit is for the percentile.
    Lengths { median: usize, p90: usize, max: usize },
}

/// All measures, in the order of the table. Rates are per 1,000 lines of code unless their title says otherwise.
pub(crate) const MEASURES: [Measure; 18] = [
    free("files", |tally| Measured::Count(tally.files.len())),
    free("lines", |tally| Measured::Count(tally.files.iter().sum())),
    limited("lines per file", |tally| lengths(&tally.files), 400.0, 400.0),
    limited("lines per function", |tally| lengths(&tally.functions), 30.0, 30.0),
    free("public items", |tally| tally.count(Count::PublicItems)),
    limited("  undocumented", |tally| tally.count(Count::Undocumented), 0.0, 0.0),
    free("fallible public functions", |tally| tally.count(Count::Fallible)),
    limited("  without an Errors section", |tally| tally.count(Count::WithoutErrors), 0.0, 0.0),
    limited("panics", |tally| tally.rate(Count::Panics), 0.07, 0.0),
    limited("unsafe blocks", |tally| tally.count(Count::Unsafe), 22.0, 22.0),
    limited("  unexplained", |tally| tally.count(Count::UnexplainedUnsafe), 0.0, 0.0),
    free("doc lines per 100", |tally| tally.ratio(100, Count::DocLines, Count::CodeLines)),
    limited("where per 1,000 doc words", |tally| tally.ratio(1000, Count::Wheres, Count::DocWords), 2.5, 2.5),
    free("doc examples per public type", |tally| tally.ratio(1, Count::Examples, Count::Types)),
    limited("layers without an example", |tally| Measured::Count(tally.layers_without_example().len()), 0.0, 0.0),
    limited("named closures", |tally| tally.rate(Count::Closures), 2.0, 2.0),
    limited("combinators", |tally| tally.rate(Count::Combinators), 15.0, 15.0),
    limited("  bool::then", |tally| tally.rate(Count::Thens), 0.5, 0.5),
];

const fn free(title: &'static str, value: fn(&Tally) -> Measured) -> Measure {
    Measure { title, value, limit: None }
}

const fn limited(title: &'static str, value: fn(&Tally) -> Measured, limit: f64, goal: f64) -> Measure {
    Measure { title, value, limit: Some(Limit { limit, goal }) }
}

impl Measured {
    /// The number that a limit is compared with.
    pub(crate) fn limited_value(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Rate(rate) => rate,
            Self::Lengths { p90, .. } => p90 as f64,
        }
    }

    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::Count(count) => json!(count),
            Self::Rate(rate) => json!(rate),
            Self::Lengths { median, p90, max } => json!({ "median": median, "p90": p90, "max": max }),
        }
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(formatter, "{count}"),
            Self::Rate(rate) => write!(formatter, "{rate:.2}"),
            Self::Lengths { median, p90, max } => write!(formatter, "{median}/{p90}/{max}"),
        }
    }
}

fn lengths(values: &[usize]) -> Measured {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    Measured::Lengths {
        median: quantile(&sorted, 50),
        p90: quantile(&sorted, 90),
        max: sorted.last().copied().unwrap_or_default(),
    }
}

/// The least value that this percentage of the values does not exceed.
fn quantile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The measures of the workspace that exceed their limits.
pub(crate) fn problems(total: &Tally) -> Vec<String> {
    let mut problems = Vec::new();
    for Measure { title, value, limit } in &MEASURES {
        let value = value(total);
        if let Some(Limit { limit, .. }) = limit
            && value.limited_value() > *limit
        {
            let title = title.trim();
            problems.push(format!("{title}: {value}, and at most {limit} is allowed (xtask/measure/src/measures.rs)"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occur() {
        let values: Vec<usize> = (1..=10).rev().collect();
        assert_eq!(lengths(&values), Measured::Lengths { median: 5, p90: 9, max: 10 });
        assert_eq!(lengths(&[]), Measured::Lengths { median: 0, p90: 0, max: 0 });
    }

    #[test]
    fn what_exceeds_a_limit_is_a_problem() {
        let mut tally = Tally::default();
        tally.files = vec![500];
        assert_eq!(problems(&tally).len(), 1);
        assert!(problems(&Tally::default()).is_empty());
    }
}
