//! [`compile`]: layouts, memory and primitives for the units of a region.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::c_void;

use tch::{Device, Kind, Tensor};

use super::arena::{Arena, BufferId};
use super::ffi::{Address, Desc, Op, Plan, Post, Role, Window};
use super::pointer;
use super::region::Part;
use super::unit::{After, Kernel, Shapes, Unit, algorithm};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::ops::Convolution;
use crate::options::Dtype;

/// `DNNL_ARG_*`.
mod argument {
    pub(super) const SOURCE: i32 = 1;
    pub(super) const SOURCE_1: i32 = 2;
    pub(super) const RESULT: i32 = 17;
    pub(super) const WEIGHTS: i32 = 33;
    pub(super) const BIAS: i32 = 41;
    pub(super) const SCRATCHPAD: i32 = 80;
    pub(super) const MULTIPLE_SOURCE: i32 = 1024;
    pub(super) const POST_OP: i32 = 32768;
}

/// Nodes that oneDNN runs, prepared for inputs of given shapes.
#[derive(Debug)]
pub(crate) struct Region {
    plan: Plan,
    outputs: Vec<Vec<i64>>,
    /// What each step is.
    labels: Vec<Label>,
    /// What the plan has pointers to.
    _memory: Vec<Tensor>,
}

/// Weights in the layouts that kernels want, for all programs of a fused module.
#[derive(Debug, Default)]
pub(crate) struct Weights(HashMap<ValueId, Vec<(Desc, Tensor)>>);

/// What a step is, for people.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) operator: &'static str,
    /// oneDNN's name of it.
    pub(crate) kernel: String,
    /// The module whose forward pass it is part of.
    pub(crate) module: String,
}

const REORDER: &str = "reorder";

/// A node that oneDNN cannot run after all.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) node: usize,
    pub(super) error: Error,
}

impl Region {
    /// The outputs for these inputs.
    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.run_timed(inputs, None)
    }

    /// The outputs for these inputs, and what the steps are with the milliseconds that each took.
    pub(crate) fn profile(&mut self, inputs: &[&Tensor]) -> Result<(Vec<Tensor>, Vec<(Label, f64)>)> {
        let mut times = vec![0.0; self.labels.len()];
        let outputs = self.run_timed(inputs, Some(&mut times))?;
        Ok((outputs, self.labels.iter().cloned().zip(times).collect()))
    }

    fn run_timed(&mut self, inputs: &[&Tensor], times: Option<&mut [f64]>) -> Result<Vec<Tensor>> {
        let inputs = inputs.iter().map(|input| Ok(input.f_contiguous()?)).collect::<Result<Vec<_>>>()?;
        let outputs = self.outputs.iter().map(|shape| Ok(Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let pointers: Vec<*mut c_void> = inputs.iter().chain(&outputs).map(pointer).collect();
        // SAFETY: the slots are those of the inputs, which have the shapes that the region was compiled for, contiguous
        // and of 32 bits, and of the outputs, made above; the program checks the shapes.
        unsafe { self.plan.run(&pointers, times)? };
        Ok(outputs)
    }

    /// The numbers of primitives and of reorders among them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.labels.len(), self.labels.iter().filter(|label| label.operator == REORDER).count())
    }
}

/// Where memory is, before the arena is arranged.
#[derive(Debug, Clone, Copy)]
enum Place {
    Buffer(BufferId),
    Slot(usize),
    Fixed(*mut c_void),
}

/// A value in one layout.
#[derive(Debug)]
struct Stored {
    desc: Desc,
    place: Place,
}

/// A primitive with the memory of its arguments.
struct Step {
    op: Op,
    label: Label,
    arguments: Vec<(i32, Desc, Place)>,
}

struct Compiler<'a> {
    graph: &'a Graph,
    shapes: &'a Shapes,
    bf16: bool,
    blocked: bool,
    weights: &'a mut Weights,
    arena: Arena,
    steps: Vec<Step>,
    /// The module of the unit that is being prepared.
    module: String,
    values: HashMap<ValueId, Vec<Stored>>,
    /// The unit that reads a value last; `usize::MAX` for outputs.
    last: HashMap<ValueId, usize>,
    memory: Vec<Tensor>,
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
    compiler.finish(outputs).map_err(refused(first))
}

