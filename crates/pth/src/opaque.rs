//! What is in an object of a class that is on no list, as parts of a path to its tensors.

use std::borrow::Cow;

use crate::json;
use crate::pickle::{Graph, Mapping, Node, Opaque, SetKind, Value};

/// A part of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// The name of an attribute, or a key.
    Key(Value),
    Index(usize),
}

impl Part {
    pub(crate) fn text(self, graph: &Graph) -> Cow<'_, str> {
        match self {
            Self::Key(key) => json::render_key(graph, key),
            Self::Index(index) => Cow::Owned(index.to_string()),
        }
    }
}

/// The attributes of a `torch.nn.Module`, which is known by its tables of parameters, buffers and modules.
fn module_tables<'a>(graph: &'a Graph, opaque: &Opaque) -> Option<[&'a Mapping; 3]> {
    let attributes = graph.mapping(opaque.state?)?;
    let table = |name| graph.mapping(attribute(graph, attributes, name)?);
    Some([table("_parameters")?, table("_buffers")?, table("_modules")?])
}

/// Whether an object is a pickled `torch.nn.Module`.
pub(crate) fn is_module(graph: &Graph, opaque: &Opaque) -> bool {
    module_tables(graph, opaque).is_some()
}

/// What an object holds, in order. Of a `torch.nn.Module` this is what is in its `state_dict()`.
pub(crate) fn children(graph: &Graph, opaque: &Opaque) -> Vec<(Part, Value)> {
    if let Some(tables) = module_tables(graph, opaque) {
        let passing = passing_buffers(graph, opaque);
        let kept = |&&(key, _): &&(Value, Value)| !passing.iter().any(|&name| graph.text(name) == graph.text(key));
        let [parameters, buffers, modules] = tables.map(|table| table.items.iter());
        let entries = parameters.chain(buffers.filter(kept)).chain(modules);
        return entries.map(|&(key, value)| (Part::Key(key), value)).collect();
    }
    let mut children: Vec<_> = indexed(&opaque.arguments).collect();
    if let Some(state) = opaque.state {
        children.extend(attributes(graph, state));
    }
    children.extend(indexed(&opaque.items));
    children.extend(opaque.entries.iter().map(|&(key, value)| (Part::Key(key), value)));
    children
}

/// The names of the buffers that a `state_dict()` lacks.
fn passing_buffers<'a>(graph: &'a Graph, opaque: &Opaque) -> &'a [Value] {
    let attributes = opaque.state.and_then(|state| graph.mapping(state));
    let names = attributes.and_then(|attributes| attribute(graph, attributes, "_non_persistent_buffers_set"));
    match names.and_then(|names| graph.node(names)) {
        Some(Node::Set(names, SetKind::Set | SetKind::Frozen)) => names,
        _ => &[],
    }
}

fn attribute(graph: &Graph, attributes: &Mapping, name: &str) -> Option<Value> {
    let mut entries = attributes.items.iter();
    entries.find(|(key, _)| graph.text(*key) == Some(name)).map(|&(_, value)| value)
}

/// The attributes that a state gives: a dict, or a pair of a dict and one of `__slots__`. Any other state is one part.
fn attributes(graph: &Graph, state: Value) -> Vec<(Part, Value)> {
    let named =
        |mapping: &Mapping| mapping.items.iter().map(|&(key, value)| (Part::Key(key), value)).collect::<Vec<_>>();
    if let Some(mapping) = graph.mapping(state) {
        return named(mapping);
    }
    if let Some(&[plain, slots]) = graph.tuple(state)
        && let Some(slots) = graph.mapping(slots)
        && (plain == Value::None || graph.mapping(plain).is_some())
    {
        let plain = graph.mapping(plain).map(named).unwrap_or_default();
        return plain.into_iter().chain(named(slots)).collect();
    }
    match graph.sequence(state) {
        Some(items) => indexed(items).collect(),
        None => vec![(Part::Index(0), state)],
    }
}

fn indexed(items: &[Value]) -> impl Iterator<Item = (Part, Value)> + '_ {
    items.iter().enumerate().map(|(index, &item)| (Part::Index(index), item))
}
