//! Templates in double braces for parts of the file's path. Reference: mmengine/config/config.py.

use std::borrow::Cow;
use std::path::Path;

/// The maximum number of double braces in a text.
const MOST: usize = 10_000;

/// The maximum length of a template.
const LONGEST: usize = 200;

/// Expands `{{ fileDirname }}`, `{{ fileBasename }}`, `{{ fileBasenameNoExtension }}` and `{{ fileExtname }}`.
///
/// # Errors
/// Returns an error if a template refers to a value of a base or to the environment, which is not supported.
pub(super) fn fill<'a>(text: &'a str, file: &Path) -> Result<Cow<'a, str>, String> {
    match text.match_indices("{{").take(MOST + 1).count() {
        0 => return Ok(text.into()),
        count if count > MOST => return Err(format!("it has more than {MOST} double braces")),
        _ => {}
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, braces) = rest.split_at(start);
        filled.push_str(before);
        let end = braces.as_bytes().windows(2).take(LONGEST).position(|pair| pair == b"}}").unwrap_or_default();
        let inner = braces.get(2..end).unwrap_or_default().trim();
        if inner.starts_with("_base_.") || inner.trim_start_matches(['"', '\'', ' ']).starts_with('$') {
            return Err(format!("mmengine's template {{{{ {inner} }}}} is not read; write the value in its place"));
        }
        match part(inner, file) {
            Some(value) => {
                filled.push_str(&value.replace('\\', "/"));
                rest = braces.get(end + 2..).unwrap_or_default();
            }
            None => {
                // A dict as the key of a dict, or text.
                filled.push('{');
                rest = braces.get(1..).unwrap_or_default();
            }
        }
    }
    filled.push_str(rest);
    Ok(filled.into())
}

/// The part of the path that a template names.
fn part(name: &str, file: &Path) -> Option<String> {
    let absolute = match std::path::absolute(file) {
        Ok(absolute) => absolute,
        Err(_) => file.to_owned(),
    };
    let part = match name {
        "fileDirname" => absolute.parent().map(Path::as_os_str),
        "fileBasename" => absolute.file_name(),
        "fileBasenameNoExtension" => absolute.file_stem(),
        "fileExtname" => match absolute.extension() {
            Some(extension) => return Some(format!(".{}", extension.to_string_lossy())),
            None => None,
        },
        _ => return None,
    };
    Some(part.unwrap_or_default().to_string_lossy().into_owned())
}
