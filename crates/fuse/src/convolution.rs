//! [`Convolution`]: the nodes of a graph that are convolutions.

use crate::graph::{Arg, Node, ValueId};

/// A convolution of any dimension, transposed or not.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    pub(crate) input: ValueId,
    pub(crate) weight: ValueId,
    pub(crate) bias: Option<ValueId>,
    pub(crate) stride: Vec<i64>,
    pub(crate) padding: Vec<i64>,
    pub(crate) dilation: Vec<i64>,
    pub(crate) transposed: bool,
    pub(crate) output_padding: Vec<i64>,
    pub(crate) groups: i64,
}

impl Convolution {
    /// The node as a convolution, if it is one.
    pub(crate) fn from_node(node: &Node) -> Option<Self> {
        if !matches!(node.name(), "_convolution" | "convolution") {
            return None;
        }
        Some(Self {
            input: node.value(0)?,
            weight: node.value(1)?,
            bias: node.value(2),
            stride: node.ints(3)?,
            padding: node.ints(4)?,
            dilation: node.ints(5)?,
            transposed: node.bool(6)?,
            output_padding: node.ints(7)?,
            groups: node.int(8)?,
        })
    }

    /// Gives the node another weight and bias.
    pub(crate) fn set_weights(node: &mut Node, weight: ValueId, bias: ValueId) {
        for (index, value) in [(1, weight), (2, bias)] {
            if let Some(arg) = node.args.get_mut(index) {
                *arg = Arg::Value(value);
            }
        }
    }

    /// The lists with an entry for each spatial axis.
    pub(crate) fn window_lists(&mut self) -> [&mut Vec<i64>; 4] {
        [&mut self.stride, &mut self.padding, &mut self.dilation, &mut self.output_padding]
    }
}
