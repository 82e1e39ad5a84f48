//! The functions of `os.path` that work on text alone, as on Linux.

use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::Value;

pub(super) const FUNCTIONS: [&str; 10] = [
    "os.path.basename",
    "os.path.commonprefix",
    "os.path.dirname",
    "os.path.isabs",
    "os.path.join",
    "os.path.normpath",
    "os.path.relpath",
    "os.path.split",
    "os.path.splitext",
    "os.fspath",
];

/// A constant of `os` or `os.path`.
pub(super) fn constant(name: &str) -> Option<&'static str> {
    match name {
        "sep" => Some("/"),
        "pardir" => Some(".."),
        "curdir" | "extsep" => Some("."),
        "linesep" => Some("\n"),
        _ => None,
    }
}

/// Calls a function of `os.path`.
pub(super) fn call(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    let length: usize = arguments.positional.iter().map(text_length).sum();
    interpreter.budget.text(length.saturating_mul(2))?;
    path(name, arguments)
}

fn text_length(value: &Value) -> usize {
    match value {
        Value::Str(text) => text.len() + 1,
        _ => 0,
    }
}

fn path(name: &str, arguments: Arguments) -> Result<Value> {
    if name == "os.path.commonprefix" {
        return common_prefix(&arguments.one(name)?);
    }
    let mut texts = Vec::new();
    for value in &arguments.positional {
        match value {
            Value::Str(text) => texts.push(&**text),
            other => {
                let message = format!("expected str, bytes or os.PathLike object, not {}", other.type_name());
                return Err(Fault::type_error(message));
            }
        }
    }
    let Some((first, rest)) = texts.split_first() else {
        return Err(Fault::type_error(format!("{name}() missing 1 required positional argument")));
    };
    if name == "os.path.join" {
        let mut joined = (*first).to_owned();
        for part in rest {
            if part.starts_with('/') {
                joined.clear();
            } else if !joined.is_empty() && !joined.ends_with('/') {
                joined.push('/');
            }
            joined.push_str(part);
        }
        return Ok(Value::str(joined));
    }
    if name == "os.path.relpath" {
        return relative(first, rest);
    }
    if !rest.is_empty() {
        return Err(Fault::type_error(format!("{name}() takes 1 positional argument but {} were given", texts.len())));
    }
    let (head, tail) = split_path(first);
    Ok(match name {
        "os.path.basename" => Value::str(tail),
        "os.path.dirname" => Value::str(head),
        "os.path.split" => Value::tuple(vec![Value::str(head), Value::str(tail)]),
        "os.path.splitext" => {
            let (root, extension) = split_extension(first);
            Value::tuple(vec![Value::str(root), Value::str(extension)])
        }
        "os.path.isabs" => Value::Bool(first.starts_with('/')),
        "os.path.normpath" => Value::str(normal_path(first)),
        _ => Value::str(*first),
    })
}

/// `relpath(path, start)`, where it does not depend on the current folder.
fn relative(path: &str, rest: &[&str]) -> Result<Value> {
    let start = rest.first().copied().unwrap_or(".");
    if path.is_empty() {
        return Err(Fault::value_error("no path specified"));
    }
    let (path, start) = (normal_path(path), normal_path(start));
    if path.starts_with('/') != start.starts_with('/') || path.starts_with("..") || start.starts_with("..") {
        return Err(Fault::refused("`os.path.relpath` of paths whose relation depends on the current folder"));
    }
    let (path, start) = (parts(&path), parts(&start));
    let common = path.iter().zip(&start).take_while(|(left, right)| left == right).count();
    let mut relative = vec![".."; start.len() - common];
    relative.extend(path.iter().skip(common));
    Ok(Value::str(if relative.is_empty() { ".".to_owned() } else { relative.join("/") }))
}

/// The names in a path without `..`.
fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

/// The folder and the name.
pub(crate) fn split_path(path: &str) -> (&str, &str) {
    let start = path.rfind('/').map_or(0, |at| at + 1);
    let (head, tail) = path.split_at(start);
    let stripped = head.trim_end_matches('/');
    (if stripped.is_empty() { head } else { stripped }, tail)
}

/// The path without its extension, and the extension with its dot.
pub(crate) fn split_extension(path: &str) -> (&str, &str) {
    let start = path.rfind('/').map_or(0, |at| at + 1);
    let name = &path[start..];
    let dots = name.len() - name.trim_start_matches('.').len();
    match name.rfind('.') {
        Some(dot) if dot >= dots && dot > 0 => path.split_at(start + dot),
        _ => (path, ""),
    }
}

/// The path without `.`, `..` and double slashes.
pub(crate) fn normal_path(path: &str) -> String {
    let leading = match path.len() - path.trim_start_matches('/').len() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !leading.is_empty() => {}
            part => parts.push(part),
        }
    }
    let normal = format!("{leading}{}", parts.join("/"));
    if normal.is_empty() { ".".to_owned() } else { normal }
}

fn common_prefix(value: &Value) -> Result<Value> {
    let Value::List(list) = value else { return Err(Fault::type_error("commonprefix() expects a list of texts")) };
    let mut prefix: Option<String> = None;
    for item in list.0.borrow().iter() {
        let Value::Str(text) = item else { return Err(Fault::type_error("commonprefix() expects a list of texts")) };
        prefix = Some(match prefix {
            None => text.to_string(),
            Some(prefix) => {
                prefix.chars().zip(text.chars()).take_while(|(left, right)| left == right).map(|(c, _)| c).collect()
            }
        });
    }
    Ok(Value::str(prefix.unwrap_or_default()))
}
