//! The Rust files that are measured, without their tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    /// The folder of its package: `layers`, `xtask`.
    pub(crate) package: String,
    /// The path from the root of the workspace.
    pub(crate) path: String,
    pub(crate) text: String,
    /// All tokens but those of `#[cfg(test)]` items.
    pub(crate) tokens: TokenStream,
    /// The lines of `#[cfg(test)]` items.
    pub(crate) test_lines: usize,
    /// Whether the package has a `main.rs`; other packages are libraries.
    pub(crate) is_program: bool,
}

/// Reads `src` of every package in `crates`, and of `xtask` and `xtask/measure`.
pub(crate) fn read_all(root: &Path) -> Result<Vec<Source>> {
    let mut packages: Vec<PathBuf> = Vec::new();
    let crates = root.join("crates");
    for entry in fs::read_dir(&crates).with_context(|| format!("cannot read {}", crates.display()))? {
        packages.push(entry?.path());
    }
    packages.extend([root.join("xtask"), root.join("xtask/measure")]);
    packages.sort();
    let mut sources = Vec::new();
    for package in packages {
        let mut files = Vec::new();
        collect_files(&package.join("src"), &mut files)?;
        let mut test_files = Vec::new();
        let mut found = Vec::new();
        for file in files {
            let (source, tests) = read(root, &package, &file)?;
            found.push((file, source));
            test_files.extend(tests);
        }
        found.retain(|(file, _)| !test_files.contains(file));
        sources.extend(found.into_iter().map(|(_, source)| source));
    }
    Ok(sources)
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        entries.push(entry?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect_files(&path, files)?;
        } else if path.extension() == Some("rs".as_ref()) {
            files.push(path);
        }
    }
    Ok(())
}

/// Reads a file, and lists the files of its `#[cfg(test)] mod name;`.
fn read(root: &Path, package: &Path, file: &Path) -> Result<(Source, Vec<PathBuf>)> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("{} is not Rust: {error}", file.display()))?;
    let mut tests = Tests::default();
    let tokens = tests.remove(tokens);
    let name = package.strip_prefix(root.join("crates")).or(package.strip_prefix(root)).unwrap_or(package);
    let source = Source {
        package: name.display().to_string(),
        path: file.strip_prefix(root).unwrap_or(file).display().to_string(),
        text,
        tokens,
        test_lines: tests.lines,
        is_program: package.join("src/main.rs").is_file(),
    };
    let mut test_files = Vec::new();
    for module in tests.modules {
        let parent = file.parent().unwrap_or(file);
        let folder = match file.file_stem() {
            Some(stem) if stem != "mod" && stem != "lib" && stem != "main" => parent.join(stem),
            _ => parent.to_owned(),
        };
        test_files.push(folder.join(format!("{module}.rs")));
    }
    Ok((source, test_files))
}

/// What was removed from a file.
#[derive(Debug, Default)]
struct Tests {
    lines: usize,
    /// Test modules in files of their own.
    modules: Vec<String>,
}

impl Tests {
    /// The tokens without `#[cfg(test)]` items.
    fn remove(&mut self, tokens: TokenStream) -> TokenStream {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut kept = Vec::new();
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            if is_test_attribute(&tokens, index) {
                let end = end_of_item(&tokens, index);
                self.note(tokens.get(index..=end).unwrap_or_default());
                index = end + 1;
                continue;
            }
            kept.push(match token {
                TokenTree::Group(group) => {
                    let mut inner = Group::new(group.delimiter(), self.remove(group.stream()));
                    // Spans of a new group are those of one token: its delimiters are measured by `Spanned` below.
                    inner.set_span(group.span());
                    TokenTree::Group(inner)
                }
                other => other.clone(),
            });
            index += 1;
        }
        kept.into_iter().collect()
    }

    fn note(&mut self, item: &[TokenTree]) {
        if let (Some(first), Some(last)) = (item.first(), item.last()) {
            self.lines += last.span().end().line + 1 - first.span().start().line;
        }
        for pair in item.windows(3) {
            if let [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(end)] = pair
                && keyword == "mod"
                && end.as_char() == ';'
            {
                self.modules.push(name.to_string());
            }
        }
    }
}

/// Whether `#[cfg(test)]`, or `cfg(all(test, ..))`, begins here.
fn is_test_attribute(tokens: &[TokenTree], index: usize) -> bool {
    let Some([TokenTree::Punct(hash), TokenTree::Group(attribute)]) = tokens.get(index..index + 2) else {
        return false;
    };
    if hash.as_char() != '#' || attribute.delimiter() != Delimiter::Bracket {
        return false;
    }
    let text = attribute.stream().to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The index of the last token of the item whose attributes begin at `start`.
fn end_of_item(tokens: &[TokenTree], start: usize) -> usize {
    let mut index = start;
    while matches!(tokens.get(index), Some(TokenTree::Punct(hash)) if hash.as_char() == '#') {
        index += 2;
    }
    let mut ends_at_semicolon = false;
    while let Some(token) = tokens.get(index) {
        match token {
            TokenTree::Ident(word) if ["use", "const", "static", "type"].iter().any(|keyword| word == keyword) => {
                ends_at_semicolon = true;
            }
            TokenTree::Ident(word) if word == "fn" => ends_at_semicolon = false,
            TokenTree::Punct(end) if end.as_char() == ';' => return index,
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace && !ends_at_semicolon => return index,
            _ => {}
        }
        index += 1;
    }
    tokens.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_removed_and_counted() {
        let text = "use a::b;\n#[cfg(test)]\nuse c::{d};\nfn f() {}\n#[cfg(all(test, unix))]\nmod tests {\n    fn g() {}\n}\n#[cfg(test)]\nmod other;\n";
        let mut tests = Tests::default();
        let kept = tests.remove(text.parse().unwrap()).to_string();
        assert!(kept.contains("fn f") && !kept.contains("fn g") && !kept.contains("c ::"), "{kept}");
        assert_eq!((tests.lines, tests.modules), (8, vec!["other".to_owned()]));
    }
}
