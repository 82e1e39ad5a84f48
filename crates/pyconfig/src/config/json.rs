//! JSON files, as Python's `json` reads them: whole numbers of any size, `NaN`, and the last of equal keys.

use std::rc::Rc;
use std::sync::LazyLock;

use num_bigint::BigInt;
use regex::Regex;

use super::{convert, file};
use crate::budget::Budget;
use crate::error::{ErrorKind, Fault, Result, Source};
use crate::limits;
use crate::output;
use crate::value::key::Key;
use crate::value::{Dict, Value, number};

/// A number, with its fraction and its exponent as groups.
static NUMBER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?").ok());

/// The value of a JSON file.
pub(super) fn read(budget: &mut Budget, source: &Rc<Source>) -> Result<Value> {
    let mut reader = Reader { text: &source.text, at: 0, budget, repeated: None };
    let value = reader.document();
    if let Some(at) = reader.repeated {
        file::warn_of_repeated_key(source, u32::try_from(at).unwrap_or(u32::MAX));
    }
    let at = reader.at;
    value.map_err(|fault| fault.at(source, u32::try_from(at).unwrap_or(u32::MAX)))
}

/// The value of a JSON text; `json.loads`.
pub(crate) fn loads(budget: &mut Budget, text: &str) -> Result<Value> {
    Reader { text, at: 0, budget, repeated: None }.document()
}

/// `json.dumps(value)`.
pub(crate) fn dumps(budget: &mut Budget, value: &Value) -> Result<Value> {
    let text = output::json::plain(&convert::value_to_data(budget, value)?)?;
    budget.text(text.len())?;
    Ok(Value::str(text))
}

struct Reader<'a> {
    text: &'a str,
    /// The byte that is read next.
    at: usize,
    budget: &'a mut Budget,
    /// The first key that stands twice in an object.
    repeated: Option<usize>,
}

fn syntax_error(message: impl Into<String>) -> Fault {
    Fault::new(ErrorKind::Python("JSONDecodeError"), message)
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Value> {
        if self.text.starts_with('\u{feff}') {
            return Err(syntax_error("Unexpected UTF-8 BOM: save the file without a byte order mark"));
        }
        let value = self.value(0)?;
        if self.peek().is_some() {
            return Err(syntax_error("Extra data"));
        }
        Ok(value)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The next character that is no white space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.rest().chars().next()
    }

    /// Reads a part of the text, if it comes next.
    fn accept(&mut self, part: &str) -> bool {
        let found = self.rest().starts_with(part);
        if found {
            self.at += part.len();
        }
        found
    }

    fn value(&mut self, depth: u32) -> Result<Value> {
        if depth > limits::NESTING {
            return Err(Fault::too_deep());
        }
        self.budget.values(1)?;
        match self.peek() {
            Some('{') => self.dict(depth),
            Some('[') => self.list(depth),
            Some('"') => Ok(Value::str(self.string()?)),
            _ => self.scalar(),
        }
    }

    fn list(&mut self, depth: u32) -> Result<Value> {
        let mut items = Vec::new();
        self.accept("[");
        while self.has_item("]", items.is_empty())? {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::list(items))
    }

    fn dict(&mut self, depth: u32) -> Result<Value> {
        self.budget.dict(0)?;
        let dict = Dict::new(false);
        self.accept("{");
        while self.has_item("}", dict.len() == 0)? {
            if self.peek() != Some('"') {
                return Err(syntax_error("Expecting property name enclosed in double quotes"));
            }
            let start = self.at;
            let key = Key::from(self.string()?.as_str());
            if dict.contains(&key) {
                self.repeated = self.repeated.or(Some(start));
            }
            self.peek();
            if !self.accept(":") {
                return Err(syntax_error("Expecting ':' delimiter"));
            }
            self.budget.dict(1)?;
            let value = self.value(depth + 1)?;
            dict.insert(key, value, None);
        }
        Ok(Value::Dict(Rc::new(dict)))
    }

    /// Whether another item follows, and not the end: it does after a comma, and where it is the first.
    fn has_item(&mut self, end: &str, is_first: bool) -> Result<bool> {
        self.peek();
        if self.accept(end) {
            return Ok(false);
        }
        if is_first || self.accept(",") {
            return Ok(true);
        }
        Err(syntax_error("Expecting ',' delimiter"))
    }

    fn string(&mut self) -> Result<String> {
        self.accept("\"");
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let length = rest.find(|c| matches!(c, '"' | '\\' | '\0'..='\x1f')).unwrap_or(rest.len());
            let (plain, rest) = rest.split_at(length);
            self.budget.text(plain.len())?;
            text.push_str(plain);
            self.at += length;
            match rest.chars().next() {
                Some('"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(_) => return Err(syntax_error("Invalid control character in a text")),
                None => return Err(syntax_error("Unterminated string")),
            }
        }
    }

    /// A backslash and what follows.
    fn escape(&mut self) -> Result<char> {
        let escape = self.rest().chars().nth(1);
        let character = match escape {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode(),
            Some(c) => return Err(syntax_error(format!("Invalid \\escape: {c:?}"))),
            None => return Err(syntax_error("Unterminated string")),
        };
        self.at += 2;
        Ok(character)
    }

    /// `\u` with four digits, or two of them for a character beyond 16 bits.
    fn unicode(&mut self) -> Result<char> {
        let first = self.code_unit(0)?;
        if let Some(character) = char::from_u32(first) {
            self.at += 6;
            return Ok(character);
        }
        let second = if self.rest().get(6..8) == Some("\\u") { self.code_unit(6)? } else { 0 };
        if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
            return Err(Fault::refused("half of a surrogate pair in a text"));
        }
        self.at += 12;
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(code).ok_or_else(|| syntax_error("Invalid \\uXXXX escape"))
    }

    /// The four digits of the `\uXXXX` that stands some bytes further on.
    fn code_unit(&self, offset: usize) -> Result<u32> {
        let digits = self.rest().get(offset + 2..offset + 6).unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(syntax_error("Invalid \\uXXXX escape"));
        }
        u32::from_str_radix(digits, 16).map_err(|_| syntax_error("Invalid \\uXXXX escape"))
    }

    fn scalar(&mut self) -> Result<Value> {
        let words = [
            ("null", Value::None),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        for (word, value) in words {
            if self.accept(word) {
                return Ok(value);
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<Value> {
        let found = NUMBER.as_ref().and_then(|pattern| pattern.captures(self.rest()));
        let Some(captures) = found else { return Err(syntax_error("Expecting value")) };
        let text = captures.get(0).map_or("", |found| found.as_str());
        let value = if captures.get(1).is_some() || captures.get(2).is_some() { float(text)? } else { integer(text)? };
        self.at += text.len();
        Ok(value)
    }
}

fn float(text: &str) -> Result<Value> {
    match text.parse() {
        Ok(value) => Ok(Value::Float(value)),
        Err(_) => Err(Fault::value_error(format!("could not convert string to float: '{text}'"))),
    }
}

fn integer(text: &str) -> Result<Value> {
    if text.trim_start_matches('-').len() > limits::INTEGER_DIGITS {
        return Err(Fault::too_many_digits());
    }
    match text.parse::<BigInt>() {
        Ok(value) => number::integer(value),
        Err(_) => Err(Fault::value_error(format!("invalid literal for int(): '{text}'"))),
    }
}
