//! Methods of texts.

use std::rc::Rc;

use super::lists::bound;
use super::translate;
use crate::error::{Fault, Result};
use crate::format::{Field, Step, parse_template};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::number::{decimal_digit, is_python_space};
use crate::value::{Value, compare, iterate, repr};

pub(super) const METHODS: [&str; 46] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

pub(super) fn call(interpreter: &mut Interpreter, text: &Rc<str>, name: &str, arguments: Arguments) -> Result<Value> {
    interpreter.budget.text(text.len())?;
    match name {
        "join" => join(interpreter, text, &arguments.one("join")?),
        "format" => Ok(Value::str(interpreter.template(text, &arguments, 0)?)),
        "format_map" => {
            let Value::Dict(mapping) = arguments.one("format_map")? else {
                return Err(Fault::type_error("format_map() argument must be a mapping"));
            };
            let mut keywords = Vec::new();
            for (key, entry) in mapping.snapshot() {
                if let Value::Str(name) = key.value() {
                    keywords.push((Rc::clone(name), entry.value, None));
                }
            }
            Ok(Value::str(interpreter.template(text, &Arguments { positional: Vec::new(), keywords }, 0)?))
        }
        "split" | "rsplit" => split(interpreter, text, name, arguments),
        "splitlines" => splitlines(interpreter, text, arguments),
        "partition" | "rpartition" => {
            let separator = text_argument(name, arguments)?;
            if separator.is_empty() {
                return Err(Fault::value_error("empty separator"));
            }
            let found = if name == "partition" { text.split_once(&*separator) } else { text.rsplit_once(&*separator) };
            let parts = match (found, name) {
                (Some((before, after)), _) => [before, &separator, after],
                (None, "partition") => [text, "", ""],
                (None, _) => ["", "", text],
            };
            Ok(Value::tuple(parts.into_iter().map(Value::str).collect()))
        }
        "replace" => replace(interpreter, text, arguments),
        "strip" | "lstrip" | "rstrip" => strip(text, name, arguments),
        "removeprefix" => {
            let prefix = text_argument(name, arguments)?;
            Ok(Value::str(text.strip_prefix(&*prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            let suffix = text_argument(name, arguments)?;
            Ok(Value::str(if suffix.is_empty() { text } else { text.strip_suffix(&*suffix).unwrap_or(text) }))
        }
        "startswith" | "endswith" => starts_or_ends(text, name, arguments),
        "find" | "rfind" | "index" | "rindex" | "count" => find(text, name, arguments),
        "center" | "ljust" | "rjust" => justify(interpreter, text, name, arguments),
        "zfill" => zfill(interpreter, text, &arguments.one("zfill")?),
        "expandtabs" => expandtabs(interpreter, text, arguments),
        "translate" => translate::translate(interpreter, text, &arguments.one(name)?),
        "maketrans" => translate::table(interpreter, arguments),
        _ => {
            arguments.none(name)?;
            plain(text, name)
        }
    }
}

/// The methods without arguments.
fn plain(text: &str, name: &str) -> Result<Value> {
    let all = |test: fn(char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(test));
    Ok(match name {
        "upper" => Value::str(text.to_uppercase()),
        "lower" | "casefold" => {
            Value::str(if name == "casefold" { text.to_lowercase().replace('ß', "ss") } else { text.to_lowercase() })
        }
        "capitalize" => {
            let mut characters = text.chars();
            let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::str(first + &characters.as_str().to_lowercase())
        }
        "title" => Value::str(title(text)),
        "swapcase" => {
            let mut out = String::new();
            for c in text.chars() {
                if c.is_uppercase() { out.extend(c.to_lowercase()) } else { out.extend(c.to_uppercase()) }
            }
            Value::str(out)
        }
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isascii" => Value::Bool(text.is_ascii()),
        "isdecimal" => all(|c| decimal_digit(c).is_some()),
        "isdigit" => all(|c| decimal_digit(c).is_some() || "²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉".contains(c)),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_python_space),
        "isprintable" => Value::Bool(text.chars().all(repr::is_printable)),
        "isidentifier" => Value::Bool(is_identifier(text)),
        "islower" => Value::Bool(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)),
        "isupper" => Value::Bool(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)),
        "istitle" => Value::Bool(is_title(text)),
        _ => return Err(Fault::attribute_error(format!("'str' object has no attribute '{name}'"))),
    })
}

