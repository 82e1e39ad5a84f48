//! What can be said only when a pickle is read to its end: which keys of mappings are the same to Python.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::dtype::Dtype;
use crate::error::TreeProblem;
use crate::limits::{MAX_ALL_KEY_PARTS, MAX_KEY_PARTS};
use crate::pickle::globals::Global;
use crate::pickle::value::{Graph, Node, SetKind, Value};

/// Bytes of a key that count as much as a part of one.
const BYTES_PER_PART: usize = 64;

/// A key as Python compares it: `1`, `1.0` and `True` are the same, and most objects are the same as themselves only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key<'a> {
    None,
    Int(i64),
    /// A float that is no integer, by its bits.
    Float(u64),
    BigInt(&'a str),
    Text(&'a str),
    Bytes(&'a [u8]),
    Complex(u64, u64),
    Name(u32),
    Dtype(Dtype),
    Identity(u32),
    /// A tuple or frozen set: its parts in order, each of them closed by `End`.
    Open,
    End,
    Parts(Vec<Key<'a>>),
}

impl Key<'_> {
    /// Bytes that are read to compare or to hash it.
    fn bytes(&self) -> usize {
        match self {
            Self::BigInt(text) | Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

impl Graph {
    /// Lets the last value of each key stand at the place of the first, as in Python, and each item of a set once.
    pub(crate) fn deduplicate(&mut self) -> Result<(), TreeProblem> {
        let mut parts = MAX_ALL_KEY_PARTS;
        for index in 0..self.nodes.len() {
            let new = match self.nodes.get(index) {
                Some(Node::Mapping(mapping)) => {
                    let unique = self.unique(mapping.items.iter().copied(), &mut parts)?;
                    unique.map(|items| (items, true))
                }
                Some(Node::Opaque(opaque)) => {
                    let unique = self.unique(opaque.entries.iter().copied(), &mut parts)?;
                    unique.map(|items| (items, true))
                }
                Some(Node::Set(items, _)) => {
                    let unique = self.unique(items.iter().map(|&item| (item, item)), &mut parts)?;
                    unique.map(|items| (items, false))
                }
                _ => None,
            };
            match (new, self.nodes.get_mut(index)) {
                (Some((items, true)), Some(Node::Mapping(mapping))) => mapping.items = items,
                (Some((items, true)), Some(Node::Opaque(opaque))) => opaque.entries = items,
                (Some((items, false)), Some(Node::Set(set, _))) => {
                    *set = items.into_iter().map(|(key, _)| key).collect()
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The pairs with each key once, or `None` when that is so already.
    fn unique(
        &self,
        pairs: impl ExactSizeIterator<Item = (Value, Value)> + Clone,
        parts: &mut usize,
    ) -> Result<Option<Vec<(Value, Value)>>, TreeProblem> {
        let mut seen = HashMap::with_capacity(pairs.len());
        // Made when the first key comes again, which is rare.
        let mut unique: Option<Vec<(Value, Value)>> = None;
        for (index, (key, value)) in pairs.clone().enumerate() {
            let place = unique.as_ref().map_or(index, Vec::len);
            match seen.entry(self.key(key, parts)?) {
                Entry::Vacant(entry) => {
                    entry.insert(place);
                    unique.iter_mut().for_each(|unique| unique.push((key, value)));
                }
                Entry::Occupied(entry) => {
                    let unique = unique.get_or_insert_with(|| pairs.clone().take(index).collect());
                    if let Some(pair) = unique.get_mut(*entry.get()) {
                        pair.1 = value;
                    }
                }
            }
        }
        Ok(unique)
    }

    fn key(&self, value: Value, allowed: &mut usize) -> Result<Key<'_>, TreeProblem> {
        match self.node(value) {
            Some(Node::Tuple(_) | Node::Set(_, SetKind::Frozen)) => {
                let parts = self.compound_key(value)?;
                let cost = parts.iter().map(|part| 1 + part.bytes() / BYTES_PER_PART).sum();
                *allowed = allowed.checked_sub(cost).ok_or(TreeProblem::LongKey)?;
                Ok(Key::Parts(parts))
            }
            _ => {
                let key = self.simple_key(value)?;
                // Long texts cost time wherever they are a key.
                *allowed = allowed.checked_sub(key.bytes() / BYTES_PER_PART).ok_or(TreeProblem::LongKey)?;
                Ok(key)
            }
        }
    }

    /// The parts of a tuple or frozen set, without recursion.
    fn compound_key(&self, value: Value) -> Result<Vec<Key<'_>>, TreeProblem> {
        let mut parts = Vec::new();
        let mut pending = vec![Some(value)];
        while let Some(next) = pending.pop() {
            if parts.len() + pending.len() > MAX_KEY_PARTS {
                return Err(TreeProblem::LongKey);
            }
            let items: &[Value] = match (next, next.and_then(|value| self.node(value))) {
                (None, _) => {
                    parts.push(Key::End);
                    continue;
                }
                (_, Some(Node::Tuple(items))) => items,
                (_, Some(Node::Set(items, SetKind::Frozen))) => items,
                (Some(value), _) => {
                    parts.push(self.simple_key(value)?);
                    continue;
                }
            };
            if items.len() > MAX_KEY_PARTS {
                return Err(TreeProblem::LongKey);
            }
            parts.push(Key::Open);
            pending.push(None);
            pending.extend(items.iter().rev().map(|&item| Some(item)));
        }
        Ok(parts)
    }

    fn simple_key(&self, value: Value) -> Result<Key<'_>, TreeProblem> {
        let float = |value: f64| {
            let integer = value as i64;
            if integer as f64 == value && value.abs() < 9e15 { Key::Int(integer) } else { Key::Float(value.to_bits()) }
        };
        let key = match value {
            Value::None => Key::None,
            Value::Bool(bit) => Key::Int(bit.into()),
            Value::Int(value) => Key::Int(value),
            Value::Float(value) => float(value),
            Value::Node(index) => match self.node(value) {
                Some(Node::Text(text)) => Key::Text(text),
                Some(Node::Bytes(bytes)) => Key::Bytes(bytes),
                Some(Node::BigInt(digits)) => Key::BigInt(digits),
                Some(Node::Complex(real, 0.0)) => float(*real),
                Some(Node::Complex(real, imaginary)) => Key::Complex(real.to_bits(), imaginary.to_bits()),
                Some(Node::Global(Global { name, .. })) => Key::Name(*name),
                Some(Node::Dtype(dtype)) => Key::Dtype(*dtype),
                Some(node @ (Node::List(_) | Node::Mapping(_) | Node::Set(..) | Node::ByteArray(_))) => {
                    return Err(TreeProblem::Unhashable(node.kind()));
                }
                _ => Key::Identity(index),
            },
        };
        Ok(key)
    }
}
