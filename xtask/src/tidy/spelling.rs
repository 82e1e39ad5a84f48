//! American spelling, in code and prose.

use std::collections::BTreeMap;

/// Parts of words that only British spelling has.
const BRITISH: [&str; 29] = [
    "artefact",
    "analyse",
    "behaviour",
    "catalogue",
    "categoris",
    "centre",
    "colour",
    "customis",
    "favour",
    "generalis",
    "grey",
    "initialis",
    "labelled",
    "licence",
    "maximis",
    "minimis",
    "modelling",
    "neighbour",
    "normalis",
    "optimis",
    "organis",
    "quantis",
    "recognis",
    "serialis",
    "specialis",
    "standardis",
    "summaris",
    "visualis",
    "whilst",
];

/// The files in which words are looked for.
const EXTENSIONS: [&str; 9] = ["rs", "md", "toml", "py", "cpp", "h", "yaml", "txt", "sh"];

/// Names and texts of others, and pages that are made from the sources.
const FOREIGN: [&str; 5] = ["model_zoo/", "tests/cases/", "fuzz/", "docs/layers.md", "docs/networks.md"];

/// Lines that still have such a word, by folder. The numbers may only fall.
const ALLOWED: [(&str, usize); 2] = [("crates/cli", 20), ("tests", 1)];

/// What names the words to look for.
const THIS_FILE: &str = "xtask/src/tidy/spelling.rs";

/// Whether words are looked for in a file.
pub(super) fn concerns(file: &str) -> bool {
    let Some((_, extension)) = file.rsplit_once('.') else { return false };
    let is_foreign = FOREIGN.iter().any(|folder| file.starts_with(folder));
    EXTENSIONS.contains(&extension) && !is_foreign && ![THIS_FILE, "docs/style.md"].contains(&file)
}

/// The lines with British words, counted from 1, and the first such word of each.
fn find(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for word in BRITISH {
            if line.contains(word) {
                found.push((index + 1, word));
                break;
            }
        }
    }
    found
}

/// British words by the folder of their files.
#[derive(Debug, Default)]
pub(super) struct Spelling(BTreeMap<String, Vec<String>>);

impl Spelling {
    pub(super) fn add(&mut self, file: &str, text: &str) {
        let parts = if file.starts_with("crates/") { 2 } else { 1 };
        let folder = file.split('/').take(parts).collect::<Vec<_>>().join("/");
        for (line, word) in find(text) {
            self.0.entry(folder.clone()).or_default().push(format!("    {file}:{line}: {word}"));
        }
    }

    /// The folders with more of them than are allowed.
    pub(super) fn problems(self) -> Vec<String> {
        let mut problems = Vec::new();
        for (folder, places) in self.0 {
            let allowed = allowed(&folder);
            let number = places.len();
            if number > allowed {
                problems.push(format!(
                    "{folder}: {number} lines with British spelling, and {allowed} are allowed ({THIS_FILE}):\n{}",
                    places.join("\n")
                ));
            }
        }
        problems
    }
}

fn allowed(folder: &str) -> usize {
    for (name, number) in ALLOWED {
        if name == folder {
            return number;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn british_words_are_found_in_code_and_prose() {
        let text = "fn initialise() {}\n// Standardised.\nfn initialize() {}\n";
        assert_eq!(find(text), [(1, "initialis"), (2, "standardis")]);
        let mut spelling = Spelling::default();
        spelling.add("docs/a.md", text);
        assert_eq!(spelling.problems().len(), 1);
    }

    #[test]
    fn pictures_and_cases_are_left_out() {
        assert!(concerns("a.rs") && concerns("docs/a.md"));
        assert!(!concerns("a.png") && !concerns("tests/cases/a.yaml") && !concerns("LICENSE"));
    }
}