/// Whether the text can be a name.
pub(crate) fn is_identifier(text: &str) -> bool {
    let mut characters = text.chars();
    let starts = characters.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    starts && characters.all(|c| c.is_alphanumeric() || c == '_')
}

fn title(text: &str) -> String {
    let (mut out, mut in_word) = (String::new(), false);
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        in_word = c.is_alphabetic();
    }
    out
}

fn is_title(text: &str) -> bool {
    let (mut in_word, mut has_word) = (false, false);
    for c in text.chars() {
        if c.is_uppercase() && in_word || c.is_lowercase() && !in_word {
            return false;
        }
        in_word = c.is_uppercase() || c.is_lowercase();
        has_word |= in_word;
    }
    has_word
}

/// The only argument, a text.
fn text_argument(name: &str, arguments: Arguments) -> Result<Rc<str>> {
    expect_text(name, &arguments.one(name)?)
}

fn expect_text(name: &str, value: &Value) -> Result<Rc<str>> {
    match value {
        Value::Str(text) => Ok(Rc::clone(text)),
        other => Err(Fault::type_error(format!("{name}() argument must be str, not {}", other.type_name()))),
    }
}

fn join(interpreter: &mut Interpreter, separator: &str, items: &Value) -> Result<Value> {
    let items = match iterate::items(&mut interpreter.budget, items) {
        Ok(items) => items,
        Err(fault) if fault.kind() == crate::error::ErrorKind::Limit => return Err(fault),
        Err(_) => return Err(Fault::type_error("can only join an iterable")),
    };
    let mut out = String::new();
    for (index, item) in items.iter().enumerate() {
        let Value::Str(text) = item else {
            let message = format!("sequence item {index}: expected str instance, {} found", item.type_name());
            return Err(Fault::type_error(message));
        };
        interpreter.budget.memory(text.len() + separator.len())?;
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(text);
    }
    interpreter.budget.text(out.len())?;
    Ok(Value::str(out))
}

