//! YAML, in block style, with texts in quotes wherever they could be something else.

use super::digits;
use crate::data::{Data, Entry};
use crate::error::{Fault, Result};
use crate::value::number::float_repr;

/// A document.
pub(super) fn document(data: &Data) -> Result<String> {
    let mut out = String::new();
    match data {
        Data::Dict(entries) if !entries.is_empty() => write_entries(entries, 0, &mut out)?,
        data => out.push_str(&format!("{}\n", scalar(data)?)),
    }
    Ok(out)
}

fn write_entries(entries: &[Entry], indent: usize, out: &mut String) -> Result<()> {
    for entry in entries {
        let key = match &entry.key {
            Data::Tuple(_) | Data::Set(_) => return Err(Fault::type_error("a tuple cannot be a key in YAML")),
            key => scalar(key)?,
        };
        out.push_str(&format!("{}{key}:", " ".repeat(indent)));
        write_value(&entry.value, indent, out)?;
    }
    Ok(())
}

/// A value after `key:` or `-`.
fn write_value(data: &Data, indent: usize, out: &mut String) -> Result<()> {
    match data {
        Data::Dict(entries) if !entries.is_empty() => {
            out.push('\n');
            write_entries(entries, indent + 2, out)
        }
        Data::List(items) | Data::Tuple(items) | Data::Set(items) if items.iter().any(is_nested) => {
            out.push('\n');
            for item in items {
                out.push_str(&format!("{}-", " ".repeat(indent + 2)));
                write_value(item, indent + 2, out)?;
            }
            Ok(())
        }
        data => {
            out.push_str(&format!(" {}\n", scalar(data)?));
            Ok(())
        }
    }
}

fn is_nested(data: &Data) -> bool {
    matches!(data, Data::Dict(entries) if !entries.is_empty())
        || matches!(data, Data::List(items) | Data::Tuple(items) | Data::Set(items) if items.iter().any(is_nested))
}

/// A value in one line.
fn scalar(data: &Data) -> Result<String> {
    Ok(match data {
        Data::None => "null".to_owned(),
        Data::Bool(value) => value.to_string(),
        Data::Int(value) => value.to_string(),
        Data::Big(value) => digits(value)?,
        Data::Float(value) if value.is_nan() => ".nan".to_owned(),
        Data::Float(value) if value.is_infinite() => if *value > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        Data::Float(value) => yaml_float(*value),
        Data::Str(text) => text_scalar(text),
        Data::List(items) | Data::Tuple(items) | Data::Set(items) => {
            let mut parts = Vec::with_capacity(items.len());
            for item in items {
                parts.push(scalar(item)?);
            }
            format!("[{}]", parts.join(", "))
        }
        Data::Dict(_) => "{}".to_owned(),
    })
}

/// A float that YAML 1.1 and 1.2 both take for one: `1.0e-05`, where Python writes `1e-05`.
fn yaml_float(value: f64) -> String {
    let text = float_repr(value);
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
        _ => text,
    }
}

fn text_scalar(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-'))
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "none" | "nan" | "inf"
        );
    if is_plain {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 || (0x7f..0xa0).contains(&u32::from(c)) => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)))
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
