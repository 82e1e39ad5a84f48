//! Sums and products of two values, with the activations that follow.

use super::{Candidate, Kernel, Kernels, Operator, Room};
use crate::bridge::{self, Algorithm, Role, Type};
use crate::error::Result;
use crate::graph::ValueId;
use crate::onednn::compile::{Compiler, Stored, with_axes};
use crate::onednn::desc;
use crate::onednn::unit::{After, Unit};

pub(crate) const OPERATOR: Operator = Operator { name: "binary", recognize };

/// The right operand is as large as the left one, or 1 along some axes.
#[derive(Debug)]
struct Binary {
    algorithm: Algorithm,
    left: ValueId,
    right: ValueId,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let node = candidate.node;
    let algorithm = match node.name() {
        "add" if node.number(2)? == 1.0 => Algorithm::Add,
        "mul" => Algorithm::Multiply,
        _ => return None,
    };
    let (left, right) = (node.value(0)?, node.value(1)?);
    let output = candidate.output_shape()?;
    if !(2..=5).contains(&output.len()) {
        return None;
    }
    if is_full(candidate, left, output) && fits(candidate, right, output) {
        candidate.one(Binary { algorithm, left, right })
    } else if is_full(candidate, right, output) && fits(candidate, left, output) {
        candidate.one(Binary { algorithm, left: right, right: left })
    } else {
        None
    }
}

fn is_full(candidate: &Candidate<'_>, value: ValueId, output: &[i64]) -> bool {
    candidate.shape(value) == Some(output) && !candidate.graph.is_constant(value)
}

/// Whether the value is as large as the output or 1 along each axis; only constants may have fewer axes.
fn fits(candidate: &Candidate<'_>, value: ValueId, output: &[i64]) -> bool {
    let Some(shape) = candidate.shape(value) else { return false };
    if shape.len() > output.len() || (shape.len() < output.len() && !candidate.graph.is_constant(value)) {
        return false;
    }
    let mut axes = shape.iter().rev().zip(output.iter().rev());
    axes.all(|(size, full)| size == full || *size == 1)
}

impl Kernel for Binary {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.left, self.right]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored> {
        let shape = compiler.shape(self.left)?;
        let left = compiler.typed(self.left)?;
        let right_shape = compiler.shape(self.right)?;
        let right = if right_shape == shape {
            compiler.layout(self.right, left.desc.clone())?
        } else if right_shape.len() == shape.len() {
            compiler.typed(self.right)?
        } else {
            let desc = desc::plain(&with_axes(&right_shape, shape.len()), Type::F32)?;
            Stored::float(desc, compiler.native(self.right)?.place)
        };
        let op = bridge::binary(self.algorithm, &left.desc, &right.desc, &left.desc, &*unit.attributes(&[])?)?;
        let arguments = vec![(Role::Source.into(), left.place), (Role::SecondSource.into(), right.place)];
        compiler.result(OPERATOR.name, op, arguments)
    }

    fn room(&self) -> Room {
        Room::Elementwise
    }

    fn as_after(&self, value: ValueId) -> Option<After> {
        match (self.left == value, self.right == value) {
            (true, false) => Some(After::Binary(self.algorithm, self.right)),
            (false, true) => Some(After::Binary(self.algorithm, self.left)),
            _ => None,
        }
    }
}
