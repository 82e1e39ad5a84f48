//! Python and YAML literals in overrides.

use crate::error::cut;
use crate::{Config, ConfigError, ConfigErrorKind, Dict, KeyPath};

/// The maximum length of a literal, in bytes.
const LONGEST: usize = 1 << 20;

/// The maximum nesting depth of lists and dicts.
const DEEPEST: usize = 100;

/// Reads one value: `1e-3`, `true`/`True`, `None`/`null`, `[1,2]`, `(1,2)`, `1,2`, `{type: GN}`, a quoted string, or
/// else a plain string.
///
/// # Errors
/// Returns an error if a bracket or a quote is not closed, text follows a complete value, or the text is longer than
/// 1 MiB.
pub fn parse_literal(text: &str) -> Result<Config, ConfigError> {
    let mut reader = Reader { text, rest: text.trim() };
    if text.len() > LONGEST {
        return Err(reader.error(&format!("a value on the command line may have {LONGEST} bytes")));
    }
    let first = reader.value(0, Stop::Comma)?;
    if reader.rest.is_empty() {
        return Ok(first);
    }
    let mut items = vec![first];
    while reader.take(',') {
        if !reader.rest.is_empty() {
            items.push(reader.value(0, Stop::Comma)?);
        }
    }
    if reader.rest.is_empty() { Ok(Config::List(items)) } else { Err(reader.error("something follows the value")) }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

/// The characters that end a plain, unquoted value.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    /// A comma, outside of all brackets.
    Comma,
    /// A comma or a closing bracket.
    Bracket,
    /// A colon, a comma or a closing bracket: for the keys of a dict.
    Key,
}

impl Stop {
    fn ends_at(self, character: char) -> bool {
        match self {
            Self::Comma => character == ',',
            Self::Bracket => matches!(character, ',' | ']' | ')' | '}'),
            Self::Key => matches!(character, ':' | ',' | ']' | ')' | '}'),
        }
    }
}

impl Reader<'_> {
    fn value(&mut self, depth: usize, stop: Stop) -> Result<Config, ConfigError> {
        if depth > DEEPEST {
            return Err(self.error("nested too deeply"));
        }
        self.rest = self.rest.trim_start();
        let value = match self.rest.chars().next() {
            Some('[') => self.list(depth, '[', ']'),
            Some('(') => self.list(depth, '(', ')'),
            Some('{') => self.dict(depth),
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Config::Str),
            _ => Ok(scalar(self.plain(stop))),
        };
        self.rest = self.rest.trim_start();
        value
    }

    fn list(&mut self, depth: usize, open: char, close: char) -> Result<Config, ConfigError> {
        self.take(open);
        let mut items = Vec::new();
        loop {
            if self.take(close) {
                let is_list = open == '[';
                return Ok(if is_list { Config::List(items) } else { Config::Tuple(items) });
            }
            items.push(self.value(depth + 1, Stop::Bracket)?);
            if !self.take(',') && !self.rest.starts_with(close) {
                return Err(self.error(&format!("{open:?} is not closed by {close:?}")));
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Config, ConfigError> {
        self.take('{');
        let mut dict = Dict::new();
        loop {
            if self.take('}') {
                return Ok(Config::Dict(dict));
            }
            let key = match self.rest.chars().next() {
                Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
                _ => self.plain(Stop::Key).to_owned(),
            };
            if !self.take(':') {
                return Err(self.error("a dict is written {key: value, key: value} and has to be closed by '}'"));
            }
            let value = self.value(depth + 1, Stop::Bracket)?;
            if dict.insert(key.clone(), value).is_some() {
                return Err(self.error(&format!("the key {key:?} appears twice")));
            }
            if !self.take(',') && !self.rest.starts_with('}') {
                return Err(self.error("'{' is not closed by '}'"));
            }
        }
    }

    /// A quoted string. `\n`, `\t` and `\r` are escapes; any other character after `\` stands for itself.
    fn quoted(&mut self, quote: char) -> Result<String, ConfigError> {
        let mut read = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((position, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, 'n')) => read.push('\n'),
                    Some((_, 't')) => read.push('\t'),
                    Some((_, 'r')) => read.push('\r'),
                    Some((_, other)) => read.push(other),
                    None => break,
                },
                _ if character == quote => {
                    self.rest = self.rest.get(position + 1..).unwrap_or_default();
                    return Ok(read);
                }
                _ => read.push(character),
            }
        }
        Err(self.error(&format!("the quote {quote} is not closed")))
    }

    fn plain(&mut self, stop: Stop) -> &str {
        let end = self.rest.find(|character| stop.ends_at(character)).unwrap_or(self.rest.len());
        let (plain, rest) = self.rest.split_at(end);
        self.rest = rest;
        plain.trim()
    }

    /// Consumes `character` and the space around it if it comes next.
    fn take(&mut self, character: char) -> bool {
        let rest = self.rest.trim_start();
        match rest.strip_prefix(character) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn error(&self, reason: &str) -> ConfigError {
        let kind = ConfigErrorKind::Syntax { text: cut(self.text).into_owned(), reason: reason.to_owned() };
        ConfigError::new(&KeyPath::root(), kind)
    }
}

