//! Convolutions, transposed or not, with the activations and the addition that follow.

use super::{Candidate, Kernel, Kernels, Operator, Room};
use crate::bridge::{self, Argument, Attributes, DescRef, Op, Role, Type, Window};
use crate::convolution::Convolution;
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::onednn::compile::{Compiler, Place, Stored};
use crate::onednn::desc::{self, Desc, packed_strides};
use crate::onednn::scales::Scales;
use crate::onednn::unit::{Operand, Unit};
use cxx::UniquePtr;
use tch::Tensor;

pub(crate) const OPERATOR: Operator = Operator { name: "convolution", recognize };

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let mut convolution = Convolution::from_node(candidate.node)?;
    let axes = candidate.shape(convolution.input)?.len();
    if !(3..=5).contains(&axes) || candidate.shape(convolution.weight)?.len() != axes {
        return None;
    }
    candidate.computed(0)?;
    candidate.constant(1)?;
    if convolution.bias.is_some() {
        candidate.constant(2)?;
    }
    for list in convolution.window_lists() {
        // One number stands for all axes.
        if let ([only], true) = (list.as_slice(), axes > 3) {
            *list = vec![*only; axes - 2];
        }
        if list.len() != axes - 2 {
            return None;
        }
    }
    candidate.one(convolution)
}

impl Kernel for Convolution {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored> {
        if let Some(result) = self.lower_integers(compiler, unit)? {
            return Ok(result);
        }
        if let Some(result) = self.lower_winograd(compiler, unit)? {
            return Ok(result);
        }
        let shape = compiler.shape(self.input)?;
        // An image has too few channels for blocks.
        let is_image = matches!(shape.as_slice(), [_, channels, ..] if *channels <= 4);
        let source = match is_image {
            true if compiler.tiles => desc::channels_last(&shape, compiler.float)?,
            true => desc::plain(&shape, compiler.float)?,
            false => compiler.preferred(&shape)?,
        };
        let output = compiler.shape(unit.output)?;
        let operands = compiler.operands(unit)?;
        let in_place = operands.iter().find(|operand| operand.in_place);
        let (weight_shape, weight_strides) = self.weight_layout(&compiler.shape(self.weight)?);
        let bias = match self.bias {
            Some(bias) => Some(compiler.native(bias)?),
            None => None,
        };
        let recipe = Recipe {
            convolution: self,
            weights: desc::any(&weight_shape, compiler.float)?,
            bias: bias.as_ref(),
            window: self.window(),
            attributes: unit.attributes(&operands)?,
            in_place: in_place.map(|operand| &operand.desc),
        };
        let op = match recipe.make(&source, &compiler.preferred(&output)?) {
            Ok(op) => op,
            Err(_) => recipe.make(&desc::any(&shape, compiler.float)?, &desc::any(&output, compiler.float)?)?,
        };
        let source = compiler.layout(self.input, op.wants(Role::Source.into())?)?;
        let user = desc::strided(&weight_shape, &weight_strides, Type::F32)?;
        let weights = compiler.prepacked(self.weight, &user, &op.wants(Role::Weights.into())?)?;
        let mut arguments = vec![(Role::Source.into(), source.place), (Role::Weights.into(), weights)];
        if let Some(bias) = bias {
            arguments.push((Role::Bias.into(), bias.place));
        }
        arguments.extend(unit.operand_arguments(&operands));
        add(compiler, op, arguments, in_place, Vec::new())
    }

    fn room(&self) -> Room {
        Room::Operand
    }

    fn is_heavy(&self) -> bool {
        true
    }

    fn prefers_blocks(&self) -> bool {
        self.groups > 1
    }
}

/// Adds the primitive; its result lies over the operand `in_place`, if there is one.
fn add(
    compiler: &mut Compiler<'_>,
    op: UniquePtr<Op>,
    mut arguments: Vec<(Argument, Place)>,
    in_place: Option<&Operand>,
    scales: Vec<(Argument, Tensor)>,
) -> Result<Stored> {
    let desc = op.wants(Role::Result.into())?;
    let stored = match in_place {
        Some(operand) => Stored::float(desc, operand.place),
        None => compiler.stored(desc),
    };
    arguments.push((Role::Result.into(), stored.place));
    compiler.scaled_step(OPERATOR.name, op, arguments, scales)?;
    Ok(stored)
}

/// What the primitive is made from, except for the layouts of source and result.
struct Recipe<'a> {
    convolution: &'a Convolution,
    weights: Desc,
    bias: Option<&'a Stored>,
    window: Window,
    attributes: UniquePtr<Attributes>,
    /// The layout of the result, if it is written over an operand.
    in_place: Option<&'a Desc>,
}

