//! The measures of one package, or of all.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;

use crate::items::{Items, count_examples};
use crate::source::Source;
use crate::tokens::Flat;

/// What was counted, before anything is divided.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    files: Vec<usize>,
    functions: Vec<usize>,
    code_lines: usize,
    doc_lines: usize,
    doc_words: usize,
    wheres: usize,
    public_items: usize,
    documented: usize,
    fallible: usize,
    with_errors_section: usize,
    panics: usize,
    unsafe_blocks: usize,
    unexplained: usize,
    examples: usize,
    types: BTreeMap<String, bool>,
    modules: BTreeSet<String>,
    closures: usize,
    combinators: usize,
    thens: usize,
}

/// The values that are shown and limited.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measures {
    pub(crate) files: usize,
    /// Lines of all files, tests in them left out.
    pub(crate) lines: usize,
    pub(crate) file_lines: Distribution,
    pub(crate) function_lines: Distribution,
    pub(crate) public_items: usize,
    pub(crate) undocumented: usize,
    pub(crate) fallible: usize,
    pub(crate) without_errors_section: usize,
    /// `unwrap`, `expect` and macros that panic, per 1,000 lines of code, as all rates here.
    pub(crate) panics: f64,
    pub(crate) unsafe_blocks: usize,
    pub(crate) unexplained_unsafe: usize,
    /// Per 100 lines of code.
    pub(crate) doc_lines: f64,
    /// "where" per 1,000 words of documentation, in which it usually stands for "if" or "when".
    pub(crate) wheres: f64,
    pub(crate) examples_per_type: f64,
    /// Public types that are a `Module` and have no example, neither themselves nor their config.
    pub(crate) layers_without_example: Vec<String>,
    pub(crate) closures: f64,
    pub(crate) combinators: f64,
    pub(crate) thens: f64,
}

/// Median, 90th percentile and maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Distribution {
    pub(crate) median: usize,
    pub(crate) p90: usize,
    pub(crate) max: usize,
}

impl Distribution {
    fn of(values: &[usize]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        Self { median: quantile(&sorted, 50), p90: quantile(&sorted, 90), max: sorted.last().copied().unwrap_or(0) }
    }
}

/// The least value that this percentage of the values does not exceed.
fn quantile(sorted: &[usize], percent: usize) -> usize {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

impl Tally {
    pub(crate) fn of(source: &Source) -> Result<Self> {
        let items = Items::of(source)?;
        let flat = Flat::of(&source.tokens);
        let documentation: Vec<&str> = flat.docs.iter().map(|(_, line)| line.as_str()).collect();
        let unsafe_blocks = flat.unsafe_blocks();
        let words: Vec<&str> = documentation.iter().flat_map(|line| line.split_whitespace()).collect();
        Ok(Self {
            files: vec![source.text.lines().count() - source.test_lines],
            functions: items.functions,
            code_lines: flat.code_lines(),
            doc_lines: flat.docs.len(),
            doc_words: words.len(),
            wheres: words.iter().filter(|word| word.eq_ignore_ascii_case("where")).count(),
            public_items: items.public_items,
            documented: items.documented,
            fallible: items.fallible,
            with_errors_section: items.with_errors_section,
            panics: flat.panics(),
            unsafe_blocks: unsafe_blocks.len(),
            unexplained: unsafe_blocks.into_iter().filter(|line| !is_explained(&source.text, *line)).count(),
            examples: count_examples(&documentation.join("\n")),
            types: items.types,
            modules: items.modules,
            closures: flat.named_closures().len(),
            combinators: flat.combinators(),
            thens: flat.thens(),
        })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.files.extend(&other.files);
        self.functions.extend(&other.functions);
        self.code_lines += other.code_lines;
        self.doc_lines += other.doc_lines;
        self.doc_words += other.doc_words;
        self.wheres += other.wheres;
        self.public_items += other.public_items;
        self.documented += other.documented;
        self.fallible += other.fallible;
        self.with_errors_section += other.with_errors_section;
        self.panics += other.panics;
        self.unsafe_blocks += other.unsafe_blocks;
        self.unexplained += other.unexplained;
        self.examples += other.examples;
        self.types.extend(other.types.clone());
        self.modules.extend(other.modules.clone());
        self.closures += other.closures;
        self.combinators += other.combinators;
        self.thens += other.thens;
    }

    pub(crate) fn measures(&self) -> Measures {
        Measures {
            files: self.files.len(),
            lines: self.files.iter().sum(),
            file_lines: Distribution::of(&self.files),
            function_lines: Distribution::of(&self.functions),
            public_items: self.public_items,
            undocumented: self.public_items - self.documented,
            fallible: self.fallible,
            without_errors_section: self.fallible - self.with_errors_section,
            panics: per(1000, self.panics, self.code_lines),
            unsafe_blocks: self.unsafe_blocks,
            unexplained_unsafe: self.unexplained,
            doc_lines: per(100, self.doc_lines, self.code_lines),
            wheres: per(1000, self.wheres, self.doc_words),
            examples_per_type: per(1, self.examples, self.types.len()),
            layers_without_example: self.layers_without_example(),
            closures: per(1000, self.closures, self.code_lines),
            combinators: per(1000, self.combinators, self.code_lines),
            thens: per(1000, self.thens, self.code_lines),
        }
    }

    fn layers_without_example(&self) -> Vec<String> {
        let mut without = Vec::new();
        for name in &self.modules {
            let config = format!("{name}Config");
            // A type that is not in `types` is private.
            if self.types.get(name) == Some(&false) && self.types.get(&config) != Some(&true) {
                without.push(name.clone());
            }
        }
        without
    }
}

fn per(unit: usize, count: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { (unit * count) as f64 / whole as f64 }
}

/// Whether `SAFETY:` is in the comments before the statement with an unsafe block, whose line counts from 1.
fn is_explained(text: &str, line: usize) -> bool {
    let lines: Vec<&str> = text.lines().take(line).collect();
    for (distance, line) in lines.iter().rev().enumerate() {
        let line = line.trim();
        if line.contains("SAFETY:") {
            return true;
        }
        let ends_before = line.ends_with([';', '{', '}']) && !line.starts_with("//");
        if distance > 0 && ends_before {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_occur() {
        let values: Vec<usize> = (1..=10).rev().collect();
        assert_eq!(Distribution::of(&values), Distribution { median: 5, p90: 9, max: 10 });
        assert_eq!(Distribution::of(&[]), Distribution { median: 0, p90: 0, max: 0 });
    }

    #[test]
    fn explanations_stand_before_the_statement() {
        let text =
            "fn f() {\n    // SAFETY: a\n    // b\n    let c =\n        unsafe { g() };\n    unsafe { h() }\n}\n";
        assert!(is_explained(text, 5));
        assert!(!is_explained(text, 6));
    }
}
