//! The names of parts.

use std::path::{Path, PathBuf};

use super::PartError;
use crate::output::display;
use crate::shard::Shard;

/// The name of a part in a folder.
const DEFAULT: &str = "part-{shard:05}-of-{shards:05}.jsonl";
/// The most digits of a number in a name.
const MAX_WIDTH: usize = 20;

/// Where records are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    Stdout,
    File(PathBuf),
}

/// Where the records of a shard are written to: `-` is stdout; a folder, which exists or ends with a slash, gets a file with the
/// number of the shard; in the name of a file, `{shard}` and `{shards}` are numbers, and `{shard:05}` has five digits.
///
/// `is_auto` says that all processes were given the same name.
pub fn output(pattern: &Path, shard: Shard, is_auto: bool) -> Result<Output, PartError> {
    if pattern.as_os_str() == "-" {
        return Ok(Output::Stdout);
    }
    // Names that are no text have no placeholders.
    let Some(text) = pattern.to_str() else { return Ok(Output::File(pattern.to_owned())) };
    let pattern = if text.ends_with('/') || pattern.is_dir() { pattern.join(DEFAULT) } else { pattern.to_owned() };
    let text = pattern.to_string_lossy();
    let name = fill(&text, shard)?;
    if is_auto && shard.count > 1 && !text.contains("{shard}") && !text.contains("{shard:") {
        return Err(PartError::SameName { file: display(&pattern) });
    }
    Ok(Output::File(name.into()))
}

fn fill(pattern: &str, shard: Shard) -> Result<String, PartError> {
    let mut name = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        name.push_str(before);
        let Some((placeholder, behind)) = after.split_once('}') else { return Err(unknown(after)) };
        let (word, width) = placeholder.split_once(':').unwrap_or((placeholder, "0"));
        let number = match word {
            "shard" => shard.index,
            "shards" => shard.count,
            _ => return Err(unknown(placeholder)),
        };
        let Ok(width @ 0..=MAX_WIDTH) = width.parse::<usize>() else { return Err(unknown(placeholder)) };
        name.push_str(&format!("{number:0width$}"));
        rest = behind;
    }
    name.push_str(rest);
    Ok(name)
}

fn unknown(found: &str) -> PartError {
    PartError::Placeholder { found: found.to_owned() }
}

/// A path with more behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
