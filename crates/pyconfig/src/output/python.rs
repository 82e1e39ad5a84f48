//! Python: a config that reads back as the same values.

use super::digits;
use crate::builtins::is_identifier;
use crate::data::{Data, Entry};
use crate::error::{Fault, Result};
use crate::value::number::float_repr;
use crate::value::repr::quoted;

/// The longest line, if a value can be broken.
const WIDTH: usize = 79;

/// A file: one assignment for each key.
pub(super) fn file(data: &Data) -> Result<String> {
    let Data::Dict(entries) = data else { return Err(Fault::type_error("a config is a dict")) };
    let mut out = String::new();
    for entry in entries {
        let Data::Str(name) = &entry.key else {
            return Err(Fault::type_error("a key at the top level is no text"));
        };
        if !is_identifier(name) || is_keyword(name) {
            return Err(Fault::value_error(format!("the key {name:?} cannot be a variable of a Python config")));
        }
        out.push_str(&format!("{name} = {}\n", block(&entry.value, name.len() + 3, 0)?));
    }
    Ok(out)
}

/// A value that starts at a column, in lines that are indented by at least `indent`.
fn block(data: &Data, column: usize, indent: usize) -> Result<String> {
    let line = inline(data)?;
    if column + line.chars().count() < WIDTH || !is_nested(data) {
        return Ok(line);
    }
    let inner = indent + 4;
    let mut lines = Vec::new();
    let (start, end) = match data {
        Data::List(items) => {
            for item in items {
                lines.push(block(item, inner, inner)?);
            }
            ("[", "]")
        }
        Data::Tuple(items) => {
            for item in items {
                lines.push(block(item, inner, inner)?);
            }
            ("(", ")")
        }
        Data::Dict(entries) if has_names(entries) => {
            for entry in entries {
                let Data::Str(name) = &entry.key else { continue };
                lines.push(format!("{name}={}", block(&entry.value, inner + name.len() + 1, inner)?));
            }
            ("dict(", ")")
        }
        Data::Dict(entries) => {
            for entry in entries {
                let key = inline(&entry.key)?;
                let column = inner + key.chars().count() + 2;
                lines.push(format!("{key}: {}", block(&entry.value, column, inner)?));
            }
            ("{", "}")
        }
        _ => return Ok(line),
    };
    let separator = format!(",\n{}", " ".repeat(inner));
    let last = if start == "(" && lines.len() == 1 { "," } else { "" };
    Ok(format!("{start}\n{}{}{last}{end}", " ".repeat(inner), lines.join(&separator)))
}

fn is_nested(data: &Data) -> bool {
    match data {
        Data::List(items) | Data::Tuple(items) => !items.is_empty(),
        Data::Dict(entries) => !entries.is_empty(),
        _ => false,
    }
}

/// A value in one line.
pub(super) fn inline(data: &Data) -> Result<String> {
    Ok(match data {
        Data::None => "None".to_owned(),
        Data::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Data::Int(value) => value.to_string(),
        Data::Big(value) => digits(value)?,
        Data::Float(value) if value.is_finite() => float_repr(*value),
        Data::Float(value) => format!("float('{}')", float_repr(*value)),
        Data::Str(text) => quoted(text),
        Data::List(items) => format!("[{}]", joined(items)?),
        Data::Tuple(items) if items.len() == 1 => format!("({},)", joined(items)?),
        Data::Tuple(items) => format!("({})", joined(items)?),
        Data::Set(items) if items.is_empty() => "set()".to_owned(),
        Data::Set(items) => format!("{{{}}}", joined(items)?),
        Data::Dict(entries) if has_names(entries) => {
            let mut parts = Vec::with_capacity(entries.len());
            for entry in entries {
                let Data::Str(name) = &entry.key else { continue };
                parts.push(format!("{name}={}", inline(&entry.value)?));
            }
            format!("dict({})", parts.join(", "))
        }
        Data::Dict(entries) => {
            let mut parts = Vec::with_capacity(entries.len());
            for entry in entries {
                parts.push(format!("{}: {}", inline(&entry.key)?, inline(&entry.value)?));
            }
            format!("{{{}}}", parts.join(", "))
        }
    })
}

fn joined(items: &[Data]) -> Result<String> {
    let mut parts = Vec::with_capacity(items.len());
    for item in items {
        parts.push(inline(item)?);
    }
    Ok(parts.join(", "))
}

/// Whether all keys can be keyword arguments of `dict(...)`.
fn has_names(entries: &[Entry]) -> bool {
    let mut names = entries.iter().map(|entry| &entry.key);
    names.all(|key| matches!(key, Data::Str(name) if is_identifier(name) && !is_keyword(name)))
}

fn is_keyword(name: &str) -> bool {
    const KEYWORDS: [&str; 35] = [
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
        "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
        "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
    ];
    KEYWORDS.contains(&name)
}
