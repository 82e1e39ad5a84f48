//! Images enlarged by the nearest element or by bilinear interpolation.

use super::{Candidate, Kernel, Kernels, Operator};
use crate::bridge::{self, Algorithm, Type};
use crate::error::Result;
use crate::graph::{Arg, Node, ValueId};
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::desc;
use crate::onednn::unit::Unit;

pub(crate) const OPERATOR: Operator = Operator { name: "resampling", recognize };

#[derive(Debug)]
struct Resampling {
    algorithm: Algorithm,
    input: ValueId,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let node = candidate.node;
    let input = node.value(0)?;
    let (from, to) = (candidate.shape(input)?.get(2..)?, candidate.output_shape()?.get(2..)?);
    let algorithm = match node.name() {
        // oneDNN rounds the center of each element, libtorch its corner: the same for whole factors.
        "upsample_nearest2d" if has_whole_factors(from, to) => Algorithm::Nearest,
        "upsample_bilinear2d" if node.bool(2) == Some(false) && scales_are_the_sizes(node, from, to) => {
            Algorithm::Bilinear
        }
        _ => return None,
    };
    candidate.one(Resampling { algorithm, input })
}

fn has_whole_factors(from: &[i64], to: &[i64]) -> bool {
    from.iter().zip(to).all(|(from, to)| to % from == 0)
}

/// Whether the node's scale factors, with which libtorch computes positions, are those of the sizes.
fn scales_are_the_sizes(node: &Node, from: &[i64], to: &[i64]) -> bool {
    let mut scales = Vec::new();
    for arg in node.args.iter().skip(3) {
        match arg {
            Arg::Double(scale) => scales.push(*scale),
            Arg::Doubles(list) => scales.extend_from_slice(list),
            _ => {}
        }
    }
    for ((scale, from), to) in scales.iter().zip(from).zip(to) {
        if *scale != *to as f64 / *from as f64 {
            return false;
        }
    }
    true
}

impl Kernel for Resampling {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored> {
        let native = compiler.native(self.input)?;
        if native.affine.is_some() && self.algorithm == Algorithm::Nearest {
            let result = desc::channels_last(&compiler.shape(unit.output)?, Type::U8)?;
            let op = bridge::resampling(self.algorithm, &native.desc, &result)?;
            let affine = native.affine;
            return Ok(Stored { affine, ..compiler.simple(OPERATOR.name, op, native.place)? });
        }
        // The layouts are fixed: for inputs of one element along an axis oneDNN may take two different ones.
        let desc = compiler.interleaved(&compiler.shape(self.input)?)?;
        let source = compiler.layout(self.input, desc)?;
        let result = compiler.interleaved(&compiler.shape(unit.output)?)?;
        let op = bridge::resampling(self.algorithm, &source.desc, &result)?;
        compiler.simple(OPERATOR.name, op, source.place)
    }
}
