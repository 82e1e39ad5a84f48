//! Operators that return their input are removed.

use super::{Inputs, Outcome, Pass};
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};

/// Removes dropout, which in evaluation mode returns the very tensor that it takes.
pub(crate) const DROPOUT: Pass = Pass { name: "dropout", run: remove_dropout };

/// Removes what only makes another handle.
pub(crate) const HANDLES: Pass = Pass { name: "handles", run: remove_handles };

fn remove_dropout(graph: &mut Graph, _: &Inputs<'_>) -> Result<Outcome> {
    remove(graph, is_idle_dropout);
    Ok(Outcome::Continue)
}

fn is_idle_dropout(node: &Node) -> bool {
    matches!(node.name(), "dropout" | "feature_dropout" | "alpha_dropout") && node.bool(2) == Some(false)
}

fn remove_handles(graph: &mut Graph, _: &Inputs<'_>) -> Result<Outcome> {
    remove(graph, |node| matches!(node.name(), "detach" | "alias"));
    Ok(Outcome::Continue)
}

fn remove(graph: &mut Graph, returns_its_input: fn(&Node) -> bool) {
    let mut replaced: Vec<(ValueId, ValueId)> = Vec::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        for (from, to) in &replaced {
            for arg in &mut node.args {
                arg.replace(*from, *to);
            }
        }
        match (returns_its_input(&node), node.value(0), node.output()) {
            (true, Some(input), Some(output)) => replaced.push((output, input)),
            _ => graph.nodes.push(node),
        }
    }
    for (from, to) in replaced {
        graph.replace(from, to);
    }
}
