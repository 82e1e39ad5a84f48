//! The measures for people and for programs.

use std::fmt::Write;

use anyhow::Result;
use serde_json::json;

use crate::limits::{LIMITS, Limit};
use crate::measures::{Distribution, Measures};

/// A title, and the cell of one package.
type Row = (&'static str, fn(&Measures) -> String);

const ROWS: [Row; 17] = [
    ("files", |m| m.files.to_string()),
    ("lines", |m| m.lines.to_string()),
    ("lines per file", |m| distribution(m.file_lines)),
    ("lines per function", |m| distribution(m.function_lines)),
    ("public items", |m| m.public_items.to_string()),
    ("  undocumented", |m| m.undocumented.to_string()),
    ("fallible public functions", |m| m.fallible.to_string()),
    ("  without an Errors section", |m| m.without_errors_section.to_string()),
    ("panics /1000", |m| rate(m.panics)),
    ("unsafe blocks (unexplained)", |m| format!("{} ({})", m.unsafe_blocks, m.unexplained_unsafe)),
    ("doc lines /100", |m| rate(m.doc_lines)),
    ("\"where\" /1000 doc words", |m| rate(m.wheres)),
    ("examples per public type", |m| rate(m.examples_per_type)),
    ("layers without an example", |m| m.layers_without_example.len().to_string()),
    ("named closures /1000", |m| rate(m.closures)),
    ("combinators /1000", |m| rate(m.combinators)),
    ("bool::then /1000", |m| rate(m.thens)),
];

fn distribution(values: Distribution) -> String {
    format!("{}/{}/{}", values.median, values.p90, values.max)
}

fn rate(value: f64) -> String {
    format!("{value:.2}")
}

/// A column for each package and one for all; then the limits, and the layers without an example.
pub(crate) fn text(packages: &[(String, Measures)], total: &Measures) -> String {
    let mut text = format!("{:28}{:>14}", "", "all");
    for (name, _) in packages {
        let _ = write!(text, "{name:>14}");
    }
    text.push('\n');
    for (title, cell) in ROWS {
        let _ = write!(text, "{title:28}{:>14}", cell(total));
        for (_, measures) in packages {
            let _ = write!(text, "{:>14}", cell(measures));
        }
        text.push('\n');
    }
    text.push_str("\nLengths are median/p90/maximum; rates are per lines of code.\n\n");
    for Limit { name, value, limit, goal } in &LIMITS {
        let value = value(total);
        let state = if value > *limit {
            "exceeds the limit"
        } else if value <= *goal && limit > goal {
            "meets the goal: lower the limit to it"
        } else {
            ""
        };
        let _ = writeln!(text, "{name:28}{value:>10.2}  limit {limit:>7.2}  goal {goal:>6.2}  {state}");
    }
    if !total.layers_without_example.is_empty() {
        let _ = writeln!(text, "\nLayers without an example: {}", total.layers_without_example.join(", "));
    }
    text
}

pub(crate) fn json(packages: &[(String, Measures)], total: &Measures) -> Result<String> {
    let packages: serde_json::Map<String, serde_json::Value> =
        packages.iter().map(|(name, measures)| (name.clone(), json!(measures))).collect();
    Ok(serde_json::to_string_pretty(&json!({ "packages": packages, "total": total }))?)
}
