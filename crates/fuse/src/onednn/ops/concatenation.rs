//! Concatenations of images along their channels.

use super::{Candidate, Kernel, Kernels, Operator};
use crate::bridge::{self, Argument, DescRef, Role};
use crate::error::Result;
use crate::graph::{Arg, ValueId};
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::unit::Unit;
use crate::quantize::Affine;

pub(crate) const OPERATOR: Operator = Operator { name: "concatenation", recognize };

#[derive(Debug)]
struct Concatenation {
    inputs: Vec<ValueId>,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let node = candidate.node;
    let (Some(Arg::Values(values)), "cat") = (node.args.first(), node.name()) else { return None };
    let output = candidate.output_shape()?;
    if output.len() != 4 || node.int(1)? != 1 {
        return None;
    }
    let mut inputs = Vec::with_capacity(values.len());
    for value in values {
        let value = (*value)?;
        if candidate.shape(value)?.len() != output.len() || candidate.graph.is_constant(value) {
            return None;
        }
        inputs.push(value);
    }
    candidate.one(Concatenation { inputs })
}

impl Kernel for Concatenation {
    fn inputs(&self) -> Vec<ValueId> {
        self.inputs.clone()
    }

    fn lower(&self, compiler: &mut Compiler<'_>, _: &Unit) -> Result<Stored> {
        let mut sources = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            sources.push(compiler.native(*input)?);
        }
        let affine = common_affine(&sources);
        if affine.is_none() {
            for (source, input) in sources.iter_mut().zip(&self.inputs) {
                *source = compiler.typed(*input)?;
            }
        }
        let descs: Vec<DescRef<'_>> = sources.iter().map(|source| DescRef { desc: &source.desc }).collect();
        let op = bridge::concatenation(1, &descs)?;
        let mut arguments = Vec::with_capacity(sources.len() + 1);
        for (index, source) in (0..).zip(&sources) {
            arguments.push((Argument { role: Role::Sources, index }, source.place));
        }
        Ok(Stored { affine, ..compiler.result(OPERATOR.name, op, arguments)? })
    }
}

/// What the integers of all values stand for, if it is the same.
fn common_affine(values: &[Stored]) -> Option<Affine> {
    let first = values.first()?.affine;
    if values.iter().all(|value| value.affine == first) { first } else { None }
}
