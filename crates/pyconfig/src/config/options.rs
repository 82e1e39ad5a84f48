//! Overrides `KEY=VALUE`; mmengine's `DictAction`.

use std::rc::Rc;

use crate::error::{Fault, Result};
use crate::value::key::Key;
use crate::value::number::{parse_float, parse_integer};
use crate::value::{Dict, Value};

/// Brackets in brackets.
const DEPTH: u32 = 50;

/// The options as nested dicts.
pub(super) fn parse(options: &[String]) -> Result<Rc<Dict>> {
    let nested = Rc::new(Dict::new(false));
    for option in options {
        let Some((path, text)) = option.split_once('=') else {
            return Err(Fault::value_error(format!("expected KEY=VALUE, found {option:?}")));
        };
        let value = value(text, 0)?;
        let mut dict = Rc::clone(&nested);
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            if keys.peek().is_none() {
                dict.insert(Key::from(key), value, None);
                break;
            }
            let inner = match dict.get_str(key) {
                Some(Value::Dict(inner)) => inner,
                Some(_) => {
                    return Err(Fault::type_error(format!(
                        "{path}: another option sets `{key}` to something else than a dict"
                    )));
                }
                None => {
                    let inner = Rc::new(Dict::new(true));
                    dict.insert(Key::from(key), Value::Dict(Rc::clone(&inner)), None);
                    inner
                }
            };
            dict = inner;
        }
    }
    Ok(nested)
}

/// A value, a list, or a tuple.
fn value(text: &str, depth: u32) -> Result<Value> {
    if depth > DEPTH {
        return Err(Fault::limit(format!("brackets may be nested {DEPTH} deep")));
    }
    let text = text.trim_matches(['\'', '"']).replace(' ', "");
    let is_tuple = text.starts_with('(') && text.ends_with(')') && text.len() > 1;
    let is_list = text.starts_with('[') && text.ends_with(']') && text.len() > 1;
    let mut rest = match (is_tuple || is_list, text.contains(',')) {
        (true, _) => &text[1..text.len() - 1],
        (false, true) => text.as_str(),
        (false, false) => return Ok(scalar(&text)),
    };
    let mut items = Vec::new();
    while !rest.is_empty() {
        let end = next_comma(rest)?;
        items.push(value(&rest[..end], depth + 1)?);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(if is_tuple { Value::tuple(items) } else { Value::list(items) })
}

/// The position of the next comma outside of brackets, or the length.
fn next_comma(text: &str) -> Result<usize> {
    let count = |c: char| text.matches(c).count();
    if count('(') != count(')') || count('[') != count(']') {
        let message = format!("Imbalanced brackets exist in {text}");
        return Err(Fault::new(crate::error::ErrorKind::Python("AssertionError"), message));
    }
    let (mut round, mut square) = (0_i64, 0_i64);
    for (at, c) in text.char_indices() {
        match c {
            ',' if round == 0 && square == 0 => return Ok(at),
            '(' => round += 1,
            ')' => round -= 1,
            '[' => square += 1,
            ']' => square -= 1,
            _ => {}
        }
    }
    Ok(text.len())
}

fn scalar(text: &str) -> Value {
    if let Some(number) = parse_integer(text, 10)
        && let Ok(value) = crate::value::number::integer(number)
    {
        return value;
    }
    if let Some(number) = parse_float(text) {
        return Value::Float(number);
    }
    match text.to_lowercase().as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if text == "None" => Value::None,
        _ => Value::str(text),
    }
}
