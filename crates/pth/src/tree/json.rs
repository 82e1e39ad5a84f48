//! Values as JSON, with `$` objects for types that JSON lacks.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;

use data_encoding::HEXLOWER;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::error::ErrorKind;
use crate::tree::Budget;
use crate::unpickler::{Graph, Mapping, Node, Value};

/// A value without tensors, to be serialized.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) value: Value,
}

impl Json<'_> {
    fn with_value(self, value: Value) -> Self {
        Self { value, ..self }
    }
}

/// Counts `value` against the budget before it is serialized. Returns an error if two keys of a mapping are the same as text.
/// Recursion is as deep as the tree, whose depth was checked before.
pub(crate) fn check_json(graph: &Graph, value: Value, budget: &mut Budget) -> Result<(), ErrorKind> {
    budget.values(1)?;
    match graph.node(value) {
        Some(Node::Text(text) | Node::BigInt(text) | Node::Device(text)) => budget.text(text.len() as u64),
        Some(Node::Bytes(bytes) | Node::ByteArray(bytes)) => budget.text(2 * bytes.len() as u64),
        Some(&(Node::Inert(global) | Node::Global(global) | Node::Storage(_, global))) => {
            budget.text(graph.name(global).len() as u64)
        }
        Some(Node::Opaque(opaque)) => budget.text(graph.name(opaque.class).len() as u64),
        Some(Node::List(items) | Node::Set(items, _)) => check_items(graph, items, budget),
        Some(Node::Tuple(items)) => check_items(graph, items, budget),
        Some(&Node::Module(Some(attributes))) => check_json(graph, attributes, budget),
        Some(Node::Mapping(mapping)) => check_mapping(graph, mapping, budget),
        _ => Ok(()),
    }
}

fn check_items(graph: &Graph, items: &[Value], budget: &mut Budget) -> Result<(), ErrorKind> {
    items.iter().try_for_each(|&item| check_json(graph, item, budget))
}

fn check_mapping(graph: &Graph, mapping: &Mapping, budget: &mut Budget) -> Result<(), ErrorKind> {
    // Strings are known to differ from each other, unlike `1` and `"1"`.
    let all_strings = mapping.items.iter().all(|&(key, _)| graph.text(key).is_some());
    let mut seen = HashSet::new();
    for &(key, value) in &mapping.items {
        let text = key_text(graph, key, budget)?;
        budget.text(text.len() as u64)?;
        if !all_strings && let Some(text) = seen.replace(text) {
            return Err(ErrorKind::DuplicateKey(text.into_owned()));
        }
        check_json(graph, value, budget)?;
    }
    Ok(())
}

/// A mapping key as text: a string unchanged, an int in decimal, any other key as its JSON.
pub(crate) fn key_text<'a>(graph: &'a Graph, key: Value, budget: &mut Budget) -> Result<Cow<'a, str>, ErrorKind> {
    if !matches!(graph.node(key), Some(Node::Text(_) | Node::BigInt(_))) {
        // The text is allocated only after it was counted.
        check_json(graph, key, budget)?;
    }
    Ok(render_key(graph, key))
}

