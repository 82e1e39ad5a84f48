//! What is counted in a file, a package, or the workspace.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::items::{Items, count_examples};
use crate::measures::Measured;
use crate::source::Source;
use crate::tokens::Flat;

/// Something that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    CodeLines,
    DocLines,
    DocWords,
    /// "where" in documentation, in which it usually stands for "if" or "when".
    Wheres,
    PublicItems,
    Undocumented,
    Fallible,
    WithoutErrors,
    /// `unwrap`, `expect` and macros that panic.
    Panics,
    Unsafe,
    UnexplainedUnsafe,
    /// Rust code blocks in documentation.
    Examples,
    /// Public structs, enums, unions and traits.
    Types,
    Closures,
    /// `bool::then` and `then_some` included.
    Combinators,
    Thens,
}

/// The counts, and the lengths of files and functions.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Lines of each file, without its tests.
    pub(crate) files: Vec<usize>,
    pub(crate) functions: Vec<usize>,
    counts: BTreeMap<Count, usize>,
    types: BTreeMap<String, bool>,
    modules: BTreeSet<String>,
}

impl Tally {
    pub(crate) fn of(source: &Source) -> Result<Self> {
        let items = Items::of(source)?;
        let flat = Flat::of(&source.tokens);
        let mut documentation = String::new();
        for (_, line) in &flat.docs {
            documentation.push_str(line);
            documentation.push('\n');
        }
        let words: Vec<&str> = documentation.split_whitespace().collect();
        let unsafe_blocks = flat.unsafe_blocks();
        let counts = [
            (Count::CodeLines, flat.code_lines()),
            (Count::DocLines, flat.docs.len()),
            (Count::DocWords, words.len()),
            (Count::Wheres, words.iter().filter(|word| word.eq_ignore_ascii_case("where")).count()),
            (Count::PublicItems, items.public_items),
            (Count::Undocumented, items.public_items - items.documented),
            (Count::Fallible, items.fallible),
            (Count::WithoutErrors, items.fallible - items.with_errors_section),
            (Count::Panics, flat.panics()),
            (Count::Unsafe, unsafe_blocks.len()),
            (Count::UnexplainedUnsafe, unsafe_blocks.iter().filter(|line| !is_explained(&source.text, **line)).count()),
            (Count::Examples, count_examples(&documentation)),
            (Count::Types, items.types.len()),
            (Count::Closures, flat.named_closures().len()),
            (Count::Combinators, flat.combinators()),
            (Count::Thens, flat.thens()),
        ];
        Ok(Self {
            files: vec![source.text.lines().count() - source.test_lines],
            functions: items.functions,
            counts: counts.into(),
            types: items.types,
            modules: items.modules,
        })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.files.extend(&other.files);
        self.functions.extend(&other.functions);
        for (count, number) in &other.counts {
            *self.counts.entry(*count).or_default() += number;
        }
        self.types.extend(other.types.clone());
        self.modules.extend(other.modules.clone());
    }

    fn number(&self, count: Count) -> usize {
        self.counts.get(&count).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self, count: Count) -> Measured {
        Measured::Count(self.number(count))
    }

    /// A count per 1,000 lines of code.
    pub(crate) fn rate(&self, count: Count) -> Measured {
        self.ratio(1000, count, Count::CodeLines)
    }

    /// A count per so many units of another one.
    pub(crate) fn ratio(&self, unit: usize, count: Count, whole: Count) -> Measured {
        let whole = self.number(whole).max(1);
        Measured::Rate((unit * self.number(count)) as f64 / whole as f64)
    }

    /// Public types that are a `Module` and have no example, neither themselves nor their config.
    pub(crate) fn layers_without_example(&self) -> Vec<&str> {
        let mut without = Vec::new();
        for name in &self.modules {
            let config = format!("{name}Config");
            // A type that is not in `types` is private.
            if self.types.get(name) == Some(&false) && self.types.get(&config) != Some(&true) {
                without.push(name.as_str());
            }
        }
        without
    }
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
    fn explanations_stand_before_the_statement() {
        let text =
            "fn f() {\n    // SAFETY: a\n    // b\n    let c =\n        unsafe { g() };\n    unsafe { h() }\n}\n";
        assert!(is_explained(text, 5));
        assert!(!is_explained(text, 6));
    }

    #[test]
    fn counts_of_several_files_are_added() {
        let mut total = Tally::default();
        for panics in [2, 3] {
            let counts = [(Count::Panics, panics), (Count::CodeLines, 100)].into();
            total.add(&Tally { counts, ..Tally::default() });
        }
        assert_eq!(total.rate(Count::Panics), Measured::Rate(25.0));
    }
}
