//! House rules of docs/style.md that a machine can see.

use std::collections::BTreeMap;

use crate::source::Source;
use crate::tokens::Flat;

/// A rule, and how many places of each package still break it. These numbers may only fall.
struct Rule {
    advice: &'static str,
    find: fn(&Source, &Flat) -> Vec<usize>,
    allowed: &'static [(&'static str, usize)],
}

const RULES: [Rule; 4] = [
    Rule {
        advice: "a named closure of more than 8 lines: make it a function",
        find: |_, flat| closures(flat, |lines, _| lines > LONGEST_CLOSURE),
        allowed: &[],
    },
    Rule {
        advice: "a named closure without arguments: make it a function, or write its body where it is called",
        find: |_, flat| closures(flat, |_, has_arguments| !has_arguments),
        allowed: &[("cli", 2)],
    },
    Rule { advice: "an Errors section begins \"Returns an error if ...\"", find: errors_sections, allowed: &[] },
    Rule { advice: "a library knows no options or sub-commands of a program", find: command_line, allowed: &[] },
];

const LONGEST_CLOSURE: usize = 8;

/// The result of all rules.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Packages with more places than they are allowed.
    pub(crate) problems: Vec<String>,
    /// Packages that need less than they are allowed.
    pub(crate) slack: Vec<String>,
}

pub(crate) fn check(sources: &[Source]) -> Verdict {
    let mut verdict = Verdict::default();
    for rule in &RULES {
        let places = rule.places(sources);
        for (package, places) in &places {
            let allowed = rule.allowed(package);
            if places.len() > allowed {
                verdict.problems.push(format!(
                    "{}; {package} has {} places, and {allowed} are allowed (xtask/measure/src/rules.rs):\n    {}",
                    rule.advice,
                    places.len(),
                    places.join("\n    ")
                ));
            }
        }
        for (package, allowed) in rule.allowed {
            let number = places.get(package).map(Vec::len).unwrap_or_default();
            if number < *allowed {
                verdict.slack.push(format!("{}: {package} has {number}, lower the limit of {allowed}", rule.advice));
            }
        }
    }
    verdict
}

impl Rule {
    /// The places that break the rule, by package.
    fn places<'a>(&self, sources: &'a [Source]) -> BTreeMap<&'a str, Vec<String>> {
        let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for source in sources {
            for line in (self.find)(source, &Flat::of(&source.tokens)) {
                places.entry(&source.package).or_default().push(format!("{}:{line}", source.path));
            }
        }
        places
    }

    fn allowed(&self, package: &str) -> usize {
        for (name, number) in self.allowed {
            if *name == package {
                return *number;
            }
        }
        0
    }
}

fn closures(flat: &Flat, breaks_rule: fn(usize, bool) -> bool) -> Vec<usize> {
    let mut lines = Vec::new();
    for closure in flat.named_closures() {
        if breaks_rule(closure.lines, closure.has_arguments) {
            lines.push(closure.line);
        }
    }
    lines
}

/// Errors sections that begin with "Where", as in "Where the file is not there".
fn errors_sections(_: &Source, flat: &Flat) -> Vec<usize> {
    let mut lines = Vec::new();
    let mut is_start = false;
    for (number, line) in &flat.docs {
        let line = line.trim();
        if is_start && line.starts_with("Where ") {
            lines.push(*number);
        }
        is_start = line == "# Errors" || (is_start && line.is_empty());
    }
    lines
}

/// Options such as `--force` and commands such as `mmcv zoo` in the texts and the documentation of libraries.
fn command_line(source: &Source, flat: &Flat) -> Vec<usize> {
    let mut lines = Vec::new();
    if source.is_program {
        return lines;
    }
    for (number, line) in &flat.docs {
        if names_command_line(line) {
            lines.push(*number);
        }
    }
    for token in &flat.tokens {
        if token.is_literal && names_command_line(&token.text) {
            lines.push(token.line);
        }
    }
    lines.sort_unstable();
    lines
}

const SUBCOMMANDS: [&str; 10] =
    ["bench", "build", "ckpt", "doctor", "features", "layers", "predict", "profile", "summary", "zoo"];

fn names_command_line(text: &str) -> bool {
    let mut previous = "";
    for word in text.split(|c: char| c.is_whitespace() || "`\"'()[]{},;=".contains(c)) {
        let option = word.strip_prefix("--");
        if option.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase())) {
            return true;
        }
        if previous == "mmcv" && SUBCOMMANDS.contains(&word) {
            return true;
        }
        previous = word;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_are_found() {
        for text in ["pass `--force`", "run `mmcv zoo fetch` first", "(--sha256 HEX)"] {
            assert!(names_command_line(text), "{text}");
        }
        for text in ["a -- b", "the zoo of mmcv", "--", "-f", "mmcv::zoo"] {
            assert!(!names_command_line(text), "{text}");
        }
    }

    #[test]
    fn errors_sections_begin_with_what_is_returned() {
        let source = Source {
            package: "a".to_owned(),
            path: "a.rs".to_owned(),
            text: String::new(),
            tokens: "/// A.\n///\n/// # Errors\n/// Where b.\nfn a() {}\n/// # Errors\n///\n/// Returns an error if c.\n/// Where d.\nfn c() {}"
                .parse()
                .unwrap(),
            test_lines: 0,
            is_program: false,
        };
        assert_eq!(errors_sections(&source, &Flat::of(&source.tokens)), [4]);
    }
}
