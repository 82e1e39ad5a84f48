//! [`compile`]: layouts and memory for the units of a region.

use std::collections::HashMap;

use cxx::UniquePtr;
use mmcv_kernels::{Convolution, Tile};
use tch::Tensor;

use super::arena::{Arena, BufferId};
use super::desc::{self, Desc};
use super::ops;
use super::partition::Part;
use super::region::{Label, REORDER, Region};
use super::scales::Scales;
use super::unit::{After, Operand, Unit};
use super::weights::{Weights, bytes};
use super::winograd::Winograd;
use crate::bridge::{self, Algorithm, Argument, Op, Plan, Role, Type, fix, fix_attribute, new_attributes, new_plan};
use crate::error::{Error, Result};
use crate::graph::{Graph, Shapes, ValueId};
use crate::options::{FuseOptions, Precision, WinogradUse};
use crate::quantize::{Affine, Integers};

/// A node that oneDNN cannot run after all.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) node: usize,
    pub(crate) error: Error,
}

/// Where memory is, before the arena is arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Buffer(BufferId),
    /// One of the inputs and outputs of the region.
    Slot(usize),
    /// One of [`Compiler::memory`].
    Memory(usize),
}

/// A value in one layout.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) desc: Desc,
    pub(crate) place: Place,
    /// What its integers stand for, if it is in 8 bits.
    pub(crate) affine: Option<Affine>,
}

impl Stored {
    pub(crate) fn float(desc: Desc, place: Place) -> Self {
        Self { desc, place, affine: None }
    }
}

/// What is done.
struct Step {
    label: Label,
    work: Work,
}

enum Work {
    /// A primitive of oneDNN with the memory of its arguments, and its scales and zero points.
    Primitive {
        op: UniquePtr<Op>,
        arguments: Vec<(Argument, Place)>,
        scales: Vec<(Argument, Tensor)>,
    },
    Winograd(Box<Winograd<Place>>),
}

/// Makes the steps of a region.
pub(crate) struct Compiler<'a> {
    graph: &'a Graph,
    shapes: &'a Shapes,
    /// The type of numbers that are not in 8 bits.
    pub(crate) float: Type,
    pub(crate) winograd: WinogradUse,
    /// Whether grouped convolutions keep channels in blocks.
    blocked: bool,
    /// Whether products are those of matrix registers (AMX), whose kernels want channels last, of images too.
    pub(crate) tiles: bool,
    weights: &'a mut Weights,
    arena: Arena,
    steps: Vec<Step>,
    /// The node that is being prepared.
    node: usize,
    /// The module of the unit that is being prepared.
    module: String,
    values: HashMap<ValueId, Vec<Stored>>,
    /// The node of the unit that reads a value last; `usize::MAX` for outputs.
    last: HashMap<ValueId, usize>,
    memory: Vec<Tensor>,
}

/// Prepares the units of `part`.
pub(crate) fn compile(
    graph: &Graph,
    shapes: &Shapes,
    part: &Part,
    options: &FuseOptions,
    weights: &mut Weights,
) -> Result<Region, Refusal> {
    let mut last = HashMap::new();
    for unit in &part.units {
        for value in unit.inputs() {
            last.insert(value, unit.node);
        }
    }
    for value in &part.outputs {
        last.insert(*value, usize::MAX);
    }
    let refused = |error: cxx::Exception| Refusal { node: part.nodes.start, error: error.into() };
    let (float, tiles) = match options.precision {
        Precision::F32 => (Type::F32, false),
        Precision::Bf16 => (Type::Bf16, bridge::multiplies_tiles().map_err(refused)?),
    };
    let mut compiler = Compiler {
        graph,
        shapes,
        float,
        winograd: options.winograd,
        blocked: !tiles && part.units.iter().any(|unit| unit.kernel.prefers_blocks()),
        tiles,
        weights,
        arena: Arena::default(),
        steps: Vec::new(),
        node: part.nodes.start,
        module: String::new(),
        values: HashMap::new(),
        last,
        memory: Vec::new(),
    };
    compiler.part(part).map_err(|error| Refusal { node: compiler.node, error })
}

