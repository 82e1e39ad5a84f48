//! Rewrites of a graph that keep its numbers.

mod batch_norm;
mod constants;
mod evaluation;
mod functional;
mod identity;
pub(crate) mod libtorch;

use tch::Tensor;

use crate::bridge::has_operator;
use crate::error::Result;
use crate::graph::Graph;
use crate::shapes::Layout;

pub(crate) use evaluation::check_evaluation;

/// The passes of [`simplify`], in order.
const PURIFYING: &[Pass] = &[identity::DROPOUT, functional::PASS, identity::HANDLES];

/// Those after them.
const FOLDING: &[Pass] = &[
    constants::PASS,
    batch_norm::PASS,
    // The batch norms made new constants.
    constants::PASS,
];

/// A rewrite of a graph.
pub(crate) struct Pass {
    name: &'static str,
    /// Rewrites the graph in place.
    run: fn(&mut Graph, &Inputs<'_>) -> Result<Outcome>,
}

/// What the graph gets.
pub(crate) struct Inputs<'a> {
    /// An example, which must not be changed.
    pub(crate) tensors: &'a [Tensor],
    /// What the inputs are like for which the graph is used; they may be larger than the example.
    pub(crate) layouts: &'a [Layout],
    /// Whether nothing else needs the graph's constants, so that they may be overwritten.
    pub(crate) owned: bool,
}

/// Whether the passes go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Continue,
    /// The graph cannot be simplified further, and is run with the operators as they are.
    Stop,
}

/// Rewrites `graph` so that no operator changes a tensor in place and, if it `folds`, nothing is computed that depends on weights alone;
/// returns whether all passes ran.
pub(crate) fn simplify(graph: &mut Graph, inputs: &Inputs<'_>, folds: bool) -> Result<bool> {
    let ran = run(PURIFYING, graph, inputs)? && (!folds || run(FOLDING, graph, inputs)?);
    if ran {
        graph.sweep();
    }
    Ok(ran)
}

/// Returns whether all passes ran.
fn run(passes: &[Pass], graph: &mut Graph, inputs: &Inputs<'_>) -> Result<bool> {
    let _guard = tch::no_grad_guard();
    for pass in passes {
        let before = graph.nodes.len();
        let outcome = (pass.run)(graph, inputs)?;
        log::trace!("{}: {before} operators become {}", pass.name, graph.nodes.len());
        if outcome == Outcome::Stop {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The fused operators of libtorch for when oneDNN is not used directly, and whether this libtorch has them.
#[must_use]
pub fn available_operators() -> Vec<(String, bool)> {
    let mut operators = Vec::new();
    for (name, overload, cuda) in libtorch::OPERATORS {
        if cuda && tch::Cuda::device_count() == 0 {
            continue;
        }
        let full = if overload.is_empty() { name.to_owned() } else { format!("{name}.{overload}") };
        operators.push((full, has_operator(name, overload, cuda)));
    }
    operators
}
