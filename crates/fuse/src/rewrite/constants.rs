//! What depends on parameters alone is computed once: standardised weights, spectral norms, masks.

use tch::Tensor;

use crate::error::Result;
use crate::graph::{Graph, Node};
use crate::interpreter::Interpreter;

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

fn evaluate(graph: &Graph, node: &Node) -> Result<Vec<Tensor>> {
    let constants = node.inputs().filter_map(|value| Some((value, graph.constants.get(&value)?.shallow_clone())));
    let one = Graph {
        nodes: vec![node.clone()],
        inputs: Vec::new(),
        outputs: node.outputs.clone(),
        constants: constants.collect(),
        next: graph.next,
    };
    Interpreter::new(&one)?.run(&[])
}
