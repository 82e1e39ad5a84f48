//! Operators that change a tensor become operators that return a new one, if no view of the tensor is there to see it.

use super::{Inputs, Outcome, Pass};
use crate::bridge::has_schema;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::interpreter::Interpreter;
use crate::{sample, shapes};

pub(crate) const PASS: Pass = Pass { name: "functional", run: make };

/// Stops, and leaves the graph as it is, if a tensor that is changed shares its memory with one that is read later.
fn make(graph: &mut Graph, inputs: &Inputs<'_>) -> Result<Outcome> {
    if !graph.nodes.iter().any(Node::changes) {
        return Ok(Outcome::Continue);
    }
    for node in &graph.nodes {
        if !node.changes() {
            continue;
        }
        let Some(target) = node.value(0) else { return Ok(Outcome::Stop) };
        if graph.is_constant(target) {
            return Err(Error::unsupported(&node.module, format!("it changes its own state ({})", node.op)));
        }
        if !has_schema(node.op.trim_end_matches('_'), &node.overload) {
            return Ok(Outcome::Stop);
        }
    }
    let changes_what_is_read = match shapes::infer(graph, inputs.layouts) {
        Ok(inferred) => inferred.changes_what_is_read,
        Err(_) => {
            let inputs = sample::copies(inputs.tensors)?;
            Interpreter::new(graph)?.changes_what_is_read(&inputs.iter().collect::<Vec<_>>())?
        }
    };
    if changes_what_is_read {
        return Ok(Outcome::Stop);
    }
    for node in &mut graph.nodes {
        if node.changes() {
            node.op = node.op.trim_end_matches('_').to_owned();
        }
    }
    Ok(Outcome::Continue)
}
