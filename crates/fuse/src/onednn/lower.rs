//! The primitives of each kind of unit.

use tch::Tensor;

use super::argument;
use super::compile::{Compiler, Place, Stored};
use super::ffi::{Desc, Op, Post, Role, Window};
use super::program::pointer;
use super::unit::{After, Kernel, Unit, algorithm};
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::ops::Convolution;

impl Compiler<'_> {
    /// Adds the steps of a unit, the one at `index`.
    pub(super) fn unit(&mut self, index: usize, unit: &Unit) -> Result<()> {
        self.module = self.graph.nodes.get(unit.first).map(|node| node.module.clone()).unwrap_or_default();
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
                // The layouts are given: for inputs of one element along an axis oneDNN may take two different ones.
                let wanted = self.interleaved(&self.shape(*input)?)?;
                let from = self.layout(*input, wanted)?;
                let to = self.interleaved(&self.shape(unit.output)?)?;
                let op = Op::resampling(*algorithm, [&from.0, &to])?;
                self.simple("resampling", op, from)?
            }
            Kernel::Reshape(input) => {
                let (_, place) = self.layout(*input, Desc::plain(&self.shape(*input)?, self.bf16)?)?;
                (Desc::plain(&self.shape(unit.output)?, self.bf16)?, place)
            }
            Kernel::Same(input) => self.native(*input)?,
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
        let weights = self.prepacked(convolution.weight, &user, op.wants(Role::Weights)?)?;
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
        let weights = self.prepacked(weight, &user, op.wants(Role::Weights)?)?;
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
        let to = self.interleaved(&shape)?;
        let result = self.buffer(&to);
        self.reorder((part, place), to.copy()?, result)?;
        Ok((to, result))
    }

    /// The constant `weight`, whose memory is as `user` says, in the wanted layout.
    fn prepacked(&mut self, weight: ValueId, user: &Desc, wanted: Desc) -> Result<(Desc, Place)> {
        let plain = self.graph.constants.get(&weight).map(Tensor::shallow_clone);
        let plain = plain.ok_or_else(|| Error::unsupported("", "a weight is not constant"))?;
        let packed = self.weights.packed(weight, &plain, user, &wanted)?;
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
                Desc::plain(&[vec![1; full.saturating_sub(shape.len())], shape].concat(), self.bf16)?
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
                arguments.push(((argument::POST_OP * position) | argument::SOURCE_1, operand.desc, operand.place));
            }
        }
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
