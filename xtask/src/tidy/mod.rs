//! `cargo xtask tidy`: checks of the sources that no other tool makes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::process::output;
use crate::workspace::root;

/// The most lines that a Rust file may have, tests included.
const LONGEST: usize = 800;

/// File sizes, module documentation, licenses of the crates, the paths that the architecture page names, the heading in the changelog.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask tidy")]
pub(crate) struct Tidy {}

impl Tidy {
    pub(crate) fn run(self) -> Result<()> {
        check()
    }
}

/// Reports all problems at once.
pub(crate) fn check() -> Result<()> {
    let root = root();
    let mut problems = Vec::new();
    let files = ["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"];
    for file in output(std::process::Command::new("git").args(files).current_dir(root))?.lines() {
        // A file that is deleted, but not yet committed as such, is listed too.
        if let Ok(text) = fs::read_to_string(root.join(file)) {
            problems.extend(in_rust_file(file, &text));
        }
    }
    if let Ok(page) = fs::read_to_string(root.join("docs/architecture.md")) {
        problems.extend(missing_paths(&page, root));
    }
    problems.extend(missing_licenses(root));
    let changelog = fs::read_to_string(root.join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
    problems.extend(missing_heading(&changelog, env!("CARGO_PKG_VERSION")));
    ensure!(problems.is_empty(), "tidy found problems:\n{}", problems.join("\n"));
    Ok(())
}

fn in_rust_file(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        problems.push(format!("{file} has {lines} lines, more than {LONGEST}: split it by subject"));
    }
    if !text.lines().any(|line| line.starts_with("//!")) {
        problems.push(format!("{file} does not say what it is for: begin it with a line of //!"));
    }
    problems
}

/// Each crate is published with the license.
fn missing_licenses(root: &Path) -> Vec<String> {
    let license = fs::read(root.join("LICENSE")).ok();
    let mut missing = Vec::new();
    for folder in fs::read_dir(root.join("crates")).into_iter().flatten().flatten() {
        let folder = folder.path();
        if folder.join("Cargo.toml").is_file() && fs::read(folder.join("LICENSE")).ok() != license {
            let name = folder.strip_prefix(root).unwrap_or(&folder).display();
            missing.push(format!("{name} has no LICENSE: ln -s ../../LICENSE {name}/LICENSE"));
        }
    }
    missing
}

/// What stands in backquotes and looks like a path of this repository has to be there.
fn missing_paths(page: &str, root: &Path) -> Vec<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let paths = quoted
        .filter(|text| text.contains('/') && !text.contains(|c: char| c.is_whitespace() || ":<>*$~{".contains(c)));
    paths
        .filter(|path| !path.starts_with("target/") && !root.join(path).exists())
        .map(|path| format!("docs/architecture.md names {path}, which does not exist"))
        .collect()
}

fn missing_heading(changelog: &str, version: &str) -> Option<String> {
    let mut headings = changelog.lines().filter(|line| line.starts_with("## "));
    let found = headings.any(|heading| heading.split([' ', '[', ']']).any(|word| word == version));
    (!found).then(|| format!("CHANGELOG.md has no heading for {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_undocumented_files_are_reported() {
        assert!(in_rust_file("a.rs", "//! Good.\n").is_empty());
        assert_eq!(in_rust_file("a.rs", "fn main() {}\n").len(), 1);
        assert_eq!(in_rust_file("a.rs", &format!("//! Long.{}", "\n".repeat(801))).len(), 1);
    }

    #[test]
    fn paths_that_do_not_exist_are_reported() {
        let page = "`xtask/src/main.rs`, `crates/none/lib.rs`, `a / b`, `https://x/y`, `target/x`";
        assert_eq!(
            missing_paths(page, root()),
            ["docs/architecture.md names crates/none/lib.rs, which does not exist"]
        );
    }

    #[test]
    fn the_changelog_needs_the_version() {
        assert_eq!(missing_heading("# Changelog\n## [0.1.0] unreleased\n", "0.1.0"), None);
        assert!(missing_heading("## 0.1.0-rc1\n", "0.1.0").is_some());
    }
}
