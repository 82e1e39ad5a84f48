//! The contents of an object whose class is on no list, as parts of the paths to its tensors.

use std::borrow::Cow;

use crate::tree::json;
use crate::unpickler::{Graph, Mapping, Node, Opaque, Value};

/// A part of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PathPart {
    /// The name of an attribute, or a mapping key.
    Key(Value),
    Index(usize),
}

impl PathPart {
    pub(crate) fn text(self, graph: &Graph) -> Cow<'_, str> {
        match self {
            Self::Key(key) => json::render_key(graph, key),
            Self::Index(index) => Cow::Owned(index.to_string()),
        }
    }
}

/// The attributes of an object, if its state is a mapping.
fn attributes_of<'a>(graph: &'a Graph, opaque: &Opaque) -> Option<&'a Mapping> {
    graph.mapping(opaque.state?)
}

/// The parameters, buffers and submodules of a `torch.nn.Module`; `None` for any other object.
fn module_tables<'a>(graph: &'a Graph, opaque: &Opaque) -> Option<[&'a Mapping; 3]> {
    let attributes = attributes_of(graph, opaque)?;
    Some([
        graph.mapping(attributes.get(graph, "_parameters")?)?,
        graph.mapping(attributes.get(graph, "_buffers")?)?,
        graph.mapping(attributes.get(graph, "_modules")?)?,
    ])
}

/// Whether an object is a pickled `torch.nn.Module`.
pub(crate) fn is_module(graph: &Graph, opaque: &Opaque) -> bool {
    module_tables(graph, opaque).is_some()
}

/// The contents of an object, in order. For a `torch.nn.Module`, these are the entries of its `state_dict()`.
pub(crate) fn children(graph: &Graph, opaque: &Opaque) -> Vec<(PathPart, Value)> {
    let mut children = Vec::new();
    if let Some([parameters, buffers, modules]) = module_tables(graph, opaque) {
        add_entries(&mut children, &parameters.items);
        for &(name, buffer) in &buffers.items {
            if !is_non_persistent(graph, opaque, name) {
                children.push((PathPart::Key(name), buffer));
            }
        }
        add_entries(&mut children, &modules.items);
        return children;
    }
    add_items(&mut children, &opaque.arguments);
    if let Some(state) = opaque.state {
        add_attributes(&mut children, graph, state);
    }
    add_items(&mut children, &opaque.items);
    add_entries(&mut children, &opaque.entries);
    children
}

/// Whether a buffer of a module is missing from its `state_dict()`.
fn is_non_persistent(graph: &Graph, opaque: &Opaque, buffer: Value) -> bool {
    let Some(attributes) = attributes_of(graph, opaque) else { return false };
    let Some(names) = attributes.get(graph, "_non_persistent_buffers_set") else { return false };
    match graph.node(names) {
        Some(Node::Set(names, _)) => names.iter().any(|&name| graph.text(name) == graph.text(buffer)),
        _ => false,
    }
}

/// Adds the attributes in a state: a dict, or a pair of a dict and one of `__slots__`. Any other state is a single part.
fn add_attributes(children: &mut Vec<(PathPart, Value)>, graph: &Graph, state: Value) {
    if let Some(attributes) = graph.mapping(state) {
        return add_entries(children, &attributes.items);
    }
    if let Some(&[plain, slots]) = graph.tuple(state)
        && let Some(slots) = graph.mapping(slots)
        && (plain == Value::None || graph.mapping(plain).is_some())
    {
        if let Some(plain) = graph.mapping(plain) {
            add_entries(children, &plain.items);
        }
        return add_entries(children, &slots.items);
    }
    match graph.sequence(state) {
        Some(items) => add_items(children, items),
        None => children.push((PathPart::Index(0), state)),
    }
}

fn add_entries(children: &mut Vec<(PathPart, Value)>, entries: &[(Value, Value)]) {
    for &(key, value) in entries {
        children.push((PathPart::Key(key), value));
    }
}

fn add_items(children: &mut Vec<(PathPart, Value)>, items: &[Value]) {
    for (index, &item) in items.iter().enumerate() {
        children.push((PathPart::Index(index), item));
    }
}
