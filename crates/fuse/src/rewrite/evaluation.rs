//! Refuses what only training does: dropout, updates of running statistics, random numbers.

use crate::bridge::is_random;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node};

/// Returns an error if the graph does what only training does.
pub(crate) fn check_evaluation(graph: &Graph) -> Result<()> {
    for node in &graph.nodes {
        if trains(node) {
            return Err(Error::unsupported(&node.module, "it is in training mode; call train(false) before"));
        }
        if !node.name().contains("dropout") && is_random(&node.op, &node.overload) {
            return Err(Error::unsupported(&node.module, format!("it draws random numbers ({})", node.op)));
        }
    }
    Ok(())
}

fn trains(node: &Node) -> bool {
    match node.name() {
        "batch_norm" => node.value(3).is_some() && node.bool(5) == Some(true),
        "dropout" | "feature_dropout" | "alpha_dropout" => node.bool(2) == Some(true),
        _ => false,
    }
}
