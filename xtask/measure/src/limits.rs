//! The limits of the measures. A limit is today's value until the tree meets the goal, and then the goal; it may only fall.

use crate::measures::Measures;

/// The most that a measure of the whole workspace may be.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) value: fn(&Measures) -> f64,
    pub(crate) limit: f64,
    pub(crate) goal: f64,
}

/// All limits.
pub(crate) const LIMITS: [Limit; 12] = [
    Limit { name: "file lines, p90", value: |m| m.file_lines.p90 as f64, limit: 400.0, goal: 400.0 },
    Limit { name: "function lines, p90", value: |m| m.function_lines.p90 as f64, limit: 30.0, goal: 30.0 },
    Limit { name: "undocumented items", value: |m| m.undocumented as f64, limit: 0.0, goal: 0.0 },
    Limit { name: "without an Errors section", value: |m| m.without_errors_section as f64, limit: 0.0, goal: 0.0 },
    Limit { name: "panics /1000", value: |m| m.panics, limit: 0.07, goal: 0.0 },
    Limit { name: "unsafe blocks", value: |m| m.unsafe_blocks as f64, limit: 60.0, goal: 19.0 },
    Limit { name: "unexplained unsafe", value: |m| m.unexplained_unsafe as f64, limit: 0.0, goal: 0.0 },
    Limit {
        name: "layers without an example",
        value: |m| m.layers_without_example.len() as f64,
        limit: 63.0,
        goal: 0.0,
    },
    Limit { name: "named closures /1000", value: |m| m.closures, limit: 9.1, goal: 2.0 },
    Limit { name: "combinators /1000", value: |m| m.combinators, limit: 30.6, goal: 15.0 },
    Limit { name: "\"where\" /1000 doc words", value: |m| m.wheres, limit: 10.5, goal: 2.5 },
    Limit { name: "bool::then /1000", value: |m| m.thens, limit: 2.1, goal: 0.5 },
];

/// What exceeds its limit.
pub(crate) fn problems(total: &Measures) -> Vec<String> {
    let mut problems = Vec::new();
    for Limit { name, value, limit, .. } in &LIMITS {
        let value = value(total);
        if value > *limit {
            problems
                .push(format!("{name}: {value:.2}, and at most {limit:.2} are allowed (xtask/measure/src/limits.rs)"));
        }
    }
    problems
}
