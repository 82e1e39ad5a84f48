//! [`ReviseKeys`]: renaming of tensors by regular expressions.

use regex::Regex;

use crate::{Error, error::ErrorKind};

/// Pairs of a regular expression and its replacement, applied in order to the name of each tensor.
///
/// Replacements may refer to groups as in Python: `\1`, `\g<1>`, `\g<name>`. The default removes a leading `module.`, which
/// data-parallel training adds. Reference: `revise_keys` of mmengine's `load_checkpoint`.
#[derive(Debug, Clone)]
pub struct ReviseKeys(Vec<(Regex, String)>);

impl ReviseKeys {
    /// The given pairs, instead of the default.
    ///
    /// # Errors
    /// Where a pattern is no regular expression. Look-around and back-references in the pattern are not supported.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let compile = |(pattern, replacement): (&str, &str)| match Regex::new(pattern) {
            Ok(regex) => Ok((regex, from_python(replacement))),
            Err(error) => {
                let reason = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                Err(Error::new("", ErrorKind::Pattern { pattern: pattern.to_owned(), reason }))
            }
        };
        pairs.into_iter().map(compile).collect::<Result<_, _>>().map(Self)
    }

    /// The name after all replacements.
    #[must_use]
    pub fn apply(&self, name: &str) -> String {
        self.0.iter().fold(name.to_owned(), |name, (regex, replacement)| {
            regex.replace_all(&name, replacement.as_str()).into_owned()
        })
    }
}

impl Default for ReviseKeys {
    fn default() -> Self {
        Self(Regex::new(r"^module\.").map(|regex| vec![(regex, String::new())]).unwrap_or_default())
    }
}

/// Python's `\1`, `\g<1>` and `\g<name>` as the `regex` crate's `${1}` and `${name}`; a dollar sign stays one.
fn from_python(replacement: &str) -> String {
    let mut converted = String::new();
    let mut rest = replacement;
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or_default();
        let group = after.strip_prefix("g<").and_then(|named| named.split_once('>'));
        let digits = after.len() - after.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
        rest = match (character, group) {
            ('\\', Some((name, after))) => {
                converted.push_str(&format!("${{{name}}}"));
                after
            }
            ('\\', None) if digits > 0 => {
                let (number, after) = after.split_at(digits);
                converted.push_str(&format!("${{{number}}}"));
                after
            }
            ('\\', None) => after.strip_prefix('\\').inspect(|_| converted.push('\\')).unwrap_or(after),
            ('$', _) => {
                converted.push_str("$$");
                after
            }
            _ => {
                converted.push(character);
                after
            }
        };
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_written_as_in_python() {
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
    fn a_broken_pattern_is_named() {
        let error = ReviseKeys::new([("(", "")]).unwrap_err().to_string();
        assert!(error.contains("revise_keys: \"(\" is no regular expression"), "{error}");
    }
}