/// As [`key_text`], for a key that was checked before.
pub(crate) fn render_key(graph: &Graph, key: Value) -> Cow<'_, str> {
    match (key, graph.node(key)) {
        (_, Some(Node::Text(text) | Node::BigInt(text))) => Cow::Borrowed(text),
        (Value::Int(value), _) => Cow::Owned(value.to_string()),
        // Two objects of one class are two keys.
        (Value::Node(index), Some(Node::Opaque(opaque))) => {
            Cow::Owned(json!({"$opaque": graph.name(opaque.class), "$id": index}).to_string())
        }
        _ => {
            let mut bytes = Vec::new();
            let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PythonFloats);
            // Writing to memory does not fail, and JSON is UTF-8.
            let _ = Json { graph, value: key }.serialize(&mut serializer);
            Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
        }
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let graph = self.graph;
        let node = match self.value {
            Value::None => return serializer.serialize_unit(),
            Value::Bool(bit) => return serializer.serialize_bool(bit),
            Value::Int(value) => return serializer.serialize_i64(value),
            Value::Float(value) => return float(value, serializer),
            Value::Node(_) => graph.node(self.value),
        };
        match node {
            Some(Node::Text(text)) => serializer.serialize_str(text),
            Some(Node::BigInt(digits)) => tagged("$int", digits, serializer),
            Some(Node::Bytes(bytes) | Node::ByteArray(bytes)) => tagged("$bytes", &hex(bytes), serializer),
            Some(Node::Complex(real, imaginary)) => tagged("$complex", &[Float(*real), Float(*imaginary)], serializer),
            Some(Node::List(items)) => Items(*self, items).serialize(serializer),
            Some(Node::Tuple(items)) => Items(*self, items).serialize(serializer),
            Some(Node::Set(items, _)) => tagged("$set", &Items(*self, items), serializer),
            Some(Node::Mapping(mapping)) => {
                let entries = mapping.items.iter();
                serializer.collect_map(entries.map(|&(key, value)| (render_key(graph, key), self.with_value(value))))
            }
            Some(&Node::Module(Some(attributes))) => self.with_value(attributes).serialize(serializer),
            Some(Node::Module(None)) => serializer.serialize_map(Some(0))?.end(),
            Some(Node::Dtype(dtype)) => tagged("$dtype", dtype.name(), serializer),
            Some(Node::Device(device)) => tagged("$device", device, serializer),
            Some(Node::Layout(layout)) => tagged("$opaque", &format!("torch.{layout}"), serializer),
            Some(&(Node::Inert(global) | Node::Global(global) | Node::Storage(_, global))) => {
                tagged("$opaque", graph.name(global), serializer)
            }
            Some(Node::Opaque(opaque)) => tagged("$opaque", graph.name(opaque.class), serializer),
            Some(Node::Array) => tagged("$opaque", "numpy.ndarray", serializer),
            Some(Node::ArrayType(_)) => tagged("$opaque", "numpy.dtype", serializer),
            Some(Node::FileBytes { .. }) => tagged("$opaque", "builtins.bytes", serializer),
            // Tensors are listed elsewhere, and every index refers to a node.
            Some(Node::Tensor(_)) | None => serializer.serialize_unit(),
        }
    }
}

struct Items<'a>(Json<'a>, &'a [Value]);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.1.iter().map(|&item| self.0.with_value(item)))
    }
}

/// A float, including those that JSON lacks.
pub(crate) struct Float(pub(crate) f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        float(self.0, serializer)
    }
}

fn float<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    let name = match value {
        f64::INFINITY => "inf",
        f64::NEG_INFINITY => "-inf",
        _ if value.is_nan() => "nan",
        _ => return serializer.serialize_f64(value),
    };
    tagged("$float", name, serializer)
}

/// An object with one entry, which represents a value that JSON lacks.
fn tagged<S: Serializer>(tag: &str, value: &(impl Serialize + ?Sized), serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, value)?;
    map.end()
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Compact JSON whose floats are written as in Python, because keys are compared as text.
#[derive(Debug)]
struct PythonFloats;

impl Formatter for PythonFloats {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let scientific = format!("{value:e}");
        if let Some((digits, exponent)) = scientific.split_once('e')
            && let Ok(exponent @ (..-4 | 16..)) = exponent.parse::<i32>()
        {
            let sign = if exponent < 0 { '-' } else { '+' };
            return write!(writer, "{digits}e{sign}{:02}", exponent.unsigned_abs());
        }
        CompactFormatter.write_f64(writer, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        render_key(&Graph::new(), Value::Float(value)).into_owned()
    }

    #[test]
    fn keys_are_written_as_python_writes_them() {
        assert_eq!(text(2.5), "2.5");
        assert_eq!(text(1.0), "1.0");
        assert_eq!(text(-0.0), "-0.0");
        assert_eq!(text(1e-4), "0.0001");
        assert_eq!(text(1.5e-5), "1.5e-05");
        assert_eq!(text(1e16), "1e+16");
        assert_eq!(text(123456789012345.0), "123456789012345.0");
        assert_eq!(text(f64::NAN), r#"{"$float":"nan"}"#);
        assert_eq!(render_key(&Graph::new(), Value::None), "null");
        assert_eq!(render_key(&Graph::new(), Value::Bool(true)), "true");
        assert_eq!(render_key(&Graph::new(), Value::Int(-3)), "-3");
    }
}