fn split(interpreter: &mut Interpreter, text: &str, name: &str, arguments: Arguments) -> Result<Value> {
    let [separator, most] = arguments.bind(name, ["sep", "maxsplit"], 0)?;
    let most = match most {
        Some(most) => usize::try_from(super::numbers::index(&most)?).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let from_right = name == "rsplit";
    let mut parts: Vec<&str> = match &separator {
        None | Some(Value::None) => {
            interpreter.budget.values(text.len() / 2 + 1)?;
            split_spaces(text, most, from_right)
        }
        Some(separator) => {
            let separator = expect_text(name, separator)?;
            if separator.is_empty() {
                return Err(Fault::value_error("empty separator"));
            }
            interpreter.budget.values(text.len() / separator.len() + 1)?;
            let limit = most.saturating_add(1);
            if from_right {
                let mut parts: Vec<&str> = text.rsplitn(limit, &*separator).collect();
                parts.reverse();
                parts
            } else {
                text.splitn(limit, &*separator).collect()
            }
        }
    };
    interpreter.budget.values(parts.len())?;
    Ok(Value::list(parts.drain(..).map(Value::str).collect()))
}

fn split_spaces(text: &str, most: usize, from_right: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_matches(is_python_space);
    while !rest.is_empty() {
        if parts.len() == most {
            parts.push(rest);
            break;
        }
        if from_right {
            let start = rest.char_indices().rev().find(|(_, c)| is_python_space(*c));
            let start = start.map_or(0, |(at, c)| at + c.len_utf8());
            parts.push(&rest[start..]);
            rest = rest[..start].trim_end_matches(is_python_space);
        } else {
            let end = rest.find(is_python_space).unwrap_or(rest.len());
            parts.push(&rest[..end]);
            rest = rest[end..].trim_start_matches(is_python_space);
        }
    }
    // What is left over keeps the spaces on its other side.
    if parts.len() > most.min(parts.len())
        && let Some(last) = parts.last_mut()
    {
        *last = if from_right {
            text.trim_end_matches(is_python_space).get(..end_of(text, last)).unwrap_or(last)
        } else {
            text.trim_start_matches(is_python_space).get(start_of(text, last)..).unwrap_or(last)
        };
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// Where a part ends in the text without the spaces at its end.
fn end_of(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr() + part.len()
}

/// Where a part starts in the text without the spaces at its start.
fn start_of(text: &str, part: &str) -> usize {
    let trimmed = text.trim_start_matches(is_python_space);
    part.as_ptr().addr() - trimmed.as_ptr().addr()
}

fn splitlines(interpreter: &mut Interpreter, text: &str, arguments: Arguments) -> Result<Value> {
    let [keep] = arguments.bind("splitlines", ["keepends"], 0)?;
    let keep = keep.as_ref().is_some_and(compare::truth);
    let is_end = |c: char| {
        matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
    };
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(is_end) {
        let length =
            if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        let end = if keep { at + length } else { at };
        interpreter.budget.values(2)?;
        lines.push(Value::str(&rest[..end]));
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        lines.push(Value::str(rest));
    }
    Ok(Value::list(lines))
}

fn replace(interpreter: &mut Interpreter, text: &str, arguments: Arguments) -> Result<Value> {
    let [old, new, count] = arguments.bind("replace", ["old", "new", "count"], 2)?;
    let old = expect_text("replace", &old.unwrap_or(Value::None))?;
    let new = expect_text("replace", &new.unwrap_or(Value::None))?;
    let count = match count {
        Some(count) => usize::try_from(super::numbers::index(&count)?).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let found = if old.is_empty() { text.chars().count() + 1 } else { text.matches(&*old).count() };
    interpreter.budget.text(found.min(count).saturating_mul(new.len()).saturating_add(text.len()))?;
    Ok(Value::str(text.replacen(&*old, &new, count)))
}

fn strip(text: &str, name: &str, arguments: Arguments) -> Result<Value> {
    let [characters] = arguments.bind(name, ["chars"], 0)?;
    let set: Option<Vec<char>> = match characters {
        None | Some(Value::None) => None,
        Some(characters) => Some(expect_text(name, &characters)?.chars().collect()),
    };
    let strips = |c: char| match &set {
        Some(set) => set.contains(&c),
        None => is_python_space(c),
    };
    Ok(Value::str(match name {
        "strip" => text.trim_matches(strips),
        "lstrip" => text.trim_start_matches(strips),
        _ => text.trim_end_matches(strips),
    }))
}

fn starts_or_ends(text: &str, name: &str, arguments: Arguments) -> Result<Value> {
    let [parts, start, stop] = arguments.bind(name, ["prefix", "start", "end"], 1)?;
    let characters: Vec<char> = text.chars().collect();
    let is_beyond = starts_beyond(start.as_ref(), characters.len());
    let start = bound(start.as_ref(), characters.len(), 0)?;
    let stop = bound(stop.as_ref(), characters.len(), characters.len())?;
    let part: String = characters.get(start..stop).unwrap_or_default().iter().collect();
    let parts = parts.unwrap_or(Value::None);
    let parts = match &parts {
        Value::Tuple(parts) => parts.0.clone(),
        _ => vec![parts],
    };
    for candidate in &parts {
        let Value::Str(candidate) = candidate else {
            return Err(Fault::type_error(format!(
                "{name} first arg must be str or a tuple of str, not {}",
                candidate.type_name()
            )));
        };
        if start <= stop
            && !is_beyond
            && (if name == "startswith" { part.starts_with(&**candidate) } else { part.ends_with(&**candidate) })
        {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

/// Whether a search would start behind the end, where not even the empty text is found.
fn starts_beyond(start: Option<&Value>, length: usize) -> bool {
    matches!(start, Some(Value::Int(start)) if usize::try_from(*start).is_ok_and(|start| start > length))
}

fn find(text: &str, name: &str, arguments: Arguments) -> Result<Value> {
    let [part, start, stop] = arguments.bind(name, ["sub", "start", "end"], 1)?;
    let part = expect_text(name, &part.unwrap_or(Value::None))?;
    let characters: Vec<char> = text.chars().collect();
    let is_beyond = starts_beyond(start.as_ref(), characters.len());
    let start = bound(start.as_ref(), characters.len(), 0)?;
    let stop = bound(stop.as_ref(), characters.len(), characters.len())?;
    let window: String = characters.get(start..stop).unwrap_or_default().iter().collect();
    let fits = start <= stop && !is_beyond;
    if name == "count" {
        let count = match (fits, part.is_empty()) {
            (false, _) => 0,
            (true, true) => window.chars().count() + 1,
            (true, false) => window.matches(&*part).count(),
        };
        return Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)));
    }
    let found = if name.starts_with('r') { window.rfind(&*part) } else { window.find(&*part) };
    match found {
        Some(at) if fits => {
            let at = start + window[..at].chars().count();
            Ok(Value::Int(i64::try_from(at).unwrap_or(i64::MAX)))
        }
        _ if name.ends_with("index") => Err(Fault::value_error("substring not found")),
        _ => Ok(Value::Int(-1)),
    }
}

fn justify(interpreter: &mut Interpreter, text: &str, name: &str, arguments: Arguments) -> Result<Value> {
    let [width, fill] = arguments.bind(name, ["width", "fillchar"], 1)?;
    let width = usize::try_from(super::numbers::index(&width.unwrap_or(Value::None))?).unwrap_or(0);
    let fill = match fill {
        None => ' ',
        Some(Value::Str(fill)) if fill.chars().count() == 1 => fill.chars().next().unwrap_or(' '),
        Some(_) => return Err(Fault::type_error("The fill character must be exactly one character long")),
    };
    interpreter.budget.text(width.saturating_mul(fill.len_utf8()))?;
    let length = text.chars().count();
    let missing = width.saturating_sub(length);
    let left = match name {
        "ljust" => 0,
        "rjust" => missing,
        // Python's own rule for an odd remainder.
        _ => missing / 2 + (missing & width & 1),
    };
    let pad = |count: usize| -> String { std::iter::repeat_n(fill, count).collect() };
    Ok(Value::str(format!("{}{text}{}", pad(left), pad(missing - left))))
}

fn zfill(interpreter: &mut Interpreter, text: &str, width: &Value) -> Result<Value> {
    let width = usize::try_from(super::numbers::index(width)?).unwrap_or(0);
    interpreter.budget.text(width)?;
    let zeros = "0".repeat(width.saturating_sub(text.chars().count()));
    Ok(Value::str(match text.strip_prefix(['+', '-']) {
        Some(rest) => format!("{}{zeros}{rest}", &text[..1]),
        None => format!("{zeros}{text}"),
    }))
}

fn expandtabs(interpreter: &mut Interpreter, text: &str, arguments: Arguments) -> Result<Value> {
    let [size] = arguments.bind("expandtabs", ["tabsize"], 0)?;
    let size = match size {
        Some(size) => usize::try_from(super::numbers::index(&size)?).unwrap_or(0),
        None => 8,
    };
    let (mut out, mut column) = (String::new(), 0);
    for c in text.chars() {
        match c {
            '\t' if size > 0 => {
                let count = size - column % size;
                interpreter.budget.memory(count)?;
                out.extend(std::iter::repeat_n(' ', count));
                column += count;
            }
            '\t' => {}
            c => {
                out.push(c);
                column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    interpreter.budget.text(out.len())?;
    Ok(Value::str(out))
}

impl Interpreter {
    /// Fills a template of `str.format`.
    fn template(&mut self, template: &str, arguments: &Arguments, depth: u32) -> Result<String> {
        if depth > 1 {
            return Err(Fault::value_error("Max string recursion exceeded"));
        }
        let (mut out, mut next) = (String::new(), Numbering::Unknown);
        self.fill(template, arguments, depth, &mut next, &mut out)?;
        Ok(out)
    }

    fn fill(
        &mut self,
        template: &str,
        arguments: &Arguments,
        depth: u32,
        next: &mut Numbering,
        out: &mut String,
    ) -> Result<()> {
        if depth > 1 {
            return Err(Fault::value_error("Max string recursion exceeded"));
        }
        for field in parse_template(template)? {
            let (argument, steps, conversion, spec) = match field {
                Field::Literal(text) => {
                    out.push_str(&text);
                    continue;
                }
                Field::Value { argument, steps, conversion, spec } => (argument, steps, conversion, spec),
            };
            let mut value = template_argument(&argument, arguments, next)?;
            for step in steps {
                value = self.step(&value, step)?;
            }
            let mut filled = spec;
            if filled.contains(['{', '}']) {
                let spec = std::mem::take(&mut filled);
                self.fill(&spec, arguments, depth + 1, next, &mut filled)?;
            }
            out.push_str(&self.format_value(&value, conversion, &filled)?);
            self.budget.text(out.len())?;
        }
        Ok(())
    }

    fn step(&mut self, value: &Value, step: Step) -> Result<Value> {
        match step {
            Step::Attribute(name) => self.attribute(value, &name.into()),
            Step::Item(item) => {
                let index = match item.parse::<i64>() {
                    Ok(number) if item.chars().all(|c| c.is_ascii_digit()) => Value::Int(number),
                    _ => Value::str(item),
                };
                self.subscript(value, &index)
            }
        }
    }
}

/// How the fields of a template are numbered.
enum Numbering {
    Unknown,
    /// By themselves; the number of the next one.
    Automatic(usize),
    Manual,
}

impl Numbering {
    /// The number of a field without one.
    fn next(&mut self) -> Result<usize> {
        let number = match self {
            Self::Unknown => 0,
            Self::Automatic(next) => *next,
            Self::Manual => {
                let message = "cannot switch from manual field specification to automatic field numbering";
                return Err(Fault::value_error(message));
            }
        };
        *self = Self::Automatic(number + 1);
        Ok(number)
    }

    fn manual(&mut self) -> Result<()> {
        if let Self::Automatic(_) = self {
            let message = "cannot switch from automatic field numbering to manual field specification";
            return Err(Fault::value_error(message));
        }
        *self = Self::Manual;
        Ok(())
    }
}

fn template_argument(argument: &str, arguments: &Arguments, numbering: &mut Numbering) -> Result<Value> {
    let position = if argument.is_empty() {
        Some(numbering.next()?)
    } else if argument.chars().all(|c| c.is_ascii_digit()) {
        numbering.manual()?;
        argument.parse::<usize>().ok()
    } else {
        None
    };
    match position {
        Some(position) => match arguments.positional.get(position) {
            Some(value) => Ok(value.clone()),
            None => {
                Err(Fault::index_error(format!("Replacement index {position} out of range for positional args tuple")))
            }
        },
        None => match arguments.keywords.iter().find(|(name, ..)| **name == *argument) {
            Some((_, value, _)) => Ok(value.clone()),
            None => Err(Fault::key_error(repr::quoted(argument))),
        },
    }
}
