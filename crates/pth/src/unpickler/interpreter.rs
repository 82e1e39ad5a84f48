//! [`Unpickler`]: the loop over opcodes.

use std::collections::HashMap;

use crate::error::{ErrorKind, PickleProblem};
use crate::limits::MAX_PICKLE_MEMORY;
use crate::tensor::StorageTable;
use crate::unpickler::fault::Fault;
use crate::unpickler::globals::AllowList;
use crate::unpickler::input::Input;
use crate::unpickler::memo::Memo;
use crate::unpickler::opcode::*;
use crate::unpickler::stack::Stack;
use crate::unpickler::value::{Graph, Node, Value};

/// The form of the persistent ids with which a pickle refers to its storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// No persistent ids.
    None,
    /// Five items.
    Zip,
    /// Six items, of which the last is a view.
    Legacy,
}

/// Reads one pickle.
#[derive(Debug)]
pub(crate) struct Unpickler<'a> {
    pub(super) input: Input<'a>,
    pub(super) allowed: AllowList<'a>,
    pub(super) persistence: Persistence,
    pub(super) storages: &'a mut StorageTable,
    pub(super) graph: Graph,
    pub(super) stack: Stack,
    pub(super) memo: Memo,
    /// Indices of names in the graph.
    pub(super) names: HashMap<Box<str>, u32>,
    /// Bytes allocated so far, an upper bound.
    memory: u64,
}

impl<'a> Unpickler<'a> {
    pub(crate) fn new(
        input: Input<'a>,
        allowed: AllowList<'a>,
        persistence: Persistence,
        storages: &'a mut StorageTable,
    ) -> Self {
        Self {
            input,
            allowed,
            persistence,
            storages,
            graph: Graph::new(),
            stack: Stack::default(),
            memo: Memo::default(),
            names: HashMap::new(),
            memory: 0,
        }
    }

    /// Counts the pickle itself, which is in memory, against the memory limit.
    pub(crate) fn counting_input(self) -> Self {
        let memory = self.input.remaining();
        Self { memory, ..self }
    }

    /// Reads up to and including the STOP opcode. Returns the values and the number of bytes read.
    pub(crate) fn run(mut self) -> Result<(Graph, u64), ErrorKind> {
        loop {
            let offset = self.input.position();
            match self.step() {
                Ok(true) => {
                    self.graph.remove_duplicate_keys()?;
                    return Ok((self.graph, self.input.position()));
                }
                Ok(false) => {}
                Err(Fault::Problem(problem)) => {
                    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                    return Err(ErrorKind::Pickle { offset, problem });
                }
                Err(Fault::Error(error)) => return Err(error),
            }
        }
    }

    /// Counts `bytes` against the memory limit.
    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), Fault> {
        self.memory = self.memory.saturating_add(bytes);
        Ok(ErrorKind::check_limit("memory for the values of a pickle", self.memory, MAX_PICKLE_MEMORY)?)
    }

    /// Adds a node; `extra` is the number of bytes that it refers to, which the caller counts in advance if it is large.
    pub(super) fn node(&mut self, node: Node, extra: usize) -> Result<Value, Fault> {
        self.charge(size_of::<Node>() as u64 + extra as u64)?;
        // The memory limit keeps the number of nodes far below 2^32.
        let value = Value::Node(self.graph.nodes.len() as u32);
        self.graph.nodes.push(node);
        Ok(value)
    }

    pub(super) fn push_node(&mut self, node: Node, extra: usize) -> Result<(), Fault> {
        let value = self.node(node, extra)?;
        self.stack.push(value)
    }

    pub(super) fn sequence_node(
        &mut self,
        items: Vec<Value>,
        make: impl FnOnce(Vec<Value>) -> Node,
    ) -> Result<Value, Fault> {
        let extra = items.len() * size_of::<Value>() * 2;
        self.node(make(items), extra)
    }

    pub(super) fn push_sequence(
        &mut self,
        items: Vec<Value>,
        make: impl FnOnce(Vec<Value>) -> Node,
    ) -> Result<(), Fault> {
        let value = self.sequence_node(items, make)?;
        self.stack.push(value)
    }

    /// Executes one opcode. Returns true if it was STOP.
    fn step(&mut self) -> Result<bool, Fault> {
        match self.input.u8()? {
            STOP => {
                self.graph.root = self.stack.pop()?;
                return Ok(true);
            }
            PROTO => match self.input.u8()? {
                1..=5 => {}
                version => return Err(PickleProblem::Protocol(version).into()),
            },
            FRAME => {
                let length = self.input.u64()?;
                if length > self.input.remaining() {
                    return Err(PickleProblem::Ended.into());
                }
            }
            MARK => self.stack.mark()?,
            POP => self.stack.pop_value_or_mark()?,
            POP_MARK => drop(self.stack.pop_mark()?),
            DUP => {
                let top = self.stack.top()?;
                self.stack.push(top)?;
            }
            opcode @ (GET | BINGET | LONG_BINGET | PUT | BINPUT | LONG_BINPUT | MEMOIZE) => self.step_memo(opcode)?,
            opcode @ (NONE | NEWTRUE | NEWFALSE | INT | BININT | BININT1 | BININT2 | LONG | LONG1 | LONG4 | FLOAT
            | BINFLOAT) => self.step_number(opcode)?,
            opcode @ (STRING | BINSTRING | SHORT_BINSTRING | UNICODE | BINUNICODE | SHORT_BINUNICODE | BINUNICODE8
            | BINBYTES | SHORT_BINBYTES | BINBYTES8 | BYTEARRAY8) => self.step_text(opcode)?,
            opcode @ (EMPTY_LIST | LIST | EMPTY_TUPLE | TUPLE | TUPLE1 | TUPLE2 | TUPLE3 | EMPTY_DICT | DICT
            | EMPTY_SET | FROZENSET | APPEND | APPENDS | ADDITEMS | SETITEM | SETITEMS) => {
                self.step_container(opcode)?
            }
            opcode @ (GLOBAL | STACK_GLOBAL | INST | OBJ | REDUCE | NEWOBJ | NEWOBJ_EX | BUILD) => {
                self.step_object(opcode)?;
            }
            BINPERSID => {
                let id = self.stack.pop()?;
                let storage = self.persistent_load(id)?;
                self.stack.push(storage)?;
            }
            PERSID => return Err(PickleProblem::ForbiddenOpcode("PERSID").into()),
            EXT1 | EXT2 | EXT4 => return Err(PickleProblem::ForbiddenOpcode("EXT").into()),
            NEXT_BUFFER | READONLY_BUFFER => return Err(PickleProblem::ForbiddenOpcode("out-of-band buffer").into()),
            opcode => return Err(PickleProblem::UnknownOpcode(opcode).into()),
        }
        Ok(false)
    }
}
