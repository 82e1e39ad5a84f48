//! Linear layers, with the activations that follow.

use super::{Candidate, Kernel, Kernels, Operator, Room};
use crate::bridge::{self, DescRef, Role};
use crate::error::Result;
use crate::graph::ValueId;
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::desc;
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
        let source = compiler.layout(self.input, desc::plain(&compiler.shape(self.input)?, compiler.bf16)?)?;
        let weight_shape = compiler.shape(self.weight)?;
        let bias = match self.bias {
            Some(bias) => Some(compiler.native(bias)?),
            None => None,
        };
        let mut bias_desc = Vec::new();
        if let Some(stored) = &bias {
            bias_desc.push(DescRef { desc: &stored.desc });
        }
        let weights = desc::any(&weight_shape, compiler.bf16)?;
        let result = desc::plain(&compiler.shape(unit.output)?, compiler.bf16)?;
        let op = bridge::inner_product(&source.desc, &weights, &bias_desc, &result, &*unit.posts(&[])?)?;
        let user = desc::plain(&weight_shape, false)?;
        let weights = compiler.prepacked(self.weight, &user, &op.wants(Role::Weights.into())?)?;
        let mut arguments = vec![(Role::Source.into(), source.place), (Role::Weights.into(), weights)];
        if let Some(stored) = bias {
            arguments.push((Role::Bias.into(), stored.place));
        }
        compiler.result(OPERATOR.name, op, arguments)
    }

    fn room(&self) -> Room {
        Room::Elementwise
    }

    fn is_heavy(&self) -> bool {
        true
    }
}
