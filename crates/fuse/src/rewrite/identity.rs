//! Operators that give what they take are removed.

use crate::graph::{Graph, Node, ValueId};

/// Removes dropout, which in evaluation mode gives the very tensor that it takes.
pub(crate) fn remove_dropout(graph: &mut Graph) {
    remove_where(graph, |node| {
        matches!(node.name(), "dropout" | "feature_dropout" | "alpha_dropout") && node.bool(2) == Some(false)
    });
}

/// Removes what only makes another handle.
pub(crate) fn remove(graph: &mut Graph) {
    remove_where(graph, |node| matches!(node.name(), "detach" | "alias"));
}

fn remove_where(graph: &mut Graph, gives_its_input: impl Fn(&Node) -> bool) {
    let mut replaced: Vec<(ValueId, ValueId)> = Vec::new();
    for mut node in std::mem::take(&mut graph.nodes) {
        for (from, to) in &replaced {
            node.args.iter_mut().for_each(|arg| arg.replace(*from, *to));
        }
        match (gives_its_input(&node), node.value(0), node.output()) {
            (true, Some(input), Some(output)) => replaced.push((output, input)),
            _ => graph.nodes.push(node),
        }
    }
    for (from, to) in replaced {
        graph.replace(from, to);
    }
}
