//! `{{ fileDirname }}`, `{{ $NAME:default }}` and `{{ _base_.key }}`, which are replaced in the text of a config.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};

use crate::builtins::paths::{split_extension, split_path};
use crate::error::{Fault, Result};

/// The text with everything replaced, and the keys of bases by the text that stands for them.
#[derive(Debug)]
pub(super) struct Substituted {
    pub text: String,
    pub base_keys: HashMap<String, String>,
}

static FILE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\{\{\s*(fileDirname|fileBasename|fileBasenameNoExtension|fileExtname)\s*\}\}").ok());
static ENVIRONMENT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"\{\{['"]?\s*\$(\w+)\s*:\s*(\S*?)\s*['"]?\}\}"#).ok());
static BASE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{\{\s*_base_\.([\w.]+)\s*\}\}").ok());

/// The longest text after a replacement.
const MOST: usize = 4 << 20;

/// Replaces what is written in double braces.
pub(super) fn substitute(text: &str, path: &Path) -> Result<Substituted> {
    if !text.contains("{{") {
        return Ok(Substituted { text: text.to_owned(), base_keys: HashMap::new() });
    }
    let text = file_names(text, path);
    let text = environment(text)?;
    let mut base_keys = HashMap::new();
    let Some(pattern) = &*BASE else { return Ok(Substituted { text, base_keys }) };
    let replaced = pattern.replace_all(&text, |found: &Captures<'_>| {
        let key = found.get(1).map_or("", |key| key.as_str());
        let placeholder = placeholder(key);
        base_keys.insert(placeholder.clone(), key.to_owned());
        format!("\"{placeholder}\"")
    });
    let text = replaced.into_owned();
    if text.len() > MOST {
        return Err(Fault::limit("the text is too long after `{{ }}` were replaced"));
    }
    Ok(Substituted { text, base_keys })
}

/// The text that stands for a key of a base until the file has been evaluated. It is as long as mmengine's.
fn placeholder(key: &str) -> String {
    format!("_{key}_c5ba5e")
}

fn file_names(text: &str, path: &Path) -> String {
    let Some(pattern) = &*FILE else { return text.to_owned() };
    let path = path.to_string_lossy();
    let (folder, name) = split_path(&path);
    let (stem, _) = split_extension(name);
    let (_, extension) = split_extension(&path);
    let replaced =
        pattern.replace_all(text, |found: &Captures<'_>| match found.get(1).map_or("", |key| key.as_str()) {
            "fileDirname" => folder.to_owned(),
            "fileBasename" => name.to_owned(),
            "fileBasenameNoExtension" => stem.to_owned(),
            _ => extension.to_owned(),
        });
    replaced.into_owned()
}

/// Environment variables. As in mmengine, the default is a pattern: one with special characters matches something else,
/// and then nothing is replaced.
fn environment(mut text: String) -> Result<String> {
    let Some(pattern) = &*ENVIRONMENT else { return Ok(text) };
    let mut found: Vec<(String, String)> = Vec::new();
    for captures in pattern.captures_iter(&text) {
        let group = |index| captures.get(index).map_or("", |group| group.as_str()).to_owned();
        found.push((group(1), group(2)));
    }
    if found.len() > 1_000 {
        return Err(Fault::limit("a config may use 1000 environment variables"));
    }
    for (name, default) in found {
        let pattern = format!(r#"\{{\{{['"]?\s*\${name}\s*:\s*{default}\s*['"]?\}}\}}"#);
        let value = match std::env::var(&name) {
            Ok(value) => value,
            Err(_) => default,
        };
        if value.is_empty() {
            return Err(Fault::key_error(format!(
                "`{name}` cannot be found in `os.environ`. Please set `{name}` in environment or give a default value."
            )));
        }
        let compiled = RegexBuilder::new(&pattern).size_limit(1 << 20).build();
        let compiled = compiled.map_err(|_| Fault::config(format!("the default of `{name}` is no valid pattern")))?;
        let value = unescape(&value)?;
        text = compiled.replace_all(&text, regex::NoExpand(&value)).into_owned();
        if text.len() > MOST {
            return Err(Fault::limit("the text is too long after `{{ }}` were replaced"));
        }
    }
    Ok(text)
}

/// Backslashes in a replacement, as Python's `re.sub` takes them.
fn unescape(value: &str) -> Result<String> {
    let mut out = String::new();
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match characters.next() {
            Some('\\') => out.push('\\'),
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(other) if !other.is_ascii_alphanumeric() => {
                out.push('\\');
                out.push(other);
            }
            _ => return Err(Fault::config(format!("bad escape in the environment variable's value {value:?}"))),
        }
    }
    Ok(out)
}
