//! What depends on parameters alone is computed once: standardised weights, spectral norms, masks.

use crate::error::Result;
use crate::graph::Graph;
use crate::interpreter::evaluate;

pub(crate) fn fold(graph: &mut Graph) -> Result<()> {
    let nodes = std::mem::take(&mut graph.nodes);
    for node in nodes {
        let constant = node.inputs().all(|value| graph.constants.contains_key(&value));
        if constant && !node.changes() {
            let results = evaluate(graph, &node)?;
            graph.constants.extend(node.outputs.iter().copied().zip(results));
        } else {
            graph.nodes.push(node);
        }
    }
    Ok(())
}
