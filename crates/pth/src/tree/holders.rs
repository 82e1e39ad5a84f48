//! [`Holders`]: which values hold tensors.

use crate::error::TreeProblem;
use crate::limits::MAX_DEPTH;
use crate::tree::opaque_object;
use crate::unpickler::{Graph, Node, Value};

/// For each node of a graph, whether it is or contains a tensor.
#[derive(Debug)]
pub(crate) struct Holders {
    states: Vec<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    New,
    /// Being visited: reaching the node again means that it holds itself. Only opaque objects may, as Python objects often
    /// do. The number is the count of opaque objects that were being visited before this node.
    Open(u32),
    Done {
        holds: bool,
        /// Levels of nested containers, including this one.
        height: u32,
    },
}

impl Holders {
    /// Visits everything reachable from `start`, without recursion. Returns an error for a cycle or too deep nesting.
    pub(crate) fn find(graph: &Graph, start: Value) -> Result<Self, TreeProblem> {
        let mut holders = Self { states: vec![State::New; graph.nodes.len()] };
        // Each container is popped twice: before its parts, and after them.
        let mut pending = vec![(start, false)];
        let mut opaque = 0;
        while let Some((value, parts_done)) = pending.pop() {
            let (Value::Node(index), Some(node)) = (value, graph.node(value)) else { continue };
            if parts_done {
                opaque -= u32::from(matches!(node, Node::Opaque(_)));
                let state = holders.combine_parts(graph, node)?;
                holders.set(index, state);
                continue;
            }
            if !matches!(holders.state(value), State::New) {
                continue;
            }
            if !is_container(node) {
                let holds = matches!(node, Node::Tensor(_));
                holders.set(index, State::Done { holds, height: 0 });
                continue;
            }
            holders.set(index, State::Open(opaque));
            opaque += u32::from(matches!(node, Node::Opaque(_)));
            pending.push((value, true));
            // A part may be pushed twice before it is visited; it is skipped the second time.
            for part in parts(graph, node) {
                match holders.state(part) {
                    State::New => pending.push((part, false)),
                    State::Open(before) if before == opaque => return Err(TreeProblem::Cycle),
                    State::Open(_) | State::Done { .. } => {}
                }
            }
        }
        Ok(holders)
    }

    pub(crate) fn holds_tensor(&self, value: Value) -> bool {
        matches!(self.state(value), State::Done { holds: true, .. })
    }

    fn state(&self, value: Value) -> State {
        match value {
            Value::Node(index) => self.states.get(index as usize).copied().unwrap_or(State::New),
            _ => State::Done { holds: false, height: 0 },
        }
    }

    fn set(&mut self, index: u32, state: State) {
        if let Some(slot) = self.states.get_mut(index as usize) {
            *slot = state;
        }
    }

    /// The state of a container whose parts are done.
    fn combine_parts(&self, graph: &Graph, node: &Node) -> Result<State, TreeProblem> {
        let (mut holds, mut height) = (false, 0);
        for part in parts(graph, node) {
            if let State::Done { holds: part_holds, height: part_height } = self.state(part) {
                holds |= part_holds;
                height = height.max(part_height);
            }
        }
        if height >= MAX_DEPTH {
            return Err(TreeProblem::Depth);
        }
        if holds && matches!(node, Node::Set(..)) {
            return Err(TreeProblem::TensorInSet);
        }
        if let Node::Mapping(mapping) = node {
            for &(key, _) in &mapping.items {
                if self.holds_tensor(key) {
                    return Err(TreeProblem::Unhashable(graph.kind(key)));
                }
            }
        }
        Ok(State::Done { holds, height: height + 1 })
    }
}

fn is_container(node: &Node) -> bool {
    matches!(
        node,
        Node::List(_) | Node::Tuple(_) | Node::Set(..) | Node::Mapping(_) | Node::Module(_) | Node::Opaque(_)
    )
}

/// The values in a container, including keys.
pub(crate) fn parts(graph: &Graph, node: &Node) -> Vec<Value> {
    match node {
        Node::List(items) | Node::Set(items, _) => items.clone(),
        Node::Tuple(items) => items.to_vec(),
        Node::Mapping(mapping) => {
            let mut parts = Vec::with_capacity(2 * mapping.items.len());
            for &(key, value) in &mapping.items {
                parts.extend([key, value]);
            }
            parts
        }
        Node::Module(attributes) => attributes.iter().copied().collect(),
        Node::Opaque(opaque) => opaque_object::children(graph, opaque).into_iter().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    }
}
