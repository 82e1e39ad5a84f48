//! YAML files, by PyYAML's rules: YAML 1.1, in which `yes` is true and `1e3` a text.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

use num_bigint::BigInt;
use regex::Regex;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::file;
use crate::budget::Budget;
use crate::error::{ErrorKind, Fault, Result, Source};
use crate::limits;
use crate::value::key::Key;
use crate::value::{Dict, IndexMap, Set, Value, number};

/// What tags such as `!!str` stand for.
const CORE: &str = "tag:yaml.org,2002:";

/// The plain scalars that are no texts; `yaml.resolver.Resolver`.
static BOOL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$").ok()
});
static NULL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^(?:~|null|Null|NULL|)$").ok());
static INT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        "^(?:[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
    )
    .ok()
});
static FLOAT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
        r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ))
    .ok()
});
static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}",
        r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9]{2})?))?)$"
    ))
    .ok()
});

/// The values of a YAML file.
pub(super) fn read(budget: &mut Budget, source: &Rc<Source>) -> Result<Value> {
    for (at, character) in source.text.char_indices() {
        if !is_printable(character) {
            let message = format!("special characters are not allowed: U+{:04X}", u32::from(character));
            return Err(syntax_error(message).at(source, u32::try_from(at).unwrap_or(u32::MAX)));
        }
    }
    // A byte order mark is no part of the document, and neither are blanks after its last line.
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let mark = u32::try_from(source.text.len() - text.len()).unwrap_or(0);
    let trimmed = text.trim_end_matches(' ');
    let text = if trimmed.ends_with('\n') { trimmed } else { text };
    let parser = Parser::new_from_str(text);
    let open_end = if text.ends_with('\n') { None } else { Some(text.chars().count()) };
    let mut composer = Composer { parser, budget, anchors: HashMap::new(), at: 0, end: 0, open_end, repeated: None };
    let value = composer.document();
    let at = composer.at;
    if let Some(at) = composer.repeated {
        file::warn_of_repeated_key(source, offset(text, at).saturating_add(mark));
    }
    value.map_err(|fault| fault.at(source, offset(text, at).saturating_add(mark)))
}

struct Composer<'a> {
    parser: Parser<'a, StrInput<'a>>,
    budget: &'a mut Budget,
    /// The values of anchors, by the parser's numbers.
    anchors: HashMap<usize, Value>,
    /// The character at which the current event starts.
    at: usize,
    /// The character at which it ends.
    end: usize,
    /// The end of the text, if its last line has no line end.
    open_end: Option<usize>,
    /// The first key that stands twice in a mapping.
    repeated: Option<usize>,
}