impl Compiler<'_> {
    fn shape(&self, value: ValueId) -> Result<Vec<i64>> {
        let shape = self.shapes.get(&value).map(|(shape, _)| shape.clone());
        shape.ok_or_else(|| Error::unsupported("", format!("the shape of value {value} is not known")))
    }

    /// The layout of activations that an operator is asked for: blocks of channels or what it likes.
    fn preferred(&self, shape: &[i64]) -> Result<Desc> {
        if self.blocked && shape.len() > 2 { Desc::blocked(shape, self.bf16) } else { Desc::any(shape, self.bf16) }
    }

    fn store(&mut self, value: ValueId, desc: Desc, place: Place) {
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
    fn native(&mut self, value: ValueId) -> Result<(Desc, Place)> {
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
    fn layout(&mut self, value: ValueId, wanted: Desc) -> Result<(Desc, Place)> {
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

    fn buffer(&mut self, desc: &Desc) -> Place {
        Place::Buffer(self.arena.add(desc.size(), self.steps.len()))
    }

    fn reorder(&mut self, (from, source): (Desc, Place), to: Desc, result: Place) -> Result<()> {
        let op = Op::reorder([&from, &to])?;
        self.step(REORDER, op, vec![(argument::SOURCE, from, source), (argument::RESULT, to, result)])
    }

    /// Adds a step, whose buffers live until it at least.
    fn step(&mut self, operator: &'static str, op: Op, mut arguments: Vec<(i32, Desc, Place)>) -> Result<()> {
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

    fn unit(&mut self, index: usize, unit: &Unit) -> Result<()> {
        self.module = self.graph.nodes.get(unit.node).map(|node| node.module.clone()).unwrap_or_default();
        let (desc, place) = match &unit.kernel {
            Kernel::Convolution(convolution) => self.convolution(index, unit, convolution)?,
            Kernel::Linear(input, weight, bias) => self.linear(unit, *input, *weight, *bias)?,
            Kernel::Pool { algorithm, input, kernel, window } => {
                let (from, source) = self.native(*input)?;
                let from = self.typed(*input, (from, source))?;
                let to = Desc::any(&self.shape(unit.output)?, self.bf16)?;
                let op = Op::pooling(*algorithm, [&from.0, &to], kernel, window)?;
                self.simple("pooling", op, from)?
            }
            Kernel::Eltwise(input, eltwise) => {
                let from = self.native(*input)?;
                let from = self.typed(*input, from)?;
                let op = Op::eltwise(*eltwise, [&from.0, &from.0])?;
                self.simple("elementwise", op, from)?
            }
            Kernel::Binary(algorithm, left, right) => self.binary(unit, *algorithm, *left, *right)?,
            Kernel::Concat(inputs, axis) => self.concat(inputs, *axis)?,
            Kernel::Resample(algorithm, input) => {
                let from = self.native(*input)?;
                let from = self.typed(*input, from)?;
                let to = Desc::any(&self.shape(unit.output)?, self.bf16)?;
                let op = Op::resampling(*algorithm, [&from.0, &to])?;
                self.simple("resampling", op, from)?
            }
            Kernel::Reshape(input) => {
                let (_, place) = self.layout(*input, Desc::plain(&self.shape(*input)?, self.bf16)?)?;
                (Desc::plain(&self.shape(unit.output)?, self.bf16)?, place)
            }
            Kernel::Part(input, from) => self.part(unit, *input, *from)?,
        };
        self.store(unit.output, desc, place);
        Ok(())
    }

    /// The value in the type of activations: inputs and constants have 32 bits.
    fn typed(&mut self, value: ValueId, native: (Desc, Place)) -> Result<(Desc, Place)> {
        let given = matches!(native.1, Place::Slot(_) | Place::Fixed(_));
        if self.bf16 && given { self.layout(value, Desc::plain(&self.shape(value)?, true)?) } else { Ok(native) }
    }

    /// Adds an operator with one input, and gives its result.
    fn simple(&mut self, operator: &'static str, op: Op, (from, source): (Desc, Place)) -> Result<(Desc, Place)> {
        let to = op.wants(Role::Result)?;
        let result = self.buffer(&to);
        self.step(operator, op, vec![(argument::SOURCE, from, source), (argument::RESULT, to.copy()?, result)])?;
        Ok((to, result))
    }

    fn convolution(&mut self, index: usize, unit: &Unit, convolution: &Convolution) -> Result<(Desc, Place)> {
        let shape = self.shape(convolution.input)?;
        let native = self.native(convolution.input)?;
        // An image has too few channels for blocks.
        let image = shape.get(1).is_some_and(|channels| *channels <= 4);
        let source = if image { Desc::plain(&shape, self.bf16)? } else { self.preferred(&shape)? };
        let output = self.shape(unit.output)?;
        let operands = self.operands(index, unit)?;
        let posts: Vec<Post<'_>> = posts(unit, &operands);
        let weight_shape = self.shape(convolution.weight)?;
        let (grouped, strides) = weight_layout(&weight_shape, convolution);
        let bias = convolution.bias.map(|bias| self.native(bias)).transpose()?;
        let weights = Desc::any(&grouped, self.bf16)?;
        let window = window(convolution);
        let in_place = operands.iter().find(|operand| operand.in_place);
        let with = |source: &Desc, result: &Desc| {
            let result = in_place.map_or(result, |operand| &operand.desc);
            let bias = bias.as_ref().map(|(desc, _)| desc);
            let op = Op::convolution(convolution.transposed, [source, &weights, result], bias, &window, &posts)?;
            if op.kernel().contains("ref") {
                return Err(Error::unsupported("", format!("oneDNN has only its slow kernel ({})", op.kernel())));
            }
            Ok(op)
        };
        let op = with(&source, &self.preferred(&output)?)
            .or_else(|_| with(&Desc::any(&shape, self.bf16)?, &Desc::any(&output, self.bf16)?))?;
        let wanted = op.wants(Role::Source)?;
        let (from, source) = if wanted == native.0 { native } else { self.layout(convolution.input, wanted)? };
        let user = Desc::strided(&grouped, &strides, false)?;
        let weights = self.prepacked(convolution.weight, user, op.wants(Role::Weights)?)?;
        let to = op.wants(Role::Result)?;
        let result = match operands.iter().find(|operand| operand.in_place) {
            Some(operand) => operand.place,
            None => self.buffer(&to),
        };
        let mut arguments = vec![
            (argument::SOURCE, from, source),
            (argument::WEIGHTS, weights.0, weights.1),
            (argument::RESULT, to.copy()?, result),
        ];
        arguments.extend(bias.map(|(desc, place)| (argument::BIAS, desc, place)));
        self.with_operands(unit, operands, &mut arguments);
        self.step("convolution", op, arguments)?;
        Ok((to, result))
    }

    fn linear(&mut self, unit: &Unit, input: ValueId, weight: ValueId, bias: Option<ValueId>) -> Result<(Desc, Place)> {
        let shape = self.shape(input)?;
        let (from, source) = self.layout(input, Desc::plain(&shape, self.bf16)?)?;
        let weight_shape = self.shape(weight)?;
        let bias = bias.map(|bias| self.native(bias)).transpose()?;
        let to = Desc::plain(&self.shape(unit.output)?, self.bf16)?;
        let descs = [&from, &Desc::any(&weight_shape, self.bf16)?, &to];
        let op = Op::inner_product(descs, bias.as_ref().map(|(desc, _)| desc), &posts(unit, &[]))?;
        let user = Desc::plain(&weight_shape, false)?;
        let weights = self.prepacked(weight, user, op.wants(Role::Weights)?)?;
        let result = self.buffer(&to);
        let mut arguments = vec![
            (argument::SOURCE, from, source),
            (argument::WEIGHTS, weights.0, weights.1),
            (argument::RESULT, to.copy()?, result),
        ];
        arguments.extend(bias.map(|(desc, place)| (argument::BIAS, desc, place)));
        self.step("linear", op, arguments)?;
        Ok((to, result))
    }

    fn binary(&mut self, unit: &Unit, algorithm: i32, left: ValueId, right: ValueId) -> Result<(Desc, Place)> {
        let shape = self.shape(left)?;
        let native = self.native(left)?;
        let left = self.typed(left, native)?;
        let right_shape = self.shape(right)?;
        let right = if right_shape == shape {
            self.layout(right, left.0.copy()?)?
        } else if right_shape.len() == shape.len() {
            let native = self.native(right)?;
            self.typed(right, native)?
        } else {
            // A constant with fewer axes.
            let (_, place) = self.native(right)?;
            let ones = vec![1; shape.len().saturating_sub(right_shape.len())];
            (Desc::plain(&[ones, right_shape].concat(), false)?, place)
        };
        let to = left.0.copy()?;
        let op = Op::binary(algorithm, [&left.0, &right.0, &to], &posts(unit, &[]))?;
        let result = self.buffer(&to);
        let arguments = vec![
            (argument::SOURCE, left.0, left.1),
            (argument::SOURCE_1, right.0, right.1),
            (argument::RESULT, to.copy()?, result),
        ];
        self.step("binary", op, arguments)?;
        Ok((to, result))
    }

    fn concat(&mut self, inputs: &[ValueId], axis: usize) -> Result<(Desc, Place)> {
        let mut sources = Vec::new();
        for input in inputs {
            let native = self.native(*input)?;
            sources.push(self.typed(*input, native)?);
        }
        let descs: Vec<&Desc> = sources.iter().map(|(desc, _)| desc).collect();
        let op = Op::concat(i32::try_from(axis).unwrap_or(1), &descs, None)?;
        let to = op.wants(Role::Result)?;
        let result = self.buffer(&to);
        let numbered = (argument::MULTIPLE_SOURCE..).zip(sources);
        let mut arguments: Vec<_> = numbered.map(|(argument, (desc, place))| (argument, desc, place)).collect();
        arguments.push((argument::RESULT, to.copy()?, result));
        self.step("concatenation", op, arguments)?;
        Ok((to, result))
    }

    /// A copy of a part of the channels.
    fn part(&mut self, unit: &Unit, input: ValueId, from: i64) -> Result<(Desc, Place)> {
        let shape = self.shape(unit.output)?;
        let mut offsets = vec![0; shape.len()];
        if let Some(channel) = offsets.get_mut(1) {
            *channel = from;
        }
        let native = self.native(input)?;
        let (whole, place) = self.typed(input, native)?;
        let (part, place) = match whole.part(&shape, &offsets) {
            Ok(part) => (part, place),
            // Blocks of channels can be cut between blocks only.
            Err(_) => {
                let (whole, place) = self.layout(input, Desc::channels_last(&self.shape(input)?, self.bf16)?)?;
                (whole.part(&shape, &offsets)?, place)
            }
        };
        let to = if self.blocked { Desc::blocked(&shape, self.bf16)? } else { Desc::channels_last(&shape, self.bf16)? };
        let result = self.buffer(&to);
        self.reorder((part, place), to.copy()?, result)?;
        Ok((to, result))
    }

    /// The constant `weight`, whose memory is as `user` says, in the wanted layout.
    fn prepacked(&mut self, weight: ValueId, user: Desc, wanted: Desc) -> Result<(Desc, Place)> {
        let known = self.weights.0.entry(weight).or_default();
        let packed = match known.iter().find(|(desc, _)| *desc == wanted) {
            Some((_, packed)) => packed.shallow_clone(),
            None => {
                let plain = self.graph.constants.get(&weight);
                let plain = plain.ok_or_else(|| Error::unsupported("", "a weight is not constant"))?;
                let packed = bytes(wanted.size())?;
                let mut plan = Plan::new();
                let op = Op::reorder([&user, &wanted])?;
                let arguments = [
                    (argument::SOURCE, &user, Address::Fixed(pointer(plain))),
                    (argument::RESULT, &wanted, Address::Fixed(pointer(&packed))),
                ];
                let scratchpad = op.wants(Role::Scratchpad)?;
                let scratch = bytes(scratchpad.size().max(1))?;
                let scratch = (argument::SCRATCHPAD, &scratchpad, Address::Fixed(pointer(&scratch)));
                let with = if scratchpad.size() > 0 { vec![scratch] } else { Vec::new() };
                // SAFETY: the constant is contiguous and has the shape that `user` says; `packed` and the scratchpad are as
                // large as their descriptions; all live through the run.
                unsafe {
                    plan.add(op, &[&arguments[..], &with].concat())?;
                    plan.run(&[], None)?;
                }
                known.push((wanted.copy()?, packed.shallow_clone()));
                packed
            }
        };
        let place = Place::Fixed(pointer(&packed));
        self.memory.push(packed);
        Ok((wanted, place))
    }

    /// The second operands of what is done after a convolution.
    fn operands(&mut self, index: usize, unit: &Unit) -> Result<Vec<Operand>> {
        let mut operands = Vec::new();
        for after in &unit.after {
            let After::Binary(algorithm, value) = after else { continue };
            let native = self.native(*value)?;
            let (desc, place) = self.typed(*value, native)?;
            let shape = self.shape(*value)?;
            let same_shape = shape == self.shape(unit.output)?;
            let dies = self.last.get(value) == Some(&index) && !unit.kernel.inputs().contains(value);
            let owned = matches!(place, Place::Buffer(_)) && !self.shares(*value, place);
            let in_place = *algorithm == algorithm::ADD && same_shape && dies && owned;
            let full = self.shape(unit.output)?.len();
            let desc = if shape.len() == full {
                desc
            } else {
                Desc::plain(&[vec![1; full.saturating_sub(shape.len())], shape].concat(), false)?
            };
            operands.push(Operand { algorithm: *algorithm, desc, place, in_place });
        }
        Ok(operands)
    }

    /// Whether another value has the same buffer: the one that a reshape made of it.
    fn shares(&self, value: ValueId, place: Place) -> bool {
        let Place::Buffer(buffer) = place else { return false };
        let same = |stored: &Stored| matches!(stored.place, Place::Buffer(other) if other == buffer);
        self.values.iter().any(|(other, layouts)| *other != value && layouts.iter().any(same))
    }

    fn with_operands(&self, unit: &Unit, operands: Vec<Operand>, arguments: &mut Vec<(i32, Desc, Place)>) {
        let positions = (1..).zip(&unit.after).filter(|(_, after)| matches!(after, After::Binary(..)));
        for ((position, _), operand) in positions.zip(operands) {
            if !operand.in_place {
                arguments.push((argument::POST_OP * position | argument::SOURCE_1, operand.desc, operand.place));
            }
        }
    }

    /// Arranges the memory and makes the plan.
    fn finish(mut self, outputs: Vec<Vec<i64>>) -> Result<Region> {
        let arena = bytes(self.arena.arrange().max(1))?;
        let base = pointer(&arena).cast::<u8>();
        let mut plan = Plan::new();
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
        Ok(Region { plan, outputs, labels, _memory: self.memory })
    }
}

/// A second operand of what is done after a convolution.
struct Operand {
    algorithm: i32,
    desc: Desc,
    place: Place,
    /// Whether the result is written over it.
    in_place: bool,
}

fn posts<'a>(unit: &Unit, operands: &'a [Operand]) -> Vec<Post<'a>> {
    let mut operands = operands.iter();
    let post = |after: &After| match after {
        After::Eltwise(eltwise) => Some(Post::Eltwise(*eltwise)),
        After::Binary(..) => operands
            .next()
            .map(|operand| if operand.in_place { Post::Sum } else { Post::Binary(operand.algorithm, &operand.desc) }),
    };
    unit.after.iter().filter_map(post).collect()
}

fn window(convolution: &Convolution) -> Window {
    let Convolution { stride, padding, dilation, output_padding, transposed, .. } = convolution;
    let less = |(padding, more): (&i64, &i64)| if *transposed { padding - more } else { *padding };
    Window {
        strides: stride.clone(),
        dilations: dilation.iter().map(|dilation| dilation - 1).collect(),
        before: padding.clone(),
        after: padding.iter().zip(output_padding).map(less).collect(),
    }
}

/// The shape that oneDNN gives a weight, `[groups, out / groups, in / groups, *kernel]` without groups where there is one,
/// and the strides with which libtorch's lies in memory: transposed convolutions have inputs and outputs exchanged.
fn weight_layout(shape: &[i64], convolution: &Convolution) -> (Vec<i64>, Vec<i64>) {
    let groups = convolution.groups.max(1);
    let [first, second, kernel @ ..] = shape else { return (shape.to_vec(), Vec::new()) };
    let first = first / groups;
    let mut strides = Vec::new();
    let mut stride = 1;
    for size in kernel.iter().rev() {
        strides.insert(0, stride);
        stride *= size;
    }
    let (second_stride, first_stride) = (stride, stride * second);
    let group_stride = first_stride * first;
    let (sizes, heads) = if convolution.transposed {
        ([*second, first], [second_stride, first_stride])
    } else {
        ([first, *second], [first_stride, second_stride])
    };
    let shape = [&sizes[..], kernel].concat();
    let strides = [&heads[..], &strides].concat();
    if groups == 1 {
        (shape, strides)
    } else {
        ([&[groups], &shape[..]].concat(), [&[group_stride], &strides[..]].concat())
    }
}

fn bytes(size: usize) -> Result<Tensor> {
    let size = i64::try_from(size).map_err(|_| Error::unsupported("", "its memory is too large"))?;
    Ok(Tensor::f_empty([size], (Kind::Uint8, Device::Cpu))?)
}
