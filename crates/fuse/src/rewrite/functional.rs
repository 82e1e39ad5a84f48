//! Operators that change a tensor become operators that give a new one, where no view of the tensor is there to see it.

use tch::Tensor;

use crate::error::{Error, Result};
use crate::ffi::has_schema;
use crate::graph::{Graph, Node};
use crate::interpreter::Interpreter;

/// Rewrites the nodes; gives false, and leaves the graph as it is, where a tensor that is changed shares its memory with one
/// that is read later.
pub(crate) fn make(graph: &mut Graph, inputs: &[Tensor]) -> Result<bool> {
    if !graph.nodes.iter().any(Node::changes) {
        return Ok(true);
    }
    for node in graph.nodes.iter().filter(|node| node.changes()) {
        let Some(target) = node.value(0) else { return Ok(false) };
        if graph.constants.contains_key(&target) {
            return Err(Error::unsupported(&node.module, format!("it changes its own state ({})", node.op)));
        }
        if !has_schema(node.op.trim_end_matches('_'), &node.overload) {
            return Ok(false);
        }
    }
    let inputs: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
    if Interpreter::new(graph)?.changes_what_is_read(&inputs.iter().collect::<Vec<_>>())? {
        return Ok(false);
    }
    for node in graph.nodes.iter_mut().filter(|node| node.changes()) {
        node.op = node.op.trim_end_matches('_').to_owned();
    }
    Ok(true)
}