/// Whether YAML allows a character.
fn is_printable(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

/// The byte at which a character starts.
fn offset(text: &str, character: usize) -> u32 {
    let byte = text.char_indices().nth(character).map_or(text.len(), |(at, _)| at);
    u32::try_from(byte).unwrap_or(u32::MAX)
}

fn syntax_error(message: impl Into<String>) -> Fault {
    Fault::new(ErrorKind::Python("YAMLError"), message)
}

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

impl<'a> Composer<'a> {
    fn event(&mut self) -> Result<Event<'a>> {
        self.budget.step(1)?;
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                (self.at, self.end) = (span.start.index(), span.end.index());
                Ok(event)
            }
            Some(Err(error)) => Err(self.scan_error(&error)),
            None => Err(syntax_error("the text ends early")),
        }
    }

    fn scan_error(&mut self, error: &ScanError) -> Fault {
        self.at = error.marker().index();
        if error.info() == "recursion limit exceeded" {
            return Fault::too_deep();
        }
        syntax_error(error.info())
    }

    fn document(&mut self) -> Result<Value> {
        let mut value = None;
        loop {
            match self.event()? {
                Event::DocumentStart(_) if value.is_some() => {
                    return Err(syntax_error("expected a single document in the stream"));
                }
                Event::DocumentStart(_) => {
                    let first = self.event()?;
                    value = Some(self.node(first, 0)?);
                }
                Event::StreamEnd => return Ok(value.unwrap_or(Value::None)),
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'a>, depth: u32) -> Result<Value> {
        if depth > limits::NESTING {
            return Err(Fault::too_deep());
        }
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                return match self.anchors.get(&anchor) {
                    Some(value) => Ok(value.clone()),
                    None => Err(syntax_error("an alias stands inside the value that it repeats")),
                };
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.budget.text(text.len())?;
                // Where the text ends without a line end, so does a block of text in it.
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let is_cut = is_block && self.open_end == Some(self.end);
                let text = if is_cut { text.strip_suffix('\n').unwrap_or(&text) } else { &text };
                (anchor, self.scalar(text, style, tag.as_deref())?)
            }
            Event::SequenceStart(anchor, tag) => (anchor, self.sequence(tag.as_deref(), depth)?),
            Event::MappingStart(anchor, tag) => (anchor, self.mapping(tag.as_deref(), depth)?),
            _ => return Err(syntax_error("expected a value")),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self, tag: Option<&Tag>, depth: u32) -> Result<Value> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                Event::SequenceEnd => break,
                event => {
                    self.budget.values(1)?;
                    items.push(self.node(event, depth + 1)?);
                }
            }
        }
        match core_tag(tag)?.as_deref() {
            None | Some("seq" | "python/list") => Ok(Value::list(items)),
            Some("python/tuple") => Ok(Value::tuple(items)),
            Some("omap" | "pairs") => self.pairs(&items),
            Some(other) => Err(unknown_tag(other)),
        }
    }

    /// `!!omap`: dicts of one entry become pairs.
    fn pairs(&mut self, items: &[Value]) -> Result<Value> {
        let mut pairs = Vec::with_capacity(items.len());
        for item in items {
            let Value::Dict(dict) = item else { return Err(syntax_error("expected a mapping of length 1")) };
            let [(key, entry)] =
                dict.snapshot().try_into().map_err(|_| syntax_error("expected a single mapping item"))?;
            self.budget.values(4)?;
            pairs.push(Value::tuple(vec![key.into_value(), entry.value]));
        }
        Ok(Value::list(pairs))
    }

    fn mapping(&mut self, tag: Option<&Tag>, depth: u32) -> Result<Value> {
        self.budget.dict(0)?;
        let (merged, own) = (Dict::new(false), Dict::new(false));
        loop {
            let event = self.event()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let is_value = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "=");
            let start = self.at;
            let key = if is_value { Value::str("=") } else { self.node(event, depth + 1)? };
            let event = self.event()?;
            let value = self.node(event, depth + 1)?;
            if is_merge {
                self.merge(&merged, &value)?;
                continue;
            }
            self.budget.dict(1)?;
            let key = Key::new(self.budget, key)?;
            if own.contains(&key) {
                self.repeated = self.repeated.or(Some(start));
            }
            own.insert(key, value, None);
        }
        for (key, entry) in own.snapshot() {
            merged.insert(key, entry.value, None);
        }
        match core_tag(tag)?.as_deref() {
            None | Some("map" | "python/dict") => Ok(Value::Dict(Rc::new(merged))),
            Some("set") => {
                let mut keys = IndexMap::default();
                for (key, _) in merged.snapshot() {
                    keys.insert(key, ());
                }
                Ok(Value::Set(Rc::new(Set { keys: keys.into(), is_frozen: false })))
            }
            Some(other) => Err(unknown_tag(other)),
        }
    }

    /// `<<: mapping`, or a list of mappings, of which the first takes precedence.
    fn merge(&mut self, merged: &Dict, value: &Value) -> Result<()> {
        let mappings = match value {
            Value::List(list) => list.0.borrow().clone(),
            other => vec![other.clone()],
        };
        for mapping in mappings {
            let Value::Dict(mapping) = mapping else {
                return Err(syntax_error("expected a mapping or list of mappings for merging"));
            };
            self.budget.dict(mapping.len())?;
            for (key, entry) in mapping.snapshot() {
                if !merged.contains(&key) {
                    merged.insert(key, entry.value, None);
                }
            }
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value> {
        let kind = match core_tag(tag)? {
            Some(kind) => kind,
            None if style != ScalarStyle::Plain => "str".to_owned(),
            None => plain_kind(text)?.to_owned(),
        };
        match kind.as_str() {
            "str" | "python/str" | "python/unicode" => Ok(Value::str(text)),
            "null" | "python/none" => Ok(Value::None),
            "bool" | "python/bool" => match text.to_lowercase().as_str() {
                "yes" | "true" | "on" => Ok(Value::Bool(true)),
                "no" | "false" | "off" => Ok(Value::Bool(false)),
                _ => Err(Fault::key_error(format!("'{text}'"))),
            },
            "int" | "python/int" | "python/long" => integer(text),
            "float" | "python/float" => float(text),
            other => Err(unknown_tag(other)),
        }
    }
}

/// The part of a tag after `!!`; `None` without a tag, or with the tag `!`.
fn core_tag(tag: Option<&Tag>) -> Result<Option<String>> {
    let Some(Tag { handle, suffix }) = tag else { return Ok(None) };
    let full = format!("{handle}{suffix}");
    if full == "!" {
        return Ok(None);
    }
    match full.strip_prefix(CORE) {
        Some(name) => Ok(Some(name.to_owned())),
        None => Err(syntax_error(format!("could not determine a constructor for the tag '{full}'"))),
    }
}

fn unknown_tag(name: &str) -> Fault {
    if name.starts_with("python/") {
        return Fault::refused(format!("the tag `!!{name}`, which runs code in Python"));
    }
    syntax_error(format!("the tag `!!{name}` does not fit, or its value is no data"))
}

/// The type of a plain scalar.
fn plain_kind(text: &str) -> Result<&'static str> {
    if matches(&NULL, text) {
        return Ok("null");
    }
    if matches(&BOOL, text) {
        return Ok("bool");
    }
    if matches(&INT, text) {
        return Ok("int");
    }
    if matches(&FLOAT, text) {
        return Ok("float");
    }
    if matches(&DATE, text) {
        return Err(syntax_error(format!("{text} is a date in YAML, and no data: write it in quotes")));
    }
    if text == "=" {
        return Err(syntax_error("could not determine a constructor for the tag 'tag:yaml.org,2002:value'"));
    }
    Ok("str")
}

