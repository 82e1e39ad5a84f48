//! `cargo xtask tidy`: checks of the sources that no other tool makes.

mod spelling;
mod unused;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::process::output;
use crate::workspace::root;

/// The most lines that a Rust file may have, tests included.
const LONGEST: usize = 800;

/// File sizes, module documentation, spelling, unused dependencies, licenses, links and paths in the docs, the changelog's heading.
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
    let mut spelling = spelling::Spelling::default();
    let files = ["ls-files", "--cached", "--others", "--exclude-standard"];
    for file in output(std::process::Command::new("git").args(files).current_dir(root))?.lines() {
        // A deleted file is listed until the deletion is committed, and not every file is text.
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        if file.ends_with(".rs") {
            problems.extend(in_rust_file(file, &text));
        }
        if file.ends_with(".md") && !root.join(file).is_symlink() {
            problems.extend(dead_links(file, &text, root));
        }
        if spelling::concerns(file) {
            spelling.add(file, &text);
        }
    }
    problems.extend(spelling.problems());
    problems.extend(unused::problems(root)?);
    if let Ok(page) = fs::read_to_string(root.join("docs/architecture.md")) {
        problems.extend(missing_paths(&page, root));
    }
    problems.extend(missing_licenses(root));
    if rust_blocks(root, "README.md")? != rust_blocks(root, "README.zh-CN.md")? {
        problems.push("README.md and README.zh-CN.md have different Rust code".to_owned());
    }
    let changelog = fs::read_to_string(root.join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
    if !has_heading(&changelog, env!("CARGO_PKG_VERSION")) {
        problems.push(format!("CHANGELOG.md has no heading for {}", env!("CARGO_PKG_VERSION")));
    }
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
        problems.push(format!("{file} has no module documentation: begin it with a line of //!"));
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

/// Paths in backquotes that do not exist in this repository.
fn missing_paths(page: &str, root: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    for quoted in page.split('`').skip(1).step_by(2) {
        let is_path = quoted.contains('/') && !quoted.contains(|c: char| c.is_whitespace() || ":<>*$~{".contains(c));
        if is_path && !quoted.starts_with("target/") && !root.join(quoted).exists() {
            missing.push(format!("docs/architecture.md names {quoted}, which does not exist"));
        }
    }
    missing
}

/// Relative links of a Markdown page that lead nowhere.
fn dead_links(file: &str, page: &str, root: &Path) -> Vec<String> {
    let folder = root.join(file);
    let folder = folder.parent().unwrap_or(root);
    let mut dead = Vec::new();
    for rest in page.split("](").skip(1) {
        let target = rest.split([')', '#']).next().unwrap_or_default();
        // Links of rustdoc have colons, too.
        if !target.is_empty() && !target.contains(':') && !folder.join(target).exists() {
            dead.push(format!("{file} links to {target}, which does not exist"));
        }
    }
    dead
}

/// The Rust code of a page.
fn rust_blocks(root: &Path, page: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(page)).with_context(|| format!("cannot read {page}"))?;
    let blocks = text.split("```").skip(1).step_by(2);
    Ok(blocks.filter(|block| block.starts_with("rust")).map(str::to_owned).collect())
}

fn has_heading(changelog: &str, version: &str) -> bool {
    for line in changelog.lines() {
        if line.starts_with("## ") && line.split([' ', '[', ']']).any(|word| word == version) {
            return true;
        }
    }
    false
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
    fn links_that_lead_nowhere_are_reported() {
        let page = "[a](Cargo.toml) [b](https://x/y) [c](docs/none.md#d) [e](#f)";
        assert_eq!(dead_links("README.md", page, root()), ["README.md links to docs/none.md, which does not exist"]);
    }

    #[test]
    fn the_changelog_needs_the_version() {
        assert!(has_heading("# Changelog\n## [0.1.0] unreleased\n", "0.1.0"));
        assert!(!has_heading("## 0.1.0-rc1\n", "0.1.0"));
    }
}
