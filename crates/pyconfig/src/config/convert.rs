//! From the interpreter's values to [`Data`].

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::budget::Budget;
use crate::data::{Data, Entry, Place};
use crate::error::{Fault, Result, Source};
use crate::limits;
use crate::origin::Origin;
use crate::value::key::Key;
use crate::value::{Dict, Module, Value};

/// The result: the values of a config without the names that it imported, and without what is no data.
pub(super) fn to_data(values: &Rc<Dict>, excluded: &HashSet<Rc<str>>) -> Result<Data> {
    let mut converter = Converter::default();
    let mut entries = Vec::new();
    for (key, entry) in values.entries.borrow().iter() {
        let is_excluded = key.as_str().is_some_and(|name| excluded.contains(name));
        if is_excluded || is_code(&entry.value) {
            continue;
        }
        entries.push(converter.entry(key, &entry.value, entry.origin.as_ref(), 1)?);
    }
    Ok(Data::Dict(entries))
}

/// A single value, for a config that goes on with it.
pub(super) fn value_to_data(budget: &mut Budget, value: &Value) -> Result<Data> {
    let mut converter = Converter::default();
    let data = converter.data(value, 0);
    budget.values(converter.nodes)?;
    budget.text(converter.bytes)?;
    data
}

/// Whether a variable is no data, and is left out of the result.
pub(super) fn is_code(value: &Value) -> bool {
    match value {
        Value::Module(module) => *module != Module::Exception,
        _ => matches!(value, Value::Function(_) | Value::Builtin(_) | Value::Method(_)),
    }
}

#[derive(Default)]
struct Converter {
    nodes: usize,
    bytes: usize,
    sources: HashMap<usize, (Arc<PathBuf>, Vec<u32>)>,
}

impl Converter {
    fn entry(&mut self, key: &Key, value: &Value, origin: Option<&Rc<Origin>>, depth: u32) -> Result<Entry> {
        let name = self.data(key.value(), depth)?;
        let place = self.place(origin);
        let value = self.data(value, depth).map_err(|fault| match origin {
            Some(origin) => fault.at(&origin.source, origin.offset),
            None => fault,
        })?;
        Ok(Entry { key: name, value, place })
    }

    fn data(&mut self, value: &Value, depth: u32) -> Result<Data> {
        if depth > limits::NESTING {
            return Err(Fault::too_deep());
        }
        self.nodes += 1;
        if self.nodes > limits::NODES {
            return Err(Fault::limit(format!("a config may have {} values", limits::NODES)));
        }
        Ok(match value {
            Value::None => Data::None,
            Value::Bool(value) => Data::Bool(*value),
            Value::Int(value) => Data::Int(*value),
            Value::Big(value) => Data::Big((**value).clone()),
            Value::Float(value) => Data::Float(*value),
            Value::Str(text) => Data::Str(self.text(text)?),
            Value::Lazy(lazy) => Data::Str(self.text(&lazy.dotted())?),
            Value::List(list) => {
                let items = list.0.borrow();
                Data::List(self.items(&items, depth)?)
            }
            Value::Tuple(tuple) => Data::Tuple(self.items(&tuple.0, depth)?),
            Value::Set(set) => {
                let items: Vec<Value> = set.keys.borrow().keys().map(|key| key.value().clone()).collect();
                Data::Set(self.items(&items, depth)?)
            }
            Value::Dict(dict) => {
                let mut entries = Vec::with_capacity(dict.len());
                for (key, entry) in dict.entries.borrow().iter() {
                    entries.push(self.entry(key, &entry.value, entry.origin.as_ref(), depth + 1)?);
                }
                Data::Dict(entries)
            }
            other => {
                return Err(Fault::type_error(format!(
                    "a {} is no data{}",
                    other.type_name(),
                    if matches!(other, Value::Iterator(_) | Value::Range(_) | Value::View(..)) {
                        ": make it a list"
                    } else {
                        ""
                    }
                )));
            }
        })
    }

    fn items(&mut self, items: &[Value], depth: u32) -> Result<Vec<Data>> {
        let mut converted = Vec::with_capacity(items.len());
        for item in items {
            converted.push(self.data(item, depth + 1)?);
        }
        Ok(converted)
    }

    fn text(&mut self, text: &str) -> Result<String> {
        self.bytes += text.len();
        if self.bytes > limits::RESULT_BYTES {
            return Err(Fault::limit(format!("the texts of a config may have {} MiB", limits::RESULT_BYTES >> 20)));
        }
        Ok(text.to_owned())
    }

    fn place(&mut self, origin: Option<&Rc<Origin>>) -> Option<Arc<Place>> {
        let origin = origin?;
        let replaced = self.place(origin.replaced.as_ref());
        let (file, starts) = self.source(&origin.source);
        let line = starts.partition_point(|start| *start <= origin.offset);
        Some(Arc::new(Place { file, line, replaced }))
    }

    /// The file of a source, and the offsets at which its lines start.
    fn source(&mut self, source: &Rc<Source>) -> (Arc<PathBuf>, &[u32]) {
        let known = self.sources.entry(Rc::as_ptr(source).addr()).or_insert_with(|| {
            let mut starts = vec![0];
            for (at, _) in source.text.match_indices('\n') {
                starts.push(u32::try_from(at + 1).unwrap_or(u32::MAX));
            }
            (Arc::new(source.file.clone()), starts)
        });
        (Arc::clone(&known.0), &known.1)
    }
}
