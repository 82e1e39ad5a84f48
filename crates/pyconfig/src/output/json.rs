//! JSON.

use super::digits;
use crate::data::{Data, Entry};
use crate::error::{Fault, Result};
use crate::value::number::float_repr;

/// `json.dumps(data)`.
pub(crate) fn plain(data: &Data) -> Result<String> {
    let mut out = String::new();
    write(data, false, &mut out)?;
    Ok(out)
}

/// JSON that keeps Python's types.
pub(super) fn typed(data: &Data) -> Result<String> {
    let mut out = String::new();
    write(data, true, &mut out)?;
    Ok(out)
}

fn write(data: &Data, typed: bool, out: &mut String) -> Result<()> {
    match data {
        Data::None => out.push_str("null"),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::Int(value) => out.push_str(&value.to_string()),
        Data::Big(value) => out.push_str(&digits(value)?),
        Data::Float(value) => write_float(*value, typed, out),
        Data::Str(text) => write_text(text, out),
        Data::List(items) => write_items(items, typed, out)?,
        Data::Tuple(items) if typed => {
            out.push_str("{\"__tuple__\": ");
            write_items(items, typed, out)?;
            out.push('}');
        }
        Data::Tuple(items) => write_items(items, typed, out)?,
        Data::Set(items) if typed => {
            // By their text, since a set has no order.
            let mut texts = Vec::with_capacity(items.len());
            for item in items {
                let mut text = String::new();
                write(item, typed, &mut text)?;
                texts.push((super::python::inline(item)?, text));
            }
            texts.sort();
            let texts: Vec<String> = texts.into_iter().map(|(_, text)| text).collect();
            out.push_str(&format!("{{\"__set__\": [{}]}}", texts.join(", ")));
        }
        Data::Set(_) => return Err(Fault::type_error("Object of type set is not JSON serializable")),
        Data::Dict(entries) => {
            if typed && entries.iter().any(|entry| !matches!(entry.key, Data::Str(_))) {
                return write_pairs(entries, out);
            }
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_key(&entry.key, out)?;
                out.push_str(": ");
                write(&entry.value, typed, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_float(value: f64, typed: bool, out: &mut String) {
    if value.is_finite() {
        out.push_str(&float_repr(value));
    } else if typed {
        out.push_str(&format!("{{\"__float__\": \"{}\"}}", float_repr(value)));
    } else if value.is_nan() {
        out.push_str("NaN");
    } else {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
}

fn write_items(items: &[Data], typed: bool, out: &mut String) -> Result<()> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(item, typed, out)?;
    }
    out.push(']');
    Ok(())
}

fn write_pairs(entries: &[Entry], out: &mut String) -> Result<()> {
    out.push_str("{\"__dict__\": [");
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        out.push('[');
        write(&entry.key, true, out)?;
        out.push_str(", ");
        write(&entry.value, true, out)?;
        out.push(']');
    }
    out.push_str("]}");
    Ok(())
}

/// A key as a text.
fn write_key(key: &Data, out: &mut String) -> Result<()> {
    match key {
        Data::Str(text) => write_text(text, out),
        Data::None => out.push_str("\"null\""),
        Data::Bool(value) => out.push_str(if *value { "\"true\"" } else { "\"false\"" }),
        Data::Int(_) | Data::Big(_) | Data::Float(_) => {
            out.push('"');
            write(key, false, out)?;
            out.push('"');
        }
        _ => return Err(Fault::type_error("keys must be str, int, float, bool or None")),
    }
    Ok(())
}

/// A text in ASCII, as Python's default.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}
