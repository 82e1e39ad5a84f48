//! Rewrites of a graph that keep its numbers.

mod batch_norm;
mod constants;
mod functional;
mod identity;
pub(crate) mod libtorch;

use tch::Tensor;

use crate::error::{Error, Result};
use crate::ffi::{has_operator, is_random};
use crate::graph::Graph;

/// The fused operators of libtorch that are used where oneDNN is not used directly, and whether this libtorch has them.
#[must_use]
pub fn available_operators() -> Vec<(String, bool)> {
    let operators = libtorch::OPERATORS.iter().filter(|(.., cuda)| !cuda || tch::Cuda::device_count() > 0);
    let named = operators.map(|(name, overload, cuda)| {
        let full = if overload.is_empty() { (*name).to_owned() } else { format!("{name}.{overload}") };
        (full, has_operator(name, overload, *cuda))
    });
    named.collect()
}

/// Simplifies `graph`, in place; gives whether it could. `inputs` are an example; they are not changed.
pub(crate) fn simplify(graph: &mut Graph, inputs: &[Tensor]) -> Result<bool> {
    let _guard = tch::no_grad_guard();
    evaluation_only(graph)?;
    identity::remove_dropout(graph);
    if !functional::make(graph, inputs)? {
        return Ok(false);
    }
    identity::remove(graph);
    constants::fold(graph)?;
    batch_norm::fold(graph)?;
    constants::fold(graph)?;
    graph.sweep();
    Ok(true)
}

/// Refuses what only training does: dropout, batch statistics that are written down, random numbers.
fn evaluation_only(graph: &Graph) -> Result<()> {
    for node in &graph.nodes {
        let trains = match node.name() {
            "batch_norm" => node.value(3).is_some() && node.bool(5) == Some(true),
            "dropout" | "feature_dropout" | "alpha_dropout" => node.bool(2) == Some(true),
            _ => false,
        };
        if trains {
            return Err(Error::unsupported(&node.module, "it is in training mode; call train(false) before"));
        }
        if !node.name().contains("dropout") && is_random(&node.op, &node.overload) {
            return Err(Error::unsupported(&node.module, format!("it draws random numbers ({})", node.op)));
        }
    }
    Ok(())
}
