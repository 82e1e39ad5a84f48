//! Removal of duplicate keys, after the whole pickle was read: only then it is known which keys are equal in Python.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::error::TreeProblem;
use crate::limits::{MAX_ALL_KEY_PARTS, MAX_KEY_PARTS};
use crate::tensor::Dtype;
use crate::unpickler::globals::Global;
use crate::unpickler::value::{Graph, Node, SetKind, Value};

/// Bytes of a key that count as one part.
const BYTES_PER_PART: usize = 64;

/// A key as compared by Python: `1`, `1.0` and `True` are equal, and most objects are equal only to themselves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key<'a> {
    None,
    Int(i64),
    /// The bits of a float that is not an integer.
    Float(u64),
    BigInt(&'a str),
    Text(&'a str),
    Bytes(&'a [u8]),
    Complex(u64, u64),
    Name(u32),
    Dtype(Dtype),
    Identity(u32),
    /// The start of a tuple or frozen set within `Parts`.
    Open,
    /// Its end.
    End,
    /// A tuple or frozen set: all its parts in order.
    Parts(Vec<Key<'a>>),
}

impl Key<'_> {
    /// The number of bytes read to compare or to hash the key.
    fn bytes(&self) -> usize {
        match self {
            Self::BigInt(text) | Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

impl Graph {
    /// Keeps the last value of each key at the position of the first, as Python does, and each item of a set once.
    pub(crate) fn remove_duplicate_keys(&mut self) -> Result<(), TreeProblem> {
        let mut parts = MAX_ALL_KEY_PARTS;
        for index in 0..self.nodes.len() {
            let pairs = match self.nodes.get(index) {
                Some(Node::Mapping(mapping)) => self.unique(mapping.items.iter().copied(), &mut parts)?,
                Some(Node::Opaque(opaque)) => self.unique(opaque.entries.iter().copied(), &mut parts)?,
                Some(Node::Set(items, _)) => self.unique(items.iter().map(|&item| (item, item)), &mut parts)?,
                _ => None,
            };
            let Some(pairs) = pairs else { continue };
            match self.nodes.get_mut(index) {
                Some(Node::Mapping(mapping)) => mapping.items = pairs,
                Some(Node::Opaque(opaque)) => opaque.entries = pairs,
                Some(Node::Set(items, _)) => *items = pairs.into_iter().map(|(item, _)| item).collect(),
                _ => {}
            }
        }
        Ok(())
    }

    /// The pairs with each key once; `None` if no key occurs twice.
    fn unique(
        &self,
        pairs: impl ExactSizeIterator<Item = (Value, Value)> + Clone,
        parts: &mut usize,
    ) -> Result<Option<Vec<(Value, Value)>>, TreeProblem> {
        let mut seen = HashMap::with_capacity(pairs.len());
        // Created for the first duplicate key, which is rare.
        let mut unique: Option<Vec<(Value, Value)>> = None;
        for (index, (key, value)) in pairs.clone().enumerate() {
            let entry = match seen.entry(self.key(key, parts)?) {
                Entry::Occupied(entry) => entry,
                Entry::Vacant(entry) => {
                    match &mut unique {
                        Some(unique) => {
                            entry.insert(unique.len());
                            unique.push((key, value));
                        }
                        None => {
                            entry.insert(index);
                        }
                    }
                    continue;
                }
            };
            let unique = unique.get_or_insert_with(|| pairs.clone().take(index).collect());
            if let Some(pair) = unique.get_mut(*entry.get()) {
                pair.1 = value;
            }
        }
        Ok(unique)
    }

    fn key(&self, value: Value, allowed: &mut usize) -> Result<Key<'_>, TreeProblem> {
        let (key, cost) = match self.node(value) {
            Some(Node::Tuple(_) | Node::Set(_, SetKind::Frozen)) => {
                let parts = self.compound_key(value)?;
                let cost = parts.iter().map(|part| 1 + part.bytes() / BYTES_PER_PART).sum();
                (Key::Parts(parts), cost)
            }
            _ => {
                let key = self.simple_key(value)?;
                // Long strings cost time as keys, too.
                let cost = key.bytes() / BYTES_PER_PART;
                (key, cost)
            }
        };
        *allowed = allowed.checked_sub(cost).ok_or(TreeProblem::LongKey)?;
        Ok(key)
    }

    /// The parts of a tuple or frozen set, without recursion.
    fn compound_key(&self, value: Value) -> Result<Vec<Key<'_>>, TreeProblem> {
        let mut parts = Vec::new();
        let mut pending = vec![Some(value)];
        while let Some(next) = pending.pop() {
            if parts.len() + pending.len() > MAX_KEY_PARTS {
                return Err(TreeProblem::LongKey);
            }
            let Some(value) = next else {
                parts.push(Key::End);
                continue;
            };
            let items: &[Value] = match self.node(value) {
                Some(Node::Tuple(items)) => items,
                Some(Node::Set(items, SetKind::Frozen)) => items,
                _ => {
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
        let key = match value {
            Value::None => Key::None,
            Value::Bool(bit) => Key::Int(bit.into()),
            Value::Int(value) => Key::Int(value),
            Value::Float(value) => float_key(value),
            Value::Node(index) => match self.node(value) {
                Some(Node::Text(text)) => Key::Text(text),
                Some(Node::Bytes(bytes)) => Key::Bytes(bytes),
                Some(Node::BigInt(digits)) => Key::BigInt(digits),
                Some(Node::Complex(real, 0.0)) => float_key(*real),
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

fn float_key(value: f64) -> Key<'static> {
    let integer = value as i64;
    if integer as f64 == value && value.abs() < 9e15 { Key::Int(integer) } else { Key::Float(value.to_bits()) }
}
