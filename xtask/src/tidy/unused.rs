//! Dependencies that a package declares and never names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Dependencies that no source names, with their reason.
const EXCEPTIONS: [(&str, &str, &str); 10] = [
    ("crates/checkpoint", "flate2", "its tests include crates/pth/tests/pth/forge.rs"),
    ("crates/distributed", "torch-sys", "build.rs reads the variable DEP_TCH_LIBTORCH_LIB that it sets"),
    ("crates/fuse", "torch-sys", "build.rs reads the variable DEP_TCH_LIBTORCH_LIB that it sets"),
    ("crates/layers", "torch-sys", "build.rs reads the variable DEP_TCH_LIBTORCH_LIB that it sets"),
    ("crates/training", "torch-sys", "build.rs reads the variable DEP_TCH_LIBTORCH_LIB that it sets"),
    ("tests", "dejavu", "the example train_digits"),
    ("tests", "indicatif", "the example train_digits"),
    ("tests", "mmcv-distributed", "the example train_digits"),
    ("tests", "mmcv-training", "the example train_digits"),
    ("tests", "plotters", "the example train_digits"),
];

/// Reports unused dependencies of all packages, and entries of the workspace's table that no package takes.
pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let mut packages = vec![root.join("tests"), root.join("xtask"), root.join("xtask/measure")];
    for folder in fs::read_dir(root.join("crates"))? {
        packages.push(folder?.path());
    }
    packages.sort();
    let mut problems = Vec::new();
    let mut declared = BTreeSet::new();
    for package in packages {
        let file = package.join("Cargo.toml");
        if !file.is_file() {
            continue;
        }
        let manifest = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let sources = sources(&package, root)?;
        let package = package.strip_prefix(root).unwrap_or(&package).display().to_string();
        for name in dependencies(&manifest) {
            if !is_exception(&package, &name) && !names(&sources, &name.replace('-', "_")) {
                problems.push(format!("{package} depends on {name}, which no source of the package names"));
            }
            declared.insert(name);
        }
    }
    let workspace = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    for name in dependencies(&workspace) {
        if !declared.contains(&name) {
            problems.push(format!("Cargo.toml lists {name}, which no package depends on"));
        }
    }
    Ok(problems)
}

/// The names in the sections `dependencies`, `dev-dependencies`, `build-dependencies` and `workspace.dependencies`.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_inside = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            is_inside = section.ends_with("dependencies");
            if let Some((_, name)) = section.split_once("dependencies.") {
                names.push(name.to_owned());
            }
        } else if is_inside && line.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).unwrap_or(line.len());
            names.extend(line.get(..end).map(str::to_owned));
        }
    }
    names
}

fn is_exception(package: &str, dependency: &str) -> bool {
    EXCEPTIONS.iter().any(|(at, name, _)| *at == package && *name == dependency)
}

/// The text of all Rust files and read-mes of a package, without packages inside of it.
fn sources(package: &Path, root: &Path) -> Result<String> {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> = vec![package.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            let is_link = path.is_symlink();
            if path.is_dir() && !is_link && !path.join("Cargo.toml").is_file() && path != root.join("target") {
                folders.push(path);
            } else if path.extension() == Some("rs".as_ref()) || path.extension() == Some("md".as_ref()) {
                text += &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            }
        }
    }
    Ok(text)
}

/// Whether the text has the name as a word.
fn names(text: &str, name: &str) -> bool {
    for (start, _) in text.match_indices(name) {
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        let after = text.get(start + name.len()..).and_then(|after| after.chars().next());
        if !is_word(before) && !is_word(after) {
            return true;
        }
    }
    false
}

fn is_word(character: Option<char>) -> bool {
    match character {
        Some(character) => character.is_alphanumeric() || character == '_',
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_from_all_their_sections() {
        let manifest = "[package]\nname = \"a\"\n[dependencies]\nb-c.workspace = true\n# d = \"1\"\n[features]\ne = []\n\
                        [target.'cfg(unix)'.dependencies]\nf = { version = \"1\" }\n[dev-dependencies.g]\nversion = \"1\"\n";
        assert_eq!(dependencies(manifest), ["b-c", "f", "g"]);
    }

    #[test]
    fn a_name_is_a_whole_word() {
        assert!(names("use log::warn;", "log"));
        assert!(!names("use catalog; let log_in = logs;", "log"));
    }
}
