//! [`Unit`]: an operator of oneDNN with what it does to its result before writing it.

use cxx::UniquePtr;

use super::compile::Place;
use super::desc::Desc;
use super::ops::{Kernel, Room};
use crate::bridge::{Algorithm, Argument, Attributes, Eltwise, Role, Sum, new_attributes};
use crate::error::Result;
use crate::graph::ValueId;
use crate::quantize::Affine;

/// An operator and what is done with its result before it is written.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) kernel: Box<dyn Kernel>,
    pub(crate) after: Vec<After>,
    /// What the integers stand for to which the result is rounded at the end.
    pub(crate) affine: Option<Affine>,
    pub(crate) output: ValueId,
    /// The first of the nodes that it stands for.
    pub(crate) first: usize,
    /// The last of them, where it is run.
    pub(crate) node: usize,
}

/// What is done with a result before it is written.
#[derive(Debug, Clone)]
pub(crate) enum After {
    Eltwise(Eltwise),
    Binary(Algorithm, ValueId),
    /// The result is rounded to integers of 8 bits, which stand for this: always the last, and then [`Unit::affine`].
    Quantize(Affine),
}

/// The other operand of what is done with a result.
pub(crate) struct Operand {
    pub(crate) algorithm: Algorithm,
    pub(crate) desc: Desc,
    pub(crate) place: Place,
    /// Whether the result is written over it.
    pub(crate) in_place: bool,
    /// What its integers stand for, if it is in 8 bits.
    pub(crate) affine: Option<Affine>,
}

impl Operand {
    fn sum(&self) -> Sum {
        match self.affine {
            Some(Affine { scale, zero_point }) => Sum { scale, zero_point },
            None => Sum { scale: 1.0, zero_point: 0 },
        }
    }
}

impl Unit {
    /// The values that it reads.
    pub(crate) fn inputs(&self) -> Vec<ValueId> {
        let mut inputs = self.kernel.inputs();
        for after in &self.after {
            if let After::Binary(_, other) = after {
                inputs.push(*other);
            }
        }
        inputs
    }

    /// Whether the kernel can do this too: at most one other operand and two operations on each element, which all kernels with
    /// room can do.
    pub(crate) fn has_room_for(&self, after: &After) -> bool {
        if self.affine.is_some() {
            return false;
        }
        let mut operands = 0;
        for after in &self.after {
            if let After::Binary(..) = after {
                operands += 1;
            }
        }
        match (self.kernel.room(), after) {
            (Room::Nothing, _) | (Room::Elementwise, After::Binary(..)) => false,
            (_, After::Binary(..)) => operands == 0,
            (_, After::Quantize(_)) => true,
            (_, After::Eltwise(_)) => self.after.len() - operands < 2,
        }
    }

    /// What is done with the result, for the operator; `operands` are those of [`After::Binary`], in order.
    pub(crate) fn attributes(&self, operands: &[Operand]) -> Result<UniquePtr<Attributes>> {
        let mut attributes = new_attributes()?;
        let mut operands = operands.iter();
        for after in &self.after {
            match after {
                After::Eltwise(eltwise) => attributes.pin_mut().eltwise(*eltwise)?,
                After::Binary(..) => match operands.next() {
                    Some(operand) if operand.in_place => attributes.pin_mut().sum(operand.sum())?,
                    Some(operand) => attributes.pin_mut().binary(operand.algorithm, &operand.desc)?,
                    None => {}
                },
                After::Quantize(_) => {}
            }
        }
        Ok(attributes)
    }

    /// The arguments for the operands that are not overwritten.
    pub(crate) fn operand_arguments(&self, operands: &[Operand]) -> Vec<(Argument, Place)> {
        let mut arguments = Vec::new();
        let mut operands = operands.iter();
        for (index, after) in (0..).zip(&self.after) {
            if let After::Binary(..) = after
                && let Some(operand) = operands.next()
                && !operand.in_place
            {
                arguments.push((Argument { role: Role::Operand, index }, operand.place));
            }
        }
        arguments
    }
}
