//! Names in double braces that stand for parts of the file's own path. Reference: mmengine/config/config.py.

use std::borrow::Cow;
use std::path::Path;

/// The double braces that a text may have.
const MOST: usize = 10_000;

/// The longest template.
const LONGEST: usize = 200;

/// The text with `{{ fileDirname }}`, `{{ fileBasename }}`, `{{ fileBasenameNoExtension }}` and `{{ fileExtname }}` replaced.
///
/// # Errors
/// The reason, where a template asks for a value of a base or of the environment: these are not read.
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

/// The part of the path that the name stands for.
fn part(name: &str, file: &Path) -> Option<String> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    match name {
        "fileDirname" => Some(text(absolute.parent().map(Path::as_os_str))),
        "fileBasename" => Some(text(absolute.file_name())),
        "fileBasenameNoExtension" => Some(text(absolute.file_stem())),
        "fileExtname" => Some(absolute.extension().map_or_else(String::new, |end| format!(".{}", text(Some(end))))),
        _ => None,
    }
}
