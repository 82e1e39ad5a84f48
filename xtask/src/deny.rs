//! `cargo xtask deny`: licenses, sources and duplicates of the dependencies, as `deny.toml` allows them.
//!
//! cargo-deny runs if it is installed. It takes minutes to compile, so its checks are repeated here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::process::{exists, output, plain_cargo, run, stage};
use crate::workspace::root;

/// Licenses, sources and duplicates of the dependencies, as deny.toml allows them.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask deny")]
pub(crate) struct Deny {}

impl Deny {
    pub(crate) fn run(self) -> Result<()> {
        check()
    }
}

/// The beginning of a package's source if it comes from a registry.
const REGISTRY: &str = "registry+";

/// Checks all packages in the lockfile.
pub(crate) fn check() -> Result<()> {
    stage("Licenses, sources and duplicates of the dependencies");
    if exists("cargo-deny") {
        run(plain_cargo().args(["deny", "--offline", "check", "licenses", "bans", "sources"]))?;
    } else {
        let config = fs::read_to_string(root().join("deny.toml")).context("cannot read deny.toml")?;
        let metadata = output(plain_cargo().args(["metadata", "--format-version", "1", "--all-features", "--locked"]))?;
        let metadata: Value = serde_json::from_str(&metadata).context("cannot read the output of `cargo metadata`")?;
        let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let problems = problems(packages, &list(&config, "licenses", "allow"), &list(&config, "bans", "skip"));
        ensure!(problems.is_empty(), "deny.toml does not allow:\n{}", problems.join("\n"));
    }
    eprintln!("known vulnerabilities are not checked, which needs a network: run `cargo deny check advisories`");
    Ok(())
}

/// The strings of the list `key` in a section of `deny.toml`, without comments.
fn list(config: &str, section: &str, key: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut in_section = false;
    let mut in_list = false;
    for line in config.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') && line.ends_with(']') && !in_list {
            in_section = line == format!("[{section}]");
        }
        if in_section
            && let Some((name, _)) = line.split_once('=')
            && name.trim() == key
        {
            in_list = true;
        }
        if in_list {
            texts.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
            in_list = !line.ends_with(']');
        }
    }
    texts
}

fn problems(packages: &[Value], licenses: &[String], duplicates: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let version = package["version"].as_str().unwrap_or_default();
        let license = package["license"].as_str().unwrap_or_default();
        if !allows(license, licenses) {
            problems.push(format!("{name} {version}: the license {license:?}"));
        }
        // Packages of the workspace have no source.
        if let Some(source) = package["source"].as_str()
            && !source.starts_with(REGISTRY)
        {
            problems.push(format!("{name} {version}: the source {source}"));
        }
        if !duplicates.iter().any(|entry| matches(entry, name, version)) {
            versions.entry(name).or_default().insert(version);
        }
    }
    for (name, versions) in versions {
        if versions.len() > 1 {
            problems.push(format!("{name}: several versions, {}", Vec::from_iter(versions).join(" and ")));
        }
    }
    problems
}

/// Whether an entry such as `zip@0.6` matches a package; the parts of the version that it leaves out can be anything.
fn matches(entry: &str, name: &str, version: &str) -> bool {
    let Some((entry_name, prefix)) = entry.split_once('@') else { return false };
    entry_name == name && (version == prefix || version.starts_with(&format!("{prefix}.")))
}

/// Whether these licenses satisfy an expression such as `(MIT OR Apache-2.0) AND ISC`. Exceptions (`WITH`) only allow more.
fn allows(expression: &str, licenses: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words, licenses) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, licenses: &[String]) -> bool {
    let mut holds = both(words, licenses);
    while words.next_if_eq(&"OR").is_some() {
        holds |= both(words, licenses);
    }
    holds
}

fn both(words: &mut Words<'_>, licenses: &[String]) -> bool {
    let mut holds = one(words, licenses);
    while words.next_if_eq(&"AND").is_some() {
        holds &= one(words, licenses);
    }
    holds
}

fn one(words: &mut Words<'_>, licenses: &[String]) -> bool {
    match words.next() {
        Some("(") => {
            let holds = either(words, licenses);
            words.next_if_eq(&")").is_some() && holds
        }
        Some(license) => {
            if words.next_if_eq(&"WITH").is_some() {
                words.next();
            }
            licenses.iter().any(|allowed| allowed == license)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_hold_with_some_licenses() {
        let licenses = ["MIT", "ISC"].map(str::to_owned);
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("", false),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("MIT AND ISC", true),
            ("(GPL-3.0 OR MIT) AND ISC", true),
            ("(GPL-3.0 OR MIT) AND X", false),
            ("GPL-3.0 AND X OR MIT", true),
            ("MIT WITH LLVM-exception", true),
            ("(MIT", false),
            ("MIT ISC", false),
        ] {
            assert_eq!(allows(expression, &licenses), expected, "{expression}");
        }
    }

    #[test]
    fn lists_are_read_by_section() {
        let config = "[a]\nallow = [\"x\"]\n[licenses]\n# \"no\"\nallow = [\n  \"MIT\", # why\n  \"ISC\",\n]\n[bans]\nskip = []\n";
        assert_eq!(list(config, "licenses", "allow"), ["MIT", "ISC"]);
        assert_eq!(list(config, "bans", "skip"), [""; 0]);
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let package = |name: &str, version: &str, license: &str, source: Option<&str>| json!({"name": name, "version": version, "license": license, "source": source});
        let packages = [
            package("own", "0.1.0", "MIT", None),
            package("a", "1.2.0", "MIT", Some("registry+x")),
            package("a", "1.20.0", "MIT", Some("registry+x")),
            package("b", "1.0.0", "MIT", Some("git+x")),
            package("c", "1.0.0", "GPL-3.0", Some("registry+x")),
        ];
        let licenses = ["MIT".to_owned()];
        let found = problems(&packages, &licenses, &["a@1.2".to_owned()]);
        assert_eq!(found, ["b 1.0.0: the source git+x", "c 1.0.0: the license \"GPL-3.0\""]);
        assert_eq!(problems(&packages[..3], &licenses, &[]), ["a: several versions, 1.2.0 and 1.20.0"]);
    }
}
