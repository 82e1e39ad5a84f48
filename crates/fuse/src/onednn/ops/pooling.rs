//! Pooling over two axes: maxima and means in windows, and means of whole channels.

use super::reshape::Reshape;
use super::{Candidate, Kernel, Kernels, Operator};
use crate::bridge::{self, Algorithm, Type, Window};
use crate::error::Result;
use crate::graph::{Arg, Node, ValueId};
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::desc;
use crate::onednn::unit::Unit;

pub(crate) const OPERATOR: Operator = Operator { name: "pooling", recognize };

#[derive(Debug)]
struct Pooling {
    algorithm: Algorithm,
    input: ValueId,
    kernel: Vec<i64>,
    window: Window,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    let node = candidate.node;
    let input = node.value(0)?;
    let [_, _, size @ ..] = candidate.shape(input)? else { return None };
    let [_, _, output @ ..] = candidate.output_shape()? else { return None };
    let (size, output) = (<&[i64; 2]>::try_from(size).ok()?, <&[i64; 2]>::try_from(output).ok());
    let pooling = match node.name() {
        "adaptive_avg_pool2d" if output == Some(size) => return candidate.one(Reshape { input }),
        "adaptive_avg_pool2d" if output == Some(&[1, 1]) => Pooling::global(input, size),
        "mean" if output == Some(&[1, 1]) && node.args.get(3) == Some(&Arg::None) => Pooling::global(input, size),
        "max_pool2d" => {
            let window = Windowed { node, size, output: output?, dilation: pair(node, 4)?, ceil: node.bool(5)? };
            window.pooling(Algorithm::MaxPooling, input)?
        }
        "avg_pool2d" if node.args.get(6) == Some(&Arg::None) => {
            let window = Windowed { node, size, output: output?, dilation: [1; 2], ceil: node.bool(4)? };
            // With ceil_mode the window may go over the edge; libtorch does not count those elements, oneDNN does.
            match (node.bool(5)?, window.ceil) {
                (true, true) => return None,
                (true, false) => window.pooling(Algorithm::AveragePoolingWithPadding, input)?,
                (false, _) => window.pooling(Algorithm::AveragePooling, input)?,
            }
        }
        _ => return None,
    };
    candidate.one(pooling)
}

/// A list with one entry for each of two axes.
fn pair(node: &Node, index: usize) -> Option<[i64; 2]> {
    match node.ints(index)?.as_slice() {
        [only] => Some([*only; 2]),
        [height, width] => Some([*height, *width]),
        _ => None,
    }
}

/// A node with windows, and its sizes.
struct Windowed<'a> {
    node: &'a Node,
    size: &'a [i64; 2],
    output: &'a [i64; 2],
    dilation: [i64; 2],
    /// Whether windows may go over the edge.
    ceil: bool,
}

impl Windowed<'_> {
    fn pooling(&self, algorithm: Algorithm, input: ValueId) -> Option<Pooling> {
        let (kernel, before) = (pair(self.node, 1)?, pair(self.node, 3)?);
        let strides = pair(self.node, 2).unwrap_or(kernel);
        let mut after = before;
        if self.ceil {
            for axis in 0..2 {
                let reach = (kernel[axis] - 1) * self.dilation[axis] + 1;
                let exact = (self.output[axis] - 1) * strides[axis] + reach - self.size[axis] - before[axis];
                after[axis] = exact.max(before[axis]);
            }
        }
        let window = Window {
            strides: strides.to_vec(),
            dilations: self.dilation.iter().map(|dilation| dilation - 1).collect(),
            before: before.to_vec(),
            after: after.to_vec(),
        };
        Some(Pooling { algorithm, input, kernel: kernel.to_vec(), window })
    }
}

impl Pooling {
    /// The mean of each channel.
    fn global(input: ValueId, size: &[i64; 2]) -> Self {
        let window = Window { strides: vec![1; 2], dilations: vec![0; 2], before: vec![0; 2], after: vec![0; 2] };
        Self { algorithm: Algorithm::AveragePooling, input, kernel: size.to_vec(), window }
    }
}

impl Kernel for Pooling {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored> {
        let native = compiler.native(self.input)?;
        let output = compiler.shape(unit.output)?;
        // The largest integer stands for the largest number.
        if native.affine.is_some() && self.algorithm == Algorithm::MaxPooling {
            let result = desc::channels_last(&output, Type::U8)?;
            let op = bridge::pooling(self.algorithm, &native.desc, &result, &self.kernel, &self.window)?;
            let affine = native.affine;
            return Ok(Stored { affine, ..compiler.simple(OPERATOR.name, op, native.place)? });
        }
        let source = compiler.typed(self.input)?;
        let result = desc::any(&output, compiler.float)?;
        let op = bridge::pooling(self.algorithm, &source.desc, &result, &self.kernel, &self.window)?;
        compiler.simple(OPERATOR.name, op, source.place)
    }
}
