//! The line of the generator that made a case.

use std::path::{Path, PathBuf};

use regex::Regex;

/// Returns `tests/parity/groups/GROUP.py:LINE`, the place that names the case, or only the file if no line does; `None`
/// if the case's folder is not called after a group.
///
/// A case chosen by hand is found by the text of its name, which may be an f-string; a random one was made by `draw`.
#[must_use]
pub fn origin(case: &Path) -> Option<String> {
    let name = case.file_stem()?.to_str()?;
    let group = case.parent()?.file_name()?.to_str()?;
    let script = PathBuf::from("tests/parity/groups").join(group).with_extension("py");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let text = std::fs::read_to_string(workspace.join(&script)).ok()?;
    Some(match line_of(&text, name) {
        Some(line) => format!("{}:{line}", script.display()),
        None => script.display().to_string(),
    })
}

/// The number of the line whose string names the case; of several, the one with the most literal characters.
fn line_of(script: &str, name: &str) -> Option<usize> {
    if name.starts_with("sweep_") {
        return script.lines().position(|line| line.starts_with("def draw(")).map(|index| index + 1);
    }
    let string = Regex::new(r#"(f?)"([^"]+)""#).ok()?;
    let mut best = None;
    for (index, line) in script.lines().enumerate() {
        for found in string.captures_iter(line) {
            let literal = literal_characters(&found[2], &found[1] == "f", name);
            if literal > best.map_or(0, |(characters, _)| characters) {
                best = Some((literal, index + 1));
            }
        }
    }
    best.map(|(_, line)| line)
}

/// How many characters of a Python string stand literally in `name`, or 0 if the string cannot be that name.
fn literal_characters(string: &str, is_formatted: bool, name: &str) -> usize {
    if !is_formatted {
        return if string == name { name.len() } else { 0 };
    }
    let mut pattern = String::from("^");
    let mut literal = 0;
    let mut rest = string;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((_, after)) = after.split_once('}') else { return 0 };
        pattern.push_str(&regex::escape(before));
        pattern.push_str(".+");
        literal += before.len();
        rest = after;
    }
    pattern.push_str(&regex::escape(rest));
    pattern.push('$');
    literal += rest.len();
    match Regex::new(&pattern) {
        Ok(pattern) if pattern.is_match(name) => literal,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::line_of;

    const SCRIPT: &str = "\
def fixed():
    yield make(\"conv1d\", cfg=1)
    for mode in MODES:
        yield make(f\"padding_{mode}\", cfg=2)
        yield make(f\"{mode}\", cfg=3)

def draw(rng):
    pass
";

    #[test]
    fn a_case_is_found_by_its_name() {
        assert_eq!(line_of(SCRIPT, "conv1d"), Some(2));
        assert_eq!(line_of(SCRIPT, "padding_same"), Some(4));
        assert_eq!(line_of(SCRIPT, "sweep_0_0012"), Some(7));
        assert_eq!(line_of(SCRIPT, "conv2d"), None);
    }
}