/// The nodes of `part` alone, without roundings to integers, which make numbers from what is none.
fn plain_graph(graph: &Graph, part: &Part) -> Graph {
    let nodes = graph.nodes.get(part.nodes.clone()).unwrap_or_default().to_vec();
    let mut constants = HashMap::new();
    for node in &nodes {
        for value in node.inputs() {
            if let Some(constant) = graph.constants.get(&value) {
                constants.insert(value, constant.shallow_clone());
            }
        }
    }
    let (inputs, outputs) = (part.inputs.clone(), part.outputs.clone());
    let mut plain = Graph { nodes, inputs, outputs, constants, questions: Vec::new(), next: graph.next };
    for index in (0..plain.nodes.len()).rev() {
        let Some(node) = plain.nodes.get(index) else { continue };
        if let (Some(_), Some(input), Some(output)) = (Affine::from_node(node), node.value(0), node.output()) {
            plain.nodes.remove(index);
            plain.replace(output, input);
        }
    }
    plain
}

impl Compiler<'_> {
    fn part(&mut self, part: &Part) -> Result<Region> {
        for (slot, value) in part.inputs.iter().enumerate() {
            let desc = desc::plain(&self.shape(*value)?, Type::F32)?;
            self.store(*value, Stored::float(desc, Place::Slot(slot)));
        }
        for unit in &part.units {
            self.node = unit.node;
            if let Some(node) = self.graph.nodes.get(unit.first) {
                node.module.clone_into(&mut self.module);
            }
            let stored = match (unit.kernel.lower(self, unit)?, unit.affine) {
                (float @ Stored { affine: None, .. }, Some(affine)) => self.quantized(&float, unit.output, affine)?,
                (stored, _) => stored,
            };
            self.store(unit.output, stored);
        }
        self.node = part.nodes.start;
        for (index, value) in part.outputs.iter().enumerate() {
            let plain = desc::plain(&self.shape(*value)?, Type::F32)?;
            let native = self.native(*value)?;
            self.reorder(&native, &Stored::float(plain, Place::Slot(part.inputs.len() + index)))?;
        }
        self.finish(part)
    }

    pub(crate) fn shape(&self, value: ValueId) -> Result<Vec<i64>> {
        match self.shapes.get(&value) {
            Some((shape, _)) => Ok(shape.clone()),
            None => Err(Error::unsupported("", format!("the shape of value {value} is not known"))),
        }
    }

    /// The layout of activations that an operator is asked for: blocks of channels or what it likes.
    pub(crate) fn preferred(&self, shape: &[i64]) -> Result<Desc> {
        if self.blocked && shape.len() > 2 { desc::blocked(shape, self.float) } else { desc::any(shape, self.float) }
    }

    /// A layout in which the channels of an element lie side by side: in blocks, or all.
    pub(crate) fn interleaved(&self, shape: &[i64]) -> Result<Desc> {
        if self.blocked { desc::blocked(shape, self.float) } else { desc::channels_last(shape, self.float) }
    }

    fn store(&mut self, value: ValueId, stored: Stored) {
        self.values.entry(value).or_default().push(stored);
    }

    /// The value in the layout that it was made in.
    pub(crate) fn native(&mut self, value: ValueId) -> Result<Stored> {
        if let Some(layouts) = self.values.get(&value)
            && let Some(stored) = layouts.first()
        {
            return Ok(stored.clone());
        }
        let Some(constant) = self.graph.constants.get(&value) else {
            return Err(Error::unsupported("", format!("value {value} is not there yet")));
        };
        let desc = desc::plain(&constant.size(), Type::F32)?;
        let stored = Stored::float(desc, self.keep(constant.shallow_clone()));
        self.store(value, stored.clone());
        Ok(stored)
    }

    /// [`Self::native`] as numbers in the type of activations: inputs and constants have 32 bits.
    pub(crate) fn typed(&mut self, value: ValueId) -> Result<Stored> {
        let native = self.native(value)?;
        if native.affine.is_some() {
            let desc = self.interleaved(&self.shape(value)?)?;
            return self.layout(value, desc);
        }
        if self.float != Type::F32 && !matches!(native.place, Place::Buffer(_)) {
            return self.layout(value, desc::plain(&self.shape(value)?, self.float)?);
        }
        Ok(native)
    }

    /// The value as integers of 8 bits if it is in them, else as [`Self::typed`]; and the type.
    pub(crate) fn integers_or_numbers(&mut self, value: ValueId) -> Result<(Stored, Type)> {
        let native = self.native(value)?;
        if native.affine.is_some() { Ok((native, Type::U8)) } else { Ok((self.typed(value)?, self.float)) }
    }

    /// Numbers as integers of 8 bits, channels last.
    pub(crate) fn quantized(&mut self, from: &Stored, value: ValueId, affine: Affine) -> Result<Stored> {
        let desc = desc::channels_last(&self.shape(value)?, Type::U8)?;
        let stored = Stored { place: self.buffer(&desc), desc, affine: Some(affine) };
        self.reorder(from, &stored)?;
        Ok(stored)
    }

    /// The value in this layout, into which it is reordered unless it exists.
    pub(crate) fn layout(&mut self, value: ValueId, desc: Desc) -> Result<Stored> {
        let native = self.native(value)?;
        if let Some(layouts) = self.values.get(&value)
            && let Some(stored) = layouts.iter().find(|stored| stored.desc == desc)
        {
            return Ok(Stored { desc, ..*stored });
        }
        let affine = if desc.kind()? == Type::U8 { native.affine } else { None };
        let stored = Stored { place: self.buffer(&desc), desc, affine };
        self.reorder(&native, &stored)?;
        self.store(value, stored.clone());
        Ok(stored)
    }

    /// The constant `weight`, whose memory `user` describes, in the layout `wanted`.
    pub(crate) fn prepacked(&mut self, weight: ValueId, user: &Desc, wanted: &Desc) -> Result<Place> {
        let plain = self.constant(weight)?;
        let packed = self.weights.packed(weight, &plain, user, wanted)?;
        Ok(self.keep(packed))
    }

    /// The integers that stand for the constant `weight`, if there are some.
    pub(crate) fn integers(&self, weight: ValueId) -> Option<Integers> {
        self.weights.integers(weight)
    }

    /// These integers, whose memory `user` describes, in the layout `wanted`.
    pub(crate) fn packed_integers(
        &mut self,
        (weight, integers): (ValueId, &Integers),
        user: &Desc,
        wanted: &Desc,
    ) -> Result<Place> {
        let packed = self.weights.packed_integers((weight, integers), user, wanted)?;
        Ok(self.keep(packed))
    }

    /// The constant `weight` as `convolution` with this tile wants it.
    pub(crate) fn transformed(&mut self, weight: ValueId, tile: Tile, convolution: &Convolution) -> Result<Tensor> {
        let plain = self.constant(weight)?;
        self.weights.transformed((weight, &plain), (tile, convolution))
    }

    /// The module of the unit that is being prepared.
    pub(crate) fn module(&self) -> &str {
        &self.module
    }

    /// [`Weights::prescribed`].
    pub(crate) fn prescribed(&self, weight: ValueId) -> Option<Option<Tile>> {
        self.weights.prescribed(weight)
    }

    /// A constant of the graph.
    pub(crate) fn constant(&self, value: ValueId) -> Result<Tensor> {
        match self.graph.constants.get(&value) {
            Some(constant) => Ok(constant.shallow_clone()),
            None => Err(Error::unsupported("", "a weight is not constant")),
        }
    }

    fn keep(&mut self, tensor: Tensor) -> Place {
        self.memory.push(tensor);
        Place::Memory(self.memory.len() - 1)
    }

    pub(crate) fn buffer(&mut self, desc: &Desc) -> Place {
        self.bytes(desc.size())
    }

    /// A new buffer for the next step.
    pub(crate) fn bytes(&mut self, size: usize) -> Place {
        Place::Buffer(self.arena.add(size, self.steps.len()))
    }

    /// A new buffer for memory of this layout.
    pub(crate) fn stored(&mut self, desc: Desc) -> Stored {
        let place = self.buffer(&desc);
        Stored::float(desc, place)
    }

    /// Whether the value's buffer may be overwritten by the unit: nothing reads it later, or from another value.
    pub(crate) fn dies(&self, value: ValueId, unit: &Unit) -> bool {
        let is_last = self.last.get(&value) == Some(&unit.node) && !unit.kernel.inputs().contains(&value);
        let Some(layouts) = self.values.get(&value) else { return false };
        is_last && layouts.iter().all(|stored| self.is_owned(value, stored.place))
    }

    /// Whether the place is a buffer that no other value has which is still read.
    fn is_owned(&self, value: ValueId, place: Place) -> bool {
        matches!(place, Place::Buffer(_)) && !self.shares(value, place)
    }

    /// The other operands of what is done after a unit.
    pub(crate) fn operands(&mut self, unit: &Unit) -> Result<Vec<Operand>> {
        self.operands_for(unit, None)
    }

    /// [`Self::operands`] of a unit whose result is written as integers in this layout, if there is one: integers are added where
    /// they lie.
    pub(crate) fn operands_for(&mut self, unit: &Unit, integers: Option<&Desc>) -> Result<Vec<Operand>> {
        let mut operands = Vec::new();
        let output = self.shape(unit.output)?;
        for after in &unit.after {
            let After::Binary(algorithm, value) = after else { continue };
            let shape = self.shape(*value)?;
            let is_sum = *algorithm == Algorithm::Add && shape == output;
            if let (Some(result), Some(affine), true) = (integers, self.native(*value)?.affine, is_sum) {
                let (desc, place) = (result.clone(), self.overwritable(*value, unit, result)?);
                operands.push(Operand { algorithm: *algorithm, desc, place, in_place: true, affine: Some(affine) });
                continue;
            }
            let Stored { desc, place, .. } = self.typed(*value)?;
            let in_place = is_sum && integers.is_none() && self.dies(*value, unit);
            let desc = if shape.len() == output.len() {
                desc
            } else {
                desc::plain(&with_axes(&shape, output.len()), self.float)?
            };
            operands.push(Operand { algorithm: *algorithm, desc, place, in_place, affine: None });
        }
        Ok(operands)
    }

    /// The value in this layout in a buffer that the unit may overwrite.
    fn overwritable(&mut self, value: ValueId, unit: &Unit, desc: &Desc) -> Result<Place> {
        let stored = self.layout(value, desc.clone())?;
        if self.dies(value, unit) {
            return Ok(stored.place);
        }
        let copy = Stored { place: self.buffer(desc), ..stored.clone() };
        self.reorder(&stored, &copy)?;
        Ok(copy.place)
    }

    /// Whether another value that is read by this unit, or later, has the same buffer: the one that a reshape made from it.
    fn shares(&self, value: ValueId, place: Place) -> bool {
        for (other, layouts) in &self.values {
            let is_read = self.last.get(other).is_some_and(|last| *last >= self.node);
            if *other != value && is_read && layouts.iter().any(|stored| stored.place == place) {
                return true;
            }
        }
        false
    }

    /// Adds a step that writes the same numbers, or integers, in another layout or type.
    pub(crate) fn reorder(&mut self, from: &Stored, to: &Stored) -> Result<()> {
        let (source, result) = if from.affine == to.affine { (None, None) } else { (from.affine, to.affine) };
        let mut scales = Scales::new(new_attributes()?);
        scales.source(source)?;
        scales.result(result)?;
        let op = bridge::reorder(&from.desc, &to.desc, &scales.attributes)?;
        let arguments = vec![(Role::Source.into(), from.place), (Role::Result.into(), to.place)];
        self.scaled_step(REORDER, op, arguments, scales.values)
    }

    /// Adds an operator with one input; returns its result.
    pub(crate) fn simple(&mut self, operator: &'static str, op: UniquePtr<Op>, source: Place) -> Result<Stored> {
        self.result(operator, op, vec![(Role::Source.into(), source)])
    }

    /// Adds an operator whose result is put into a new buffer; returns it.
    pub(crate) fn result(
        &mut self,
        operator: &'static str,
        op: UniquePtr<Op>,
        mut arguments: Vec<(Argument, Place)>,
    ) -> Result<Stored> {
        let desc = op.wants(Role::Result.into())?;
        let place = self.buffer(&desc);
        arguments.push((Role::Result.into(), place));
        self.step(operator, op, arguments)?;
        Ok(Stored::float(desc, place))
    }

    /// Adds a step, whose buffers live until it at least.
    pub(crate) fn step(
        &mut self,
        operator: &'static str,
        op: UniquePtr<Op>,
        arguments: Vec<(Argument, Place)>,
    ) -> Result<()> {
        self.scaled_step(operator, op, arguments, Vec::new())
    }

    /// [`Self::step`] for integers, with their scales and zero points.
    pub(crate) fn scaled_step(
        &mut self,
        operator: &'static str,
        op: UniquePtr<Op>,
        mut arguments: Vec<(Argument, Place)>,
        scales: Vec<(Argument, Tensor)>,
    ) -> Result<()> {
        let scratchpad = op.wants(Role::Scratchpad.into())?;
        if scratchpad.size() > 0 {
            arguments.push((Role::Scratchpad.into(), self.buffer(&scratchpad)));
        }
        let step = self.steps.len();
        for (_, place) in &arguments {
            if let Place::Buffer(buffer) = place {
                self.arena.keep(*buffer, step);
            }
        }
        let label = Label { operator, kernel: op.kernel(), module: self.module.clone() };
        self.steps.push(Step { label, work: Work::Primitive { op, arguments, scales } });
        Ok(())
    }

    /// Adds a convolution, whose buffers live until it at least.
    pub(crate) fn winograd_step(&mut self, kernel: String, winograd: Winograd<Place>) {
        for place in winograd.places() {
            if let Place::Buffer(buffer) = place {
                self.arena.keep(buffer, self.steps.len());
            }
        }
        let label = Label { operator: ops::convolution::OPERATOR.name, kernel, module: self.module.clone() };
        self.steps.push(Step { label, work: Work::Winograd(Box::new(winograd)) });
    }

    /// Arranges the memory and makes the plan.
    fn finish(&mut self, part: &Part) -> Result<Region> {
        let inputs = part.inputs.iter().map(|value| self.shape(*value)).collect::<Result<_>>()?;
        let outputs = part.outputs.iter().map(|value| self.shape(*value)).collect::<Result<_>>()?;
        let plain = plain_graph(self.graph, part);
        let broken = self.weights.broken(&plain);
        let arena = bytes(self.arena.arrange().max(1))?;
        let mut plan = new_plan()?;
        let (mut labels, mut convolutions, mut primitives) = (Vec::with_capacity(self.steps.len()), Vec::new(), 0);
        for Step { label, work } in std::mem::take(&mut self.steps) {
            labels.push(label);
            match work {
                Work::Primitive { op, arguments, scales } => {
                    plan.pin_mut().step(op)?;
                    self.place(&mut plan, &arena, arguments)?;
                    for (argument, values) in scales {
                        fix_attribute(&mut plan, argument, &values)?;
                    }
                    primitives += 1;
                }
                Work::Winograd(winograd) => convolutions.push((primitives, winograd.placed(&self.arena)?)),
            }
        }
        Ok(Region { plan, primitives, convolutions, arena, inputs, outputs, labels, plain, packed: Vec::new(), broken })
    }

    /// Tells the last operator of the plan where its arguments are.
    fn place(&self, plan: &mut UniquePtr<Plan>, arena: &Tensor, arguments: Vec<(Argument, Place)>) -> Result<()> {
        for (argument, place) in arguments {
            match place {
                Place::Buffer(buffer) => fix(plan, argument, arena, self.arena.offset(buffer))?,
                Place::Slot(slot) => plan.pin_mut().slot(argument, slot)?,
                Place::Memory(index) => match self.memory.get(index) {
                    Some(memory) => fix(plan, argument, memory, 0)?,
                    None => return Err(Error::unsupported("", "a constant is missing")),
                },
            }
        }
        Ok(())
    }
}

/// The shape with ones in front, so that it has this many axes.
pub(crate) fn with_axes(shape: &[i64], axes: usize) -> Vec<i64> {
    let mut full = vec![1; axes.saturating_sub(shape.len())];
    full.extend_from_slice(shape);
    full
}