/// An integer: decimal, `0b`, `0x`, octal with a leading 0, or sexagesimal.
fn integer(text: &str) -> Result<Value> {
    if text.len() > limits::INTEGER_DIGITS {
        return Err(Fault::too_many_digits());
    }
    let digits = text.replace('_', "");
    let (is_negative, digits) = sign(&digits);
    let value = if digits.contains(':') {
        let mut value = BigInt::from(0);
        for part in digits.split(':') {
            value = value * 60 + parse(part, 10)?;
        }
        value
    } else if let Some(binary) = digits.strip_prefix("0b") {
        parse(binary, 2)?
    } else if let Some(hexadecimal) = digits.strip_prefix("0x") {
        parse(hexadecimal, 16)?
    } else if digits.len() > 1 && digits.starts_with('0') {
        parse(digits, 8)?
    } else {
        parse(digits, 10)?
    };
    number::integer(if is_negative { -value } else { value })
}

fn parse(digits: &str, base: u32) -> Result<BigInt> {
    match BigInt::parse_bytes(digits.as_bytes(), base) {
        Some(value) if !digits.starts_with(['+', '-']) => Ok(value),
        _ => Err(Fault::value_error(format!("invalid literal for int() with base {base}: '{digits}'"))),
    }
}

/// A float, `.inf`, `.nan`, or sexagesimal.
fn float(text: &str) -> Result<Value> {
    let digits = text.replace('_', "").to_lowercase();
    let (is_negative, digits) = sign(&digits);
    let value = match digits {
        ".inf" => f64::INFINITY,
        ".nan" => return Ok(Value::Float(f64::NAN)),
        _ if digits.contains(':') => {
            let mut value = 0.0;
            let mut base = 1.0;
            for part in digits.rsplit(':') {
                value += parse_float(part)? * base;
                base *= 60.0;
            }
            value
        }
        _ => parse_float(digits)?,
    };
    Ok(Value::Float(if is_negative { -value } else { value }))
}

fn parse_float(text: &str) -> Result<f64> {
    match number::parse_float(text) {
        Some(value) => Ok(value),
        None => Err(Fault::value_error(format!("could not convert string to float: '{text}'"))),
    }
}

fn sign(digits: &str) -> (bool, &str) {
    match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    }
}
