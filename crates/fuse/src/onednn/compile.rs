//! [`compile`]: layouts and memory for the units of a region.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::c_void;

use tch::Tensor;

use super::arena::{Arena, BufferId};
use super::argument;
use super::ffi::{Address, Desc, Op, Plan, Role};
use super::program::{Label, REORDER, Region, Weights, bytes, pointer};
use super::region::Part;
use super::unit::{Kernel, Shapes, Unit};
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, ValueId};
use crate::options::Dtype;

/// A node that oneDNN cannot run after all.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) node: usize,
    pub(super) error: Error,
}
/// Where memory is, before the arena is arranged.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Buffer(BufferId),
    Slot(usize),
    Fixed(*mut c_void),
}

/// A value in one layout.
#[derive(Debug)]
pub(super) struct Stored {
    desc: Desc,
    pub(super) place: Place,
}

/// A primitive with the memory of its arguments.
pub(super) struct Step {
    op: Op,
    label: Label,
    arguments: Vec<(i32, Desc, Place)>,
}

pub(super) struct Compiler<'a> {
    pub(super) graph: &'a Graph,
    shapes: &'a Shapes,
    pub(super) bf16: bool,
    pub(super) blocked: bool,
    pub(super) weights: &'a mut Weights,
    arena: Arena,
    steps: Vec<Step>,
    /// The module of the unit that is being prepared.
    pub(super) module: String,
    pub(super) values: HashMap<ValueId, Vec<Stored>>,
    /// The unit that reads a value last; `usize::MAX` for outputs.
    pub(super) last: HashMap<ValueId, usize>,
    pub(super) memory: Vec<Tensor>,
}

/// Prepares the units of `part`.
pub(super) fn compile(
    graph: &Graph,
    shapes: &Shapes,
    part: &Part,
    dtype: Dtype,
    weights: &mut Weights,
) -> Result<Region, Refusal> {
    let grouped = |unit: &Unit| matches!(&unit.kernel, Kernel::Convolution(convolution) if convolution.groups > 1);
    let mut last = HashMap::new();
    for (index, unit) in part.units.iter().enumerate() {
        last.extend(unit.inputs().into_iter().map(|value| (value, index)));
    }
    last.extend(part.outputs.iter().map(|value| (*value, usize::MAX)));
    let mut compiler = Compiler {
        graph,
        shapes,
        bf16: dtype == Dtype::Bf16,
        blocked: part.units.iter().any(grouped),
        weights,
        arena: Arena::default(),
        steps: Vec::new(),
        module: String::new(),
        values: HashMap::new(),
        last,
        memory: Vec::new(),
    };
    let refused = |node: usize| move |error: Error| Refusal { node, error };
    let first = part.nodes.start;
    for (slot, value) in part.inputs.iter().enumerate() {
        compiler.input(*value, slot).map_err(refused(first))?;
    }
    for (index, unit) in part.units.iter().enumerate() {
        compiler.unit(index, unit).map_err(refused(unit.node))?;
    }
    let slots = part.inputs.len()..;
    for (slot, value) in slots.zip(&part.outputs) {
        compiler.output(*value, slot).map_err(refused(first))?;
    }
    let outputs =
        part.outputs.iter().map(|value| compiler.shape(*value)).collect::<Result<_>>().map_err(refused(first))?;
    let inputs =
        part.inputs.iter().map(|value| compiler.shape(*value)).collect::<Result<_>>().map_err(refused(first))?;
    let plain = plain(graph, part);
    compiler.finish(inputs, outputs, plain).map_err(refused(first))
}

/// The nodes of `part` alone.
fn plain(graph: &Graph, part: &Part) -> Graph {
    let nodes: Vec<Node> = graph.nodes.get(part.nodes.clone()).unwrap_or_default().to_vec();
    let mut constants = HashMap::new();
    for value in nodes.iter().flat_map(Node::inputs) {
        if let Some(constant) = graph.constants.get(&value) {
            constants.insert(value, constant.shallow_clone());
        }
    }
    let (inputs, outputs) = (part.inputs.clone(), part.outputs.clone());
    Graph { nodes, inputs, outputs, constants, questions: Vec::new(), next: graph.next }
}

