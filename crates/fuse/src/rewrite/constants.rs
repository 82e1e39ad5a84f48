//! What depends on parameters alone is computed once: standardized weights, spectral norms, masks.

use super::{Inputs, Outcome, Pass};
use crate::error::Result;
use crate::graph::Graph;
use crate::interpreter::evaluate;

pub(crate) const PASS: Pass = Pass { name: "constants", run: fold };

fn fold(graph: &mut Graph, _: &Inputs<'_>) -> Result<Outcome> {
    for node in std::mem::take(&mut graph.nodes) {
        if !node.changes() && node.inputs().all(|value| graph.is_constant(value)) {
            let results = evaluate(graph, &node)?;
            graph.constants.extend(node.outputs.iter().copied().zip(results));
        } else {
            graph.nodes.push(node);
        }
    }
    Ok(Outcome::Continue)
}
