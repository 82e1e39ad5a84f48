//! Checks on a YAML text before it is parsed: the parser's time grows with the square of the depth of brackets.

use crate::error::cut;

use super::limits::{MOST_BYTES, MOST_DEPTH, MOST_DIRECTIVES, MOST_VALUES};

/// Rejects a text that is too long, too deep, or has too many values.
///
/// A bracket that may be part of a quoted string, a comment or a block of text is read both ways, so that nothing
/// escapes the check. Only a text with a hundred brackets that are never closed is rejected needlessly.
pub(super) fn yaml(text: &str) -> Result<(), String> {
    size(text)?;
    if text.matches([',', '[', '{', '\n', '\r']).count() > MOST_VALUES {
        return Err(format!("it has more than {MOST_VALUES} lines and values"));
    }
    let mut directives = 0;
    for line in text.lines() {
        directives += usize::from(line.starts_with('%'));
    }
    if directives > MOST_DIRECTIVES {
        return Err(format!("it has more than {MOST_DIRECTIVES} directives (lines that begin with %)"));
    }
    let mut seen = vec![false; text.len()];
    // The length of a run is bounded, so that no text takes long.
    let mut steps = 20 * text.len() + 1000;
    for (start, _) in text.match_indices(['[', '{']) {
        if seen.get(start) != Some(&true) {
            Brackets { text, seen: &mut seen }.run(start, &mut steps)?;
        }
    }
    Ok(())
}

/// Rejects a text that is too long.
pub(super) fn size(text: &str) -> Result<(), String> {
    if text.len() > MOST_BYTES {
        return Err(format!("it has {} bytes, and a config may have {MOST_BYTES}", text.len()));
    }
    Ok(())
}

/// Reads lists and dicts in brackets, as YAML does.
struct Brackets<'a> {
    text: &'a str,
    /// The brackets that were read, by their position.
    seen: &'a mut [bool],
}

impl Brackets<'_> {
    /// Reads from the bracket at `start` to the one that closes it.
    fn run(&mut self, start: usize, steps: &mut usize) -> Result<(), String> {
        let mut depth = 0_usize;
        let mut characters = self.text.get(start..).unwrap_or_default().char_indices().peekable();
        // Whether a new value may begin, and a blank came last.
        let (mut fresh, mut blank) = (true, true);
        while let Some((at, character)) = characters.next() {
            let before = at;
            match character {
                '[' | '{' => {
                    depth += 1;
                    if depth > MOST_DEPTH {
                        return Err(format!("it is nested more than {MOST_DEPTH} levels deep"));
                    }
                    if let Some(seen) = self.seen.get_mut(start + at) {
                        *seen = true;
                    }
                    fresh = true;
                }
                ']' | '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Ok(());
                    }
                    fresh = true;
                }
                ',' => fresh = true,
                '"' | '\'' if fresh => skip_quoted(&mut characters, character),
                '#' if fresh || blank => while characters.next_if(|(_, next)| !is_break(*next)).is_some() {},
                '&' | '*' if fresh => {
                    while characters.next_if(|(_, next)| next.is_ascii_alphanumeric() || "_-".contains(*next)).is_some()
                    {
                    }
                }
                '!' if fresh => skip_tag(&mut characters),
                ':' | '?' if ends_key(fresh, characters.peek().map(|(_, next)| *next)) => fresh = true,
                _ if is_blank(character) => {}
                _ => fresh = false,
            }
            blank = is_blank(character);
            let after = match characters.peek() {
                Some((at, _)) => *at,
                None => self.text.len(),
            };
            *steps = steps.saturating_sub(after - before);
            if *steps == 0 {
                return Err("its brackets are not closed".to_owned());
            }
        }
        Ok(())
    }
}

type Characters<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// Reads to the end of a quoted string.
fn skip_quoted(characters: &mut Characters<'_>, quote: char) {
    while let Some((_, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            characters.next();
        } else if character == quote && (quote == '"' || characters.next_if(|(_, next)| *next == quote).is_none()) {
            return;
        }
    }
}

/// Reads to the end of a tag: `!name` or `!<name>`.
fn skip_tag(characters: &mut Characters<'_>) {
    let verbatim = characters.next_if(|(_, next)| *next == '<').is_some();
    let ends = if verbatim { ">" } else { "[]{}," };
    while characters.next_if(|(_, next)| !is_blank(*next) && !ends.contains(*next)).is_some() {}
    if verbatim {
        characters.next_if(|(_, next)| *next == '>');
    }
}

/// The tags of Python's YAML that only name a type of values.
const HARMLESS: [&str; 10] = ["bool", "dict", "float", "int", "list", "long", "none", "str", "tuple", "unicode"];

/// Refuses the tags with which Python's YAML runs code.
pub(super) fn tags(text: &str) -> Result<(), String> {
    for (at, mark) in text.match_indices("!!python/").chain(text.match_indices("!<tag:yaml.org,2002:python/")) {
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let before = text[start..at].trim_end();
        let is_comment = before.starts_with('#') || before.contains(" #");
        let is_value = before.is_empty() || before.ends_with([':', '-', ',', '[', '{', '?']);
        let rest = &text[at + mark.len()..];
        let tag = rest.split(|character| is_blank(character) || ">,]}".contains(character)).next().unwrap_or(rest);
        if is_value && !is_comment && !HARMLESS.contains(&tag) {
            let line = text[..start].matches('\n').count() + 1;
            return Err(format!("line {line}: the tag !!python/{} runs code in Python; remove it", cut(tag)));
        }
    }
    Ok(())
}

/// Whether a colon or a question mark is an indicator and not part of a word.
fn ends_key(fresh: bool, next: Option<char>) -> bool {
    match next {
        Some(next) => fresh || is_blank(next) || "[]{},?".contains(next),
        None => true,
    }
}

fn is_break(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t') || is_break(character)
}
