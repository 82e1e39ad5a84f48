//! The measures for people and for programs.

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::measures::{Limit, MEASURES};
use crate::tally::Tally;

/// A column for each package and one for all, with the limits; then the layers without an example.
pub(crate) fn text(packages: &[(String, Tally)], total: &Tally) -> String {
    let mut text = format!("{:30}{:>12}{:>7}{:>6}", "", "all", "limit", "goal");
    for (name, _) in packages {
        let _ = write!(text, "{name:>14}");
    }
    text.push('\n');
    for measure in &MEASURES {
        let (limit, goal) = match measure.limit {
            Some(Limit { limit, goal }) => (limit.to_string(), goal.to_string()),
            None => (String::new(), String::new()),
        };
        let _ = write!(text, "{:30}{:>12}{limit:>7}{goal:>6}", measure.title, (measure.value)(total).to_string());
        for (_, tally) in packages {
            let _ = write!(text, "{:>14}", (measure.value)(tally).to_string());
        }
        text.push('\n');
    }
    text.push_str(
        "\nLengths are median/90th percentile/maximum. Rates are per 1,000 lines of code, unless they say otherwise.\n",
    );
    let without = total.layers_without_example();
    if !without.is_empty() {
        let _ = writeln!(text, "Layers without an example: {}", without.join(", "));
    }
    text
}

/// An object with the measures of each package and of all.
pub(crate) fn json(packages: &[(String, Tally)], total: &Tally) -> Result<String> {
    let packages: Map<String, Value> = packages.iter().map(|(name, tally)| (name.clone(), object(tally))).collect();
    Ok(serde_json::to_string_pretty(&json!({ "packages": packages, "total": object(total) }))?)
}

fn object(tally: &Tally) -> Value {
    MEASURES.iter().map(|measure| (measure.title.trim().to_owned(), (measure.value)(tally).to_json())).collect()
}
