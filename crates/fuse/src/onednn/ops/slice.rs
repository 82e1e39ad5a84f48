//! Parts of an image's channels.

use super::{Candidate, Kernel, Kernels, Operator};
use crate::error::Result;
use crate::graph::ValueId;
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::desc;
use crate::onednn::unit::Unit;

pub(crate) const OPERATOR: Operator = Operator { name: "slice", recognize };

/// A part of the channels, from this one on.
#[derive(Debug)]
struct Slice {
    input: ValueId,
    from: i64,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let node = candidate.node;
    let input = node.value(0)?;
    let [_, channels, _, _] = candidate.shape(input)? else { return None };
    let from = match node.name() {
        "chunk" | "split" | "split_with_sizes" if node.int(2)? == 1 => return parts(candidate, input),
        "slice" if node.int(1)? == 1 && node.int(4)? == 1 => node.int(2).unwrap_or(0),
        "narrow" if node.int(1)? == 1 => node.int(2)?,
        _ => return None,
    };
    candidate.one(Slice { input, from: if from < 0 { from + channels } else { from } })
}

/// The parts into which the node cuts the channels.
fn parts(candidate: &Candidate<'_>, input: ValueId) -> Option<Kernels> {
    let mut from = 0;
    let mut kernels = Kernels::new();
    for output in &candidate.node.outputs {
        kernels.push((Box::new(Slice { input, from }), *output));
        from += candidate.shape(*output)?.get(1)?;
    }
    Some(kernels)
}

impl Kernel for Slice {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored> {
        let shape = compiler.shape(unit.output)?;
        let mut offsets = vec![0; shape.len()];
        if let Some(channel) = offsets.get_mut(1) {
            *channel = self.from;
        }
        let (whole, kind) = compiler.integers_or_numbers(self.input)?;
        let affine = whole.affine;
        let part = match whole.desc.part(&shape, &offsets) {
            Ok(desc) => Stored { desc, place: whole.place, affine },
            // Blocks of channels can be cut between blocks only.
            Err(_) => {
                let desc = desc::channels_last(&compiler.shape(self.input)?, kind)?;
                let whole = compiler.layout(self.input, desc)?;
                Stored { desc: whole.desc.part(&shape, &offsets)?, place: whole.place, affine }
            }
        };
        let desc = if affine.is_some() { desc::channels_last(&shape, kind)? } else { compiler.interleaved(&shape)? };
        let result = Stored { affine, ..compiler.stored(desc) };
        compiler.reorder(&part, &result)?;
        Ok(result)
    }
}
