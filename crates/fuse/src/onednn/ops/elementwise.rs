//! Activations, and arithmetic with one number.

use super::{Candidate, Kernel, Kernels, Operator};
use crate::bridge::{self, Algorithm, Eltwise};
use crate::error::Result;
use crate::graph::{Arg, Node, ValueId};
use crate::onednn::compile::{Compiler, Stored};
use crate::onednn::unit::{After, Unit};

pub(crate) const OPERATOR: Operator = Operator { name: "elementwise", recognize };

#[derive(Debug)]
pub(crate) struct Elementwise {
    pub(crate) input: ValueId,
    pub(crate) eltwise: Eltwise,
}

fn recognize(candidate: &Candidate<'_>) -> Option<Kernels> {
    candidate.one(Elementwise { eltwise: eltwise(candidate.node)?, input: candidate.computed(0)? })
}

/// What the node does to each element.
pub(crate) fn eltwise(node: &Node) -> Option<Eltwise> {
    let (algorithm, alpha, beta) = match node.name() {
        "relu" => (Algorithm::Relu, 0.0, 0.0),
        "leaky_relu" => (Algorithm::Relu, node.number(1)?, 0.0),
        "relu6" => (Algorithm::Clip, 0.0, 6.0),
        "hardtanh" | "clamp" => (Algorithm::Clip, node.number(1)?, node.number(2)?),
        "elu" if node.number(2)? == 1.0 && node.number(3)? == 1.0 => (Algorithm::Elu, node.number(1)?, 0.0),
        "sigmoid" => (Algorithm::Logistic, 0.0, 0.0),
        "tanh" => (Algorithm::Tanh, 0.0, 0.0),
        "silu" => (Algorithm::Swish, 1.0, 0.0),
        "hardswish" => (Algorithm::HardSwish, 1.0 / 6.0, 0.5),
        "hardsigmoid" => (Algorithm::HardSigmoid, 1.0 / 6.0, 0.5),
        "gelu" => match node.args.get(1)? {
            Arg::Str(approximate) if approximate == "tanh" => (Algorithm::GeluTanh, 0.0, 0.0),
            _ => (Algorithm::GeluErf, 0.0, 0.0),
        },
        "mul" => (Algorithm::Linear, node.number(1)?, 0.0),
        // In 32 bits, as libtorch does.
        "div" if node.args.len() == 2 => (Algorithm::Linear, f64::from(1.0 / node.number(1)? as f32), 0.0),
        "add" if node.number(2)? == 1.0 => (Algorithm::Linear, 1.0, node.number(1)?),
        _ => return None,
    };
    Some(Eltwise { algorithm, alpha: alpha as f32, beta: beta as f32 })
}

impl Kernel for Elementwise {
    fn inputs(&self) -> Vec<ValueId> {
        vec![self.input]
    }

    fn lower(&self, compiler: &mut Compiler<'_>, _: &Unit) -> Result<Stored> {
        let source = compiler.typed(self.input)?;
        let op = bridge::elementwise(self.eltwise, &source.desc, &source.desc)?;
        compiler.simple(OPERATOR.name, op, source.place)
    }

    fn as_after(&self, value: ValueId) -> Option<After> {
        if self.input == value { Some(After::Eltwise(self.eltwise)) } else { None }
    }
}