impl Recipe<'_> {
    fn make(&self, source: &Desc, result: &Desc) -> Result<UniquePtr<Op>> {
        let mut bias = Vec::new();
        if let Some(stored) = self.bias {
            bias.push(DescRef { desc: &stored.desc });
        }
        let (transposed, result) = (self.convolution.transposed, self.in_place.unwrap_or(result));
        let op = bridge::convolution(transposed, source, &self.weights, &bias, result, &self.window, &self.attributes)?;
        let kernel = op.kernel();
        if kernel.contains("ref") {
            return Err(Error::unsupported("", format!("oneDNN has only its slow kernel ({kernel})")));
        }
        Ok(op)
    }
}

impl Convolution {
    /// Adds this convolution as one of integers; returns `None` if its input or weight is none, or oneDNN has no kernel for it.
    fn lower_integers(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Option<Stored>> {
        let native = compiler.native(self.input)?;
        let (Some(affine), Some(integers)) = (native.affine, compiler.integers(self.weight)) else { return Ok(None) };
        let (shape, output) = (compiler.shape(self.input)?, compiler.shape(unit.output)?);
        let source = compiler.layout(self.input, desc::channels_last(&shape, Type::U8)?)?;
        let kind = if unit.affine.is_some() { Type::U8 } else { compiler.float };
        let result = desc::channels_last(&output, kind)?;
        let operands = compiler.operands_for(unit, unit.affine.map(|_| &result))?;
        let in_place = operands.iter().find(|operand| operand.in_place);
        let (weight_shape, weight_strides) = self.weight_layout(&compiler.shape(self.weight)?);
        let bias = match self.bias {
            Some(bias) => Some(compiler.native(bias)?),
            None => None,
        };
        let mut scales = Scales::new(unit.attributes(&operands)?);
        scales.source(Some(affine))?;
        // One for each output, of which groups have several.
        scales.weights(if weight_shape.len() > shape.len() { 0b11 } else { 0b1 }, &integers.scales)?;
        scales.result(unit.affine)?;
        let Scales { attributes, values } = scales;
        let weights = desc::any(&weight_shape, Type::S8)?;
        let recipe = Recipe {
            convolution: self,
            weights,
            bias: bias.as_ref(),
            window: self.window(),
            attributes,
            in_place: in_place.map(|operand| &operand.desc),
        };
        let op = match recipe.make(&source.desc, &result) {
            Ok(op) => op,
            Err(error) => {
                log::debug!("{}: not in 8 bits: {error}", compiler.module());
                return Ok(None);
            }
        };
        let user = desc::strided(&weight_shape, &weight_strides, Type::S8)?;
        let weights = compiler.packed_integers((self.weight, &integers), &user, &op.wants(Role::Weights.into())?)?;
        let mut arguments = vec![(Role::Source.into(), source.place), (Role::Weights.into(), weights)];
        if let Some(bias) = bias {
            arguments.push((Role::Bias.into(), bias.place));
        }
        arguments.extend(unit.operand_arguments(&operands));
        let stored = add(compiler, op, arguments, in_place, values)?;
        Ok(Some(Stored { affine: unit.affine, ..stored }))
    }

    fn window(&self) -> Window {
        let mut after = self.padding.clone();
        if self.transposed {
            for (padding, more) in after.iter_mut().zip(&self.output_padding) {
                *padding -= more;
            }
        }
        Window {
            strides: self.stride.clone(),
            dilations: self.dilation.iter().map(|dilation| dilation - 1).collect(),
            before: self.padding.clone(),
            after,
        }
    }

    /// The shape that oneDNN gives a weight, `[groups, out / groups, in / groups, *kernel]` without groups if there is one, and the
    /// strides with which libtorch's lies in memory: transposed convolutions have inputs and outputs exchanged.
    fn weight_layout(&self, shape: &[i64]) -> (Vec<i64>, Vec<i64>) {
        let groups = self.groups.max(1);
        let [first, second, kernel @ ..] = shape else { return (shape.to_vec(), Vec::new()) };
        let mut sizes = vec![groups, first / groups, *second];
        sizes.extend_from_slice(kernel);
        let mut strides = packed_strides(&sizes);
        if self.transposed {
            sizes.swap(1, 2);
            strides.swap(1, 2);
        }
        if groups == 1 {
            sizes.remove(0);
            strides.remove(0);
        }
        (sizes, strides)
    }
}