impl Compiler<'_> {
    pub(super) fn shape(&self, value: ValueId) -> Result<Vec<i64>> {
        let shape = self.shapes.get(&value).map(|(shape, _)| shape.clone());
        shape.ok_or_else(|| Error::unsupported("", format!("the shape of value {value} is not known")))
    }

    /// The layout of activations that an operator is asked for: blocks of channels or what it likes.
    pub(super) fn preferred(&self, shape: &[i64]) -> Result<Desc> {
        if self.blocked && shape.len() > 2 { Desc::blocked(shape, self.bf16) } else { Desc::any(shape, self.bf16) }
    }

    /// A layout in which the channels of an element lie side by side: in blocks, or all.
    pub(super) fn interleaved(&self, shape: &[i64]) -> Result<Desc> {
        if self.blocked { Desc::blocked(shape, self.bf16) } else { Desc::channels_last(shape, self.bf16) }
    }

    pub(super) fn store(&mut self, value: ValueId, desc: Desc, place: Place) {
        self.values.entry(value).or_default().push(Stored { desc, place });
    }

    fn input(&mut self, value: ValueId, slot: usize) -> Result<()> {
        let desc = Desc::plain(&self.shape(value)?, false)?;
        self.store(value, desc, Place::Slot(slot));
        Ok(())
    }

    fn output(&mut self, value: ValueId, slot: usize) -> Result<()> {
        let plain = Desc::plain(&self.shape(value)?, false)?;
        let (desc, place) = self.native(value)?;
        self.reorder((desc, place), plain, Place::Slot(slot))
    }

    /// The value as the operator gave it that makes it.
    pub(super) fn native(&mut self, value: ValueId) -> Result<(Desc, Place)> {
        if let Some(stored) = self.values.get(&value).and_then(|layouts| layouts.first()) {
            return Ok((stored.desc.copy()?, stored.place));
        }
        let constant = self.graph.constants.get(&value);
        let constant = constant.ok_or_else(|| Error::unsupported("", format!("value {value} is not there yet")))?;
        let desc = Desc::plain(&constant.size(), false)?;
        let place = Place::Fixed(pointer(constant));
        self.memory.push(constant.shallow_clone());
        self.store(value, desc.copy()?, place);
        Ok((desc, place))
    }

    /// The value in the given layout, reordered where it is not there yet.
    pub(super) fn layout(&mut self, value: ValueId, wanted: Desc) -> Result<(Desc, Place)> {
        let native = self.native(value)?;
        let layouts = self.values.get(&value).map(Vec::as_slice).unwrap_or_default();
        if let Some(stored) = layouts.iter().find(|stored| stored.desc == wanted) {
            return Ok((wanted, stored.place));
        }
        let place = self.buffer(&wanted);
        self.reorder(native, wanted.copy()?, place)?;
        self.store(value, wanted.copy()?, place);
        Ok((wanted, place))
    }

    pub(super) fn buffer(&mut self, desc: &Desc) -> Place {
        Place::Buffer(self.arena.add(desc.size(), self.steps.len()))
    }

    pub(super) fn reorder(&mut self, (from, source): (Desc, Place), to: Desc, result: Place) -> Result<()> {
        let op = Op::reorder([&from, &to])?;
        self.step(REORDER, op, vec![(argument::SOURCE, from, source), (argument::RESULT, to, result)])
    }

    /// Adds a step, whose buffers live until it at least.
    pub(super) fn step(
        &mut self,
        operator: &'static str,
        op: Op,
        mut arguments: Vec<(i32, Desc, Place)>,
    ) -> Result<()> {
        let scratchpad = op.wants(Role::Scratchpad)?;
        if scratchpad.size() > 0 {
            let place = self.buffer(&scratchpad);
            arguments.push((argument::SCRATCHPAD, scratchpad, place));
        }
        let step = self.steps.len();
        for (_, _, place) in &arguments {
            if let Place::Buffer(buffer) = place {
                self.arena.keep(*buffer, step);
            }
        }
        let label = Label { operator, kernel: op.kernel(), module: self.module.clone() };
        self.steps.push(Step { op, label, arguments });
        Ok(())
    }
    /// Arranges the memory and makes the plan.
    fn finish(mut self, inputs: Vec<Vec<i64>>, outputs: Vec<Vec<i64>>, plain: Graph) -> Result<Region> {
        let broken = self.weights.broken(&plain);
        let arena = bytes(self.arena.arrange().max(1))?;
        let base = pointer(&arena).cast::<u8>();
        let mut plan = Plan::new()?;
        let mut labels = Vec::new();
        for Step { op, label, arguments } in self.steps {
            labels.push(label);
            let arguments: Vec<(i32, &Desc, Address)> = arguments
                .iter()
                .map(|(argument, desc, place)| {
                    let address = match place {
                        Place::Buffer(buffer) => Address::Fixed(base.wrapping_add(self.arena.offset(*buffer)).cast()),
                        Place::Slot(slot) => Address::Slot(*slot),
                        Place::Fixed(pointer) => Address::Fixed(*pointer),
                    };
                    (*argument, desc, address)
                })
                .collect();
            // SAFETY: buffers lie in the arena, each as large as its description and apart from those that live at the same
            // time; other pointers are to constants and weights. The region keeps all of them.
            unsafe { plan.add(op, &arguments)? };
        }
        self.memory.push(arena);
        Ok(Region { plan, inputs, outputs, labels, plain, broken, _memory: self.memory })
    }
}
