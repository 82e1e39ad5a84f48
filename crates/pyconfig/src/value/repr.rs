//! `repr` and `str`.

use super::number::float_repr;
use super::{Module, Value, View};
use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::limits;

/// The text of `str(value)`.
pub(crate) fn text(budget: &mut Budget, value: &Value) -> Result<String> {
    match value {
        Value::Str(text) => {
            budget.text(text.len())?;
            Ok(text.to_string())
        }
        _ => repr(budget, value),
    }
}

/// The text of `repr(value)`.
pub(crate) fn repr(budget: &mut Budget, value: &Value) -> Result<String> {
    let mut out = String::new();
    write(budget, value, &mut out, 0)?;
    Ok(out)
}

fn write(budget: &mut Budget, value: &Value, out: &mut String, depth: u32) -> Result<()> {
    if depth > limits::NESTING {
        return Err(Fault::too_deep());
    }
    let start = out.len();
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Big(value) => out.push_str(&integer_text(budget, value)?),
        Value::Float(value) => out.push_str(&float_repr(*value)),
        Value::Str(text) => out.push_str(&quoted(text)),
        Value::Ellipsis => out.push_str("Ellipsis"),
        Value::List(list) => {
            sequence(budget, "[", &list.0.borrow(), "]", out, depth)?;
        }
        Value::Tuple(tuple) => {
            let end = if tuple.0.len() == 1 { ",)" } else { ")" };
            sequence(budget, "(", &tuple.0, end, out, depth)?;
        }
        Value::Dict(dict) => {
            out.push('{');
            for (index, (key, entry)) in dict.snapshot().into_iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write(budget, key.value(), out, depth + 1)?;
                out.push_str(": ");
                write(budget, &entry.value, out, depth + 1)?;
            }
            out.push('}');
        }
        Value::Set(set) => {
            let items: Vec<Value> = set.keys.borrow().keys().map(|key| key.value().clone()).collect();
            match (items.is_empty(), set.is_frozen) {
                (true, false) => out.push_str("set()"),
                (true, true) => out.push_str("frozenset()"),
                (false, false) => sequence(budget, "{", &items, "}", out, depth)?,
                (false, true) => sequence(budget, "frozenset({", &items, "})", out, depth)?,
            }
        }
        Value::Range(range) if range.step == 1 => out.push_str(&format!("range({}, {})", range.start, range.stop)),
        Value::Range(range) => out.push_str(&format!("range({}, {}, {})", range.start, range.stop, range.step)),
        Value::View(dict, view) => {
            let items = super::iterate::view(dict, *view);
            let name = match view {
                View::Keys => "dict_keys([",
                View::Values => "dict_values([",
                View::Items => "dict_items([",
            };
            sequence(budget, name, &items, "])", out, depth)?;
        }
        Value::Lazy(lazy) => out.push_str(lazy.name()),
        Value::Builtin(builtin) if builtin.is_type() => out.push_str(&format!("<class '{}'>", builtin.name())),
        Value::Builtin(builtin) => out.push_str(&format!("<built-in function {}>", builtin.name())),
        Value::Module(Module::Exception) => {
            return Err(Fault::refused("the text of an exception, which differs between versions of Python"));
        }
        Value::Iterator(_)
        | Value::Slice(_)
        | Value::Function(_)
        | Value::Method(_)
        | Value::Partial(_)
        | Value::Module(_) => {
            return Err(Fault::refused(format!("the text of a {}, which contains its address", value.type_name())));
        }
    }
    budget.text(out.len() - start)
}

fn sequence(budget: &mut Budget, start: &str, items: &[Value], end: &str, out: &mut String, depth: u32) -> Result<()> {
    out.push_str(start);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(budget, item, out, depth + 1)?;
    }
    out.push_str(end);
    Ok(())
}

/// The digits of a large whole number.
pub(crate) fn integer_text(budget: &mut Budget, value: &num_bigint::BigInt) -> Result<String> {
    let words = value.bits() / 64 + 1;
    budget.step(words * words / 64)?;
    let text = value.to_string();
    if text.trim_start_matches('-').len() > limits::INTEGER_DIGITS {
        return Err(Fault::too_many_digits());
    }
    Ok(text)
}

/// A text in quotes, as Python's `repr` writes it.
pub(crate) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => out.push_str(&escape(c)),
        }
    }
    out.push(quote);
    out
}

/// The escape of a character: `\x07`, `\u2028` or `\U000e0001`.
pub(crate) fn escape(c: char) -> String {
    let code = u32::from(c);
    match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    }
}

/// Whether Python's `repr` leaves the character as it is. Categories Cc, Cf, Cs, Co, Cn, Zl, Zp and Zs are escaped, except
/// for the space; unassigned code points are those of the ranges that no text has.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    if c.is_control() || c.is_whitespace() {
        return false;
    }
    !matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' | '\u{feff}'
        | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}' | '\u{e0000}'..='\u{10ffff}')
}