fn scalar(text: &str) -> Config {
    match text {
        "true" | "True" | "TRUE" => Config::Bool(true),
        "false" | "False" | "FALSE" => Config::Bool(false),
        "null" | "Null" | "NULL" | "None" | "~" => Config::Null,
        _ => match number(text) {
            Some(number) => number,
            None => Config::from(text),
        },
    }
}

fn number(text: &str) -> Option<Config> {
    if let Ok(value) = text.parse() {
        return Some(Config::Int(value));
    }
    let yaml = text.trim_start_matches(['+', '-']);
    let value = match yaml {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY.copysign(if text.starts_with('-') { -1.0 } else { 1.0 }),
        ".nan" | ".NaN" | ".NAN" => f64::NAN,
        _ => text.parse().ok()?,
    };
    Some(Config::Float(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_python_and_yaml() {
        for (text, expected) in [
            ("1", "1"),
            ("-3", "-3"),
            ("+3", "3"),
            ("1e-3", "0.001"),
            ("2.", "2.0"),
            ("inf", ".inf"),
            ("-.inf", "-.inf"),
            ("true", "true"),
            ("False", "false"),
            ("None", "null"),
            ("null", "null"),
            ("[1,2]", "[1, 2]"),
            ("(1, 2)", "[1, 2]"),
            ("(1,)", "[1]"),
            ("[]", "[]"),
            ("1,2,3", "[1, 2, 3]"),
            ("[(1, 2), [a, 'b c']]", r#"[[1, 2], ["a", "b c"]]"#),
            ("'1'", r#""1""#),
            (r#""a, b""#, r#""a, b""#),
            ("torchvision://resnet50", r#""torchvision://resnet50""#),
            ("{type: GN, num_groups: 2}", r#"{type: "GN", num_groups: 2}"#),
            ("{'type': 'GN', 'x': None}", r#"{type: "GN", x: null}"#),
            ("", r#""""#),
            ("a]b", r#""a]b""#),
        ] {
            assert_eq!(parse_literal(text).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn broken_literals_are_errors() {
        for text in ["[1", "(1]", "{a: 1", "{a}", "'x", "[1] 2", "'a' b", "{a: 1, a: 2}", "{a: 1]"] {
            assert!(parse_literal(text).is_err(), "{text}");
        }
        assert!(parse_literal(&"[".repeat(100_000)).is_err());
        let error = parse_literal(&"x,".repeat(1_000_000)).unwrap_err().to_string();
        assert!(error.contains("may have 1048576 bytes") && error.len() < 200, "{error}");
    }
}
