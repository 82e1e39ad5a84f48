//! Linear layers, with the activations that follow.

use super::{Candidate, Kernel, Kernels, Operator, Room};
use crate::bridge::{self, DescRef, Role, Type};
use crate::error::Result;
use crate::graph::ValueId;
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::desc;
use crate::onednn::scales::Scales;
use crate::onednn::unit::Unit;

pub(crate) const OPERATOR: Operator = Operator { name: "linear", recognize };

#[derive(Debug)]
struct Linear {
    input: ValueId,
    weight: ValueId,
    bias: Option<ValueId>,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let node = candidate.node;
    if node.name() != "linear" || candidate.shape(node.value(0)?)?.len() != 2 {
        return None;
    }
    let bias = match node.value(2) {
        Some(_) => Some(candidate.constant(2)?),
        None => None,
    };
    candidate.one(Linear { input: candidate.computed(0)?, weight: candidate.constant(1)?, bias })
}

impl Kernel for Linear {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored> {
        let native = compiler.native(self.input)?;
        let integers = if native.affine.is_some() { compiler.integers(self.weight) } else { None };
        let (source_kind, weight_kind) = match integers {
            Some(_) => (Type::U8, Type::S8),
            None => (compiler.float, compiler.float),
        };
        let affine = if integers.is_some() { unit.affine } else { None };
        let result_kind = if affine.is_some() { Type::U8 } else { compiler.float };
        let source = compiler.layout(self.input, desc::plain(&compiler.shape(self.input)?, source_kind)?)?;
        let weight_shape = compiler.shape(self.weight)?;
        let bias = match self.bias {
            Some(bias) => Some(compiler.native(bias)?),
            None => None,
        };
        let mut bias_desc = Vec::new();
        if let Some(stored) = &bias {
            bias_desc.push(DescRef { desc: &stored.desc });
        }
        let weights = desc::any(&weight_shape, weight_kind)?;
        let result = desc::plain(&compiler.shape(unit.output)?, result_kind)?;
        let mut scales = Scales::new(unit.attributes(&[])?);
        if let Some(integers) = &integers {
            scales.source(native.affine)?;
            scales.weights(1, &integers.scales)?;
            scales.result(affine)?;
        }
        let op = bridge::inner_product(&source.desc, &weights, &bias_desc, &result, &scales.attributes)?;
        let wanted = op.wants(Role::Weights.into())?;
        let weights = match &integers {
            Some(integers) => {
                compiler.packed_integers((self.weight, integers), &desc::plain(&weight_shape, Type::S8)?, &wanted)?
            }
            None => compiler.prepacked(self.weight, &desc::plain(&weight_shape, Type::F32)?, &wanted)?,
        };
        let mut arguments = vec![(Role::Source.into(), source.place), (Role::Weights.into(), weights)];
        if let Some(stored) = bias {
            arguments.push((Role::Bias.into(), stored.place));
        }
        let stored = compiler.stored(op.wants(Role::Result.into())?);
        arguments.push((Role::Result.into(), stored.place));
        compiler.scaled_step(OPERATOR.name, op, arguments, scales.values)?;
        Ok(Stored { affine, ..stored })
    }

    fn room(&self) -> Room {
        Room::Elementwise
    }

    fn is_heavy(&self) -> bool {
        true
    }
}
