//! The operators of oneDNN in use: one file each, and the table of them. `docs/adding-a-kernel.md` has the steps to add one.

mod binary;
mod concatenation;
pub(crate) mod convolution;
pub(crate) mod elementwise;
mod linear;
mod pooling;
mod quantization;
mod resampling;
mod reshape;
mod slice;

#[cfg(test)]
mod negation;

use std::fmt::Debug;

use tch::Kind;

use super::compile::{Compiler, Stored};
use super::unit::{After, Unit};
use crate::error::Result;
use crate::graph::{Graph, Node, Shapes, ValueId};

/// All operators. A node is what the first of them recognizes.
pub(crate) const OPERATORS: &[Operator] = &[
    convolution::OPERATOR,
    linear::OPERATOR,
    pooling::OPERATOR,
    elementwise::OPERATOR,
    binary::OPERATOR,
    concatenation::OPERATOR,
    resampling::OPERATOR,
    reshape::OPERATOR,
    quantization::OPERATOR,
    slice::OPERATOR,
];

/// An operator of oneDNN.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operator {
    /// The name that profiles show.
    pub(crate) name: &'static str,
    /// Returns the kernels that compute the node's outputs; `None` if none computes the same numbers. All values of the node
    /// are known to be of float32 and not empty.
    pub(crate) recognize: fn(&Candidate<'_>) -> Option<Kernels>,
}

/// Kernels, each with the value that it computes.
pub(crate) type Kernels = Vec<(Box<dyn Kernel>, ValueId)>;

/// What computes a value.
pub(crate) trait Kernel: Debug {
    /// The values that it reads, without weights and biases.
    fn inputs(&self) -> Vec<ValueId>;

    /// Adds the steps that compute `unit.output`; returns where it is. An error leaves the node to libtorch.
    fn lower(&self, compiler: &mut Compiler<'_>, unit: &Unit) -> Result<Stored>;

    /// What it can do with its result before it writes it; `lower` then adds `unit.after` to its primitive.
    fn room(&self) -> Room {
        Room::Nothing
    }

    /// What it does with `value`, if the kernel that computes `value` can do it instead.
    fn as_after(&self, value: ValueId) -> Option<After> {
        let _ = value;
        None
    }

    /// Whether it costs so much that a region with it pays.
    fn is_heavy(&self) -> bool {
        false
    }

    /// Whether it is faster if all activations of the region have their channels in blocks.
    fn prefers_blocks(&self) -> bool {
        false
    }
}

/// What an operator can do with its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Nothing,
    /// Operations on each element.
    Elementwise,
    /// These, and an operation with another value.
    Operand,
}

/// A node that oneDNN may run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) graph: &'a Graph,
    pub(crate) node: &'a Node,
    pub(crate) shapes: &'a Shapes,
}

impl<'a> Candidate<'a> {
    /// The shape of a value; `None` unless it is of float32.
    pub(crate) fn shape(&self, value: ValueId) -> Option<&'a [i64]> {
        match self.shapes.get(&value)? {
            (shape, Kind::Float) => Some(shape),
            _ => None,
        }
    }

    /// The shape of the only result.
    pub(crate) fn output_shape(&self) -> Option<&'a [i64]> {
        self.shape(self.node.output()?)
    }

    /// The value of argument `index`, if it is not constant.
    pub(crate) fn computed(&self, index: usize) -> Option<ValueId> {
        let value = self.node.value(index)?;
        if self.graph.is_constant(value) { None } else { Some(value) }
    }

    /// The value of argument `index`, if it is constant.
    pub(crate) fn constant(&self, index: usize) -> Option<ValueId> {
        let value = self.node.value(index)?;
        if self.graph.is_constant(value) { Some(value) } else { None }
    }

    /// The kernel as that of the only result.
    pub(crate) fn one(&self, kernel: impl Kernel + 'static) -> Option<Kernels> {
        Some(vec![(Box::new(kernel), self.node.output()?)])
    }

    /// Whether all values are of float32, and not empty.
    fn is_supported(&self) -> bool {
        for value in self.node.inputs().chain(self.node.outputs.iter().copied()) {
            match self.shape(value) {
                Some(shape) if shape.iter().all(|size| *size > 0) => {}
                _ => return false,
            }
        }
        true
    }
}

/// The kernels of the node, one for each of its outputs; `None` if oneDNN has none that compute the same numbers.
pub(crate) fn recognize(operators: &[Operator], graph: &Graph, node: &Node, shapes: &Shapes) -> Option<Kernels> {
    let candidate = Candidate { graph, node, shapes };
    if !candidate.is_supported() {
        return None;
    }
    for operator in operators {
        if let Some(kernels) = (operator.recognize)(&candidate) {
            let mut inputs = kernels.iter().flat_map(|(kernel, _)| kernel.inputs());
            return if inputs.any(|input| !graph.is_constant(input)) { Some(kernels) } else { None };
        }
    }
    None
}
