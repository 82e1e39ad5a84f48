//! Numbers rounded to integers of 8 bits.

use super::{Candidate, Kernel, Kernels, Operator};
use crate::error::Result;
use crate::graph::ValueId;
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::unit::{After, Unit};
use crate::quantize::Affine;

pub(crate) const OPERATOR: Operator = Operator { name: "quantization", recognize };

#[derive(Debug)]
struct Quantization {
    input: ValueId,
    affine: Affine,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let affine = Affine::from_node(candidate.node)?;
    candidate.one(Quantization { input: candidate.computed(0)?, affine })
}

impl Kernel for Quantization {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored> {
        let source = compiler.typed(self.input)?;
        compiler.quantized(&source, unit.output, self.affine)
    }

    fn as_after(&self, value: ValueId) -> Option<After> {
        if self.input == value { Some(After::Quantize(self.affine)) } else { None }
    }
}
