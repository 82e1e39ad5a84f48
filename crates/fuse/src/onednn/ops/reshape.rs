//! Other shapes of the same elements, for which nothing runs.

use super::{Candidate, Kernel, Kernels, Operator};
use crate::bridge::Type;
use crate::error::Result;
use crate::graph::ValueId;
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::desc;
use crate::onednn::unit::Unit;

pub(crate) const OPERATOR: Operator = Operator { name: "reshape", recognize };

/// The same elements in the same order under another shape.
#[derive(Debug)]
pub(crate) struct Reshape {
    pub(crate) input: ValueId,
}

/// The same elements under the same shape.
#[derive(Debug)]
struct Same {
    input: ValueId,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let input = candidate.node.value(0)?;
    match candidate.node.name() {
        "flatten" | "view" | "reshape" | "squeeze" | "unsqueeze" => candidate.one(Reshape { input }),
        "contiguous" => candidate.one(Same { input }),
        _ => None,
    }
}

impl Kernel for Reshape {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored> {
        let native = compiler.native(self.input)?;
        let kind = if native.affine.is_some() { Type::U8 } else { compiler.float };
        let source = compiler.layout(self.input, desc::plain(&compiler.shape(self.input)?, kind)?)?;
        Ok(Stored { desc: desc::plain(&compiler.shape(unit.output)?, kind)?, ..source })
    }
}

impl Kernel for Same {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, _: &Unit) -> Result<Stored> {
        compiler.native(self.input)
    }
}
