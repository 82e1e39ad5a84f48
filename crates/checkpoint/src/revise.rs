//! [`ReviseKeys`]: renaming of tensors by regular expressions.

use regex::Regex;

use crate::{Error, error::ErrorKind};

/// Pairs of a regular expression and its replacement, applied in order to the name of each tensor.
///
/// Replacements refer to groups as in Python: `\1`, `\g<1>`, `\g<name>`. The default removes a leading `module.`, which
/// data-parallel training adds. Reference: `revise_keys` of mmengine's `load_checkpoint`.
#[derive(Debug, Clone)]
pub struct ReviseKeys(Vec<(Regex, String)>);

impl ReviseKeys {
    /// Uses these pairs instead of the default.
    ///
    /// # Errors
    /// Returns an error if a pattern is not a regular expression. Look-around and back-references in patterns are not
    /// supported.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut compiled = Vec::new();
        for (pattern, replacement) in pairs {
            match Regex::new(pattern) {
                Ok(regex) => compiled.push((regex, from_python(replacement))),
                Err(error) => {
                    let reason = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                    return Err(Error::new("", ErrorKind::Pattern { pattern: pattern.to_owned(), reason }));
                }
            }
        }
        Ok(Self(compiled))
    }

    /// The name after all replacements.
    #[must_use]
    pub fn apply(&self, name: &str) -> String {
        let mut name = name.to_owned();
        for (regex, replacement) in &self.0 {
            name = regex.replace_all(&name, replacement.as_str()).into_owned();
        }
        name
    }
}

impl Default for ReviseKeys {
    fn default() -> Self {
        match Regex::new(r"^module\.") {
            Ok(regex) => Self(vec![(regex, String::new())]),
            Err(_) => Self(Vec::new()),
        }
    }
}

/// Converts Python's `\1`, `\g<1>` and `\g<name>` to `${1}` and `${name}` of the `regex` crate. A dollar sign is kept.
fn from_python(replacement: &str) -> String {
    let mut converted = String::new();
    let mut rest = replacement;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '$' => converted.push_str("$$"),
            '\\' => match split_group(rest) {
                Some((group, after)) => {
                    converted.push_str(&format!("${{{group}}}"));
                    rest = after;
                }
                None => {
                    if let Some(after) = rest.strip_prefix('\\') {
                        converted.push('\\');
                        rest = after;
                    }
                }
            },
            _ => converted.push(character),
        }
    }
    converted
}

/// The number or name of a group after a backslash, and the rest of the text.
fn split_group(text: &str) -> Option<(&str, &str)> {
    if let Some(named) = text.strip_prefix("g<") {
        return named.split_once('>');
    }
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    if digits == 0 { None } else { Some(text.split_at(digits)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_use_pythons_syntax() {
        let revise = ReviseKeys::new([(r"^layer(\d)\.(?P<rest>.*)", r"stage\1.\g<rest>"), ("x", "$1")]).unwrap();
        assert_eq!(revise.apply("layer3.0.weight"), "stage3.0.weight");
        assert_eq!(revise.apply("x"), "$1");
    }

    #[test]
    fn the_default_removes_the_prefix_of_data_parallel_training() {
        assert_eq!(ReviseKeys::default().apply("module.conv1.weight"), "conv1.weight");
        assert_eq!(ReviseKeys::default().apply("conv.module.weight"), "conv.module.weight");
    }

    #[test]
    fn a_malformed_pattern_is_reported() {
        let error = ReviseKeys::new([("(", "")]).unwrap_err().to_string();
        assert!(error.contains("revise_keys: \"(\" is no regular expression"), "{error}");
    }
}
