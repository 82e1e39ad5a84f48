//! Operators that change a tensor become operators that give a new one, where no view of the tensor is there to see it.

use std::collections::{HashMap, HashSet};

use tch::Tensor;

use crate::error::{Error, Result};
use crate::ffi::{has_schema, storage};
use crate::graph::{Graph, Node, ValueId};
use crate::interpreter::Interpreter;

/// Rewrites the nodes; gives false, and leaves the graph as it is, where a tensor that is changed has views.
pub(crate) fn make(graph: &mut Graph, inputs: &[Tensor]) -> Result<bool> {
    if !graph.nodes.iter().any(Node::changes) {
        return Ok(true);
    }
    let views = shared(graph, inputs)?;
    for node in graph.nodes.iter().filter(|node| node.changes()) {
        let Some(target) = node.value(0) else { return Ok(false) };
        if graph.constants.contains_key(&target) {
            return Err(Error::unsupported(&node.module, format!("it changes its own state ({})", node.op)));
        }
        if views.contains(&target) || !has_schema(node.op.trim_end_matches('_'), &node.overload) {
            return Ok(false);
        }
    }
    for node in graph.nodes.iter_mut().filter(|node| node.changes()) {
        node.op = node.op.trim_end_matches('_').to_owned();
    }
    Ok(true)
}

/// The values that share memory with a value that is no earlier state of theirs.
fn shared(graph: &Graph, inputs: &[Tensor]) -> Result<HashSet<ValueId>> {
    let inputs: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
    let values = Interpreter::new(graph)?.run_all(&inputs.iter().collect::<Vec<_>>())?;
    let mut by_storage: HashMap<usize, Vec<ValueId>> = HashMap::new();
    for (value, tensor) in values.iter().chain(&graph.constants) {
        by_storage.entry(storage(tensor)).or_default().push(*value);
    }
    let changed: HashSet<ValueId> =
        graph.nodes.iter().filter(|node| node.changes()).flat_map(|node| node.outputs.clone()).collect();
    let mut found = HashSet::new();
    for values in by_storage.into_values() {
        // One value is the first, all others have to be later states of it.
        if values.iter().filter(|value| !changed.contains(value)).count() > 1 {
            found.extend(values);
        }
    }
    Ok(found)
}
