//! Opcodes that create and fill containers.

use crate::error::PickleProblem;
use crate::unpickler::Unpickler;
use crate::unpickler::fault::Fault;
use crate::unpickler::opcode::*;
use crate::unpickler::value::{Mapping, Node, SetKind, Value};

/// Bytes per entry of a list, including growth.
const ENTRY_BYTES: usize = 40;
/// Bytes per entry of a mapping or set, including those needed to find equal keys at the end.
pub(super) const KEYED_BYTES: usize = 160;

impl Unpickler<'_> {
    /// Creates or fills a container.
    pub(super) fn step_container(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            EMPTY_LIST => self.push_node(Node::List(Vec::new()), 0),
            EMPTY_TUPLE => self.push_node(Node::Tuple(Box::default()), 0),
            EMPTY_SET => self.push_node(Node::Set(Vec::new(), SetKind::Set), 0),
            EMPTY_DICT => self.push_node(Node::Mapping(Box::default()), size_of::<Mapping>()),
            LIST => {
                let items = self.stack.pop_mark()?;
                self.push_sequence(items, Node::List)
            }
            TUPLE => {
                let items = self.stack.pop_mark()?;
                self.push_sequence(items, tuple)
            }
            TUPLE1 => {
                let items = self.stack.pop_array::<1>()?;
                self.push_sequence(items.into(), tuple)
            }
            TUPLE2 => {
                let items = self.stack.pop_array::<2>()?;
                self.push_sequence(items.into(), tuple)
            }
            TUPLE3 => {
                let items = self.stack.pop_array::<3>()?;
                self.push_sequence(items.into(), tuple)
            }
            FROZENSET => {
                let items = self.stack.pop_mark()?;
                self.charge((items.len() * KEYED_BYTES) as u64)?;
                self.push_sequence(items, |items| Node::Set(items, SetKind::Frozen))
            }
            DICT => {
                let items = self.stack.pop_mark()?;
                self.push_node(Node::Mapping(Box::default()), size_of::<Mapping>())?;
                self.set_items(items)
            }
            APPEND => {
                let item = self.stack.pop()?;
                self.append(vec![item])
            }
            APPENDS => {
                let items = self.stack.pop_mark()?;
                self.append(items)
            }
            ADDITEMS => {
                let items = self.stack.pop_mark()?;
                self.add_items(items)
            }
            SETITEM => {
                let item = self.stack.pop_array::<2>()?;
                self.set_items(item.into())
            }
            _ => {
                let items = self.stack.pop_mark()?;
                self.set_items(items)
            }
        }
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let target = self.stack.top()?;
        self.charge((items.len() * ENTRY_BYTES) as u64)?;
        match self.graph.node_mut(target) {
            Some(Node::List(list)) => list.extend(items),
            Some(Node::Opaque(opaque)) => opaque.items.extend(items),
            Some(Node::Inert(_)) => {}
            _ => return Err(self.wrong_type("APPEND", target)),
        }
        Ok(())
    }

    fn add_items(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let target = self.stack.top()?;
        self.charge((items.len() * KEYED_BYTES) as u64)?;
        match self.graph.node_mut(target) {
            Some(Node::Set(set, SetKind::Set)) => set.extend(items),
            Some(Node::Opaque(opaque)) => opaque.items.extend(items),
            _ => return Err(self.wrong_type("ADDITEMS", target)),
        }
        Ok(())
    }

    /// Adds alternating keys and values to the mapping on top of the stack.
    fn set_items(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let target = self.stack.top()?;
        self.charge((items.len() / 2 * KEYED_BYTES) as u64)?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(PickleProblem::EmptyStack.into());
        }
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match self.graph.node_mut(target) {
            Some(Node::Mapping(mapping)) => mapping.items.extend(pairs),
            Some(Node::Opaque(opaque)) => opaque.entries.extend(pairs),
            Some(Node::Inert(_)) => {}
            _ => return Err(self.wrong_type("SETITEM", target)),
        }
        Ok(())
    }
}

fn tuple(items: Vec<Value>) -> Node {
    Node::Tuple(items.into())
}
