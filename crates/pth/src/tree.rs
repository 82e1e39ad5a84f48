//! The tree of values as keys: which containers hold tensors, and under which path each tensor is found.

use crate::error::{ErrorKind, TreeProblem};
use crate::json;
use crate::limits::{MAX_DEPTH, MAX_STEPS, MAX_TEXT_BYTES, MAX_VALUES};
use crate::opaque;
use crate::pickle::{Graph, Node, Opaque, Value};
use crate::tensor::Tensor;

/// For each node of a graph, whether a tensor is in it or below it.
#[derive(Debug)]
pub(crate) struct Holders {
    states: Vec<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    New,
    /// Being looked at: to meet it again means that it holds itself. Only opaque objects may, as objects of Python often
    /// do; with it, how many of them were being looked at before.
    Open(u32),
    Done {
        holds: bool,
        /// Levels of containers, its own included.
        height: u32,
    },
}

impl Holders {
    /// Looks at all that `start` reaches, without recursion. A cycle, or nesting that is too deep, is an error.
    pub(crate) fn find(graph: &Graph, start: Value) -> Result<Self, TreeProblem> {
        let mut holders = Self { states: vec![State::New; graph.nodes.len()] };
        // Each value is met twice: before its parts, and after them.
        let mut pending = vec![(start, false)];
        let mut opaque = 0;
        while let Some((value, parts_done)) = pending.pop() {
            let (Value::Node(index), Some(node)) = (value, graph.node(value)) else { continue };
            if parts_done {
                opaque -= u32::from(matches!(node, Node::Opaque(_)));
                let state = holders.join(graph, node)?;
                holders.set(index, state);
                continue;
            }
            match holders.state(value) {
                State::Done { .. } | State::Open(_) => {}
                State::New if !is_container(node) => {
                    let holds = matches!(node, Node::Tensor(_));
                    holders.set(index, State::Done { holds, height: 0 });
                }
                State::New => {
                    holders.set(index, State::Open(opaque));
                    opaque += u32::from(matches!(node, Node::Opaque(_)));
                    pending.push((value, true));
                    // A part may be met twice before it is looked at; the second time it is done.
                    for part in parts(graph, node) {
                        match holders.state(part) {
                            State::New => pending.push((part, false)),
                            State::Open(before) if before == opaque => return Err(TreeProblem::Cycle),
                            State::Open(_) | State::Done { .. } => {}
                        }
                    }
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

    fn join(&self, graph: &Graph, node: &Node) -> Result<State, TreeProblem> {
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
        if let Node::Mapping(mapping) = node
            && let Some((key, _)) = mapping.items.iter().find(|(key, _)| self.holds_tensor(*key))
        {
            return Err(TreeProblem::Unhashable(graph.kind(*key)));
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

/// The values in a container, keys included.
pub(crate) fn parts<'a>(graph: &'a Graph, node: &'a Node) -> Box<dyn Iterator<Item = Value> + 'a> {
    match node {
        Node::List(items) | Node::Set(items, _) => Box::new(items.iter().copied()),
        Node::Tuple(items) => Box::new(items.iter().copied()),
        Node::Mapping(mapping) => Box::new(mapping.items.iter().flat_map(|&(key, value)| [key, value])),
        Node::Module(attributes) => Box::new(attributes.iter().copied()),
        Node::Opaque(opaque) => Box::new(opaque::children(graph, opaque).into_iter().map(|(_, value)| value)),
        _ => Box::new(std::iter::empty()),
    }
}

/// Counts what becomes part of a result.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    values: u64,
    steps: u64,
    text: u64,
}

impl Budget {
    pub(crate) fn values(&mut self, count: u64) -> Result<(), ErrorKind> {
        self.values = self.values.saturating_add(count);
        ErrorKind::check_limit("number of values", self.values, MAX_VALUES)
    }

    /// Counts parts that are looked at without becoming part of the result.
    fn steps(&mut self, count: usize) -> Result<(), ErrorKind> {
        self.steps = self.steps.saturating_add(count as u64);
        ErrorKind::check_limit("number of steps to the tensors", self.steps, MAX_STEPS)
    }

    pub(crate) fn text(&mut self, bytes: u64) -> Result<(), ErrorKind> {
        self.text = self.text.saturating_add(bytes);
        ErrorKind::check_limit("bytes of keys and strings", self.text, MAX_TEXT_BYTES)
    }
}

/// The path of a tensor, and its index among the graph's nodes.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) key: String,
    pub(crate) node: u32,
}

/// The tensors at and below `start` in order, with their paths from there.
pub(crate) fn flatten(
    graph: &Graph,
    holders: &Holders,
    start: Value,
    budget: &mut Budget,
) -> Result<Vec<Path>, ErrorKind> {
    let mut walk =
        Walk { graph, holders, budget, path: String::new(), parts: 0, opaque: Vec::new(), found: Vec::new() };
    walk.visit(start)?;
    Ok(walk.found)
}

struct Walk<'a> {
    graph: &'a Graph,
    holders: &'a Holders,
    budget: &'a mut Budget,
    path: String,
    /// Parts of `path`, which may be empty strings.
    parts: usize,
    /// The opaque objects on the way, which may hold themselves.
    opaque: Vec<u32>,
    found: Vec<Path>,
}

impl Walk<'_> {
    /// Recursion is as deep as the tree, which was limited when the holders were found.
    fn visit(&mut self, value: Value) -> Result<(), ErrorKind> {
        if !self.holders.holds_tensor(value) {
            return Ok(());
        }
        self.budget.values(1)?;
        match (value, self.graph.node(value)) {
            (Value::Node(node), Some(Node::Tensor(tensor))) => self.tensor(node, tensor),
            (_, Some(Node::List(items))) => self.items(items),
            (_, Some(Node::Tuple(items))) => self.items(items),
            (_, Some(Node::Mapping(mapping))) => self.entries(&mapping.items),
            // The attributes are the module: they add no part to the path.
            (_, Some(&Node::Module(Some(attributes)))) => self.visit(attributes),
            (Value::Node(node), Some(Node::Opaque(opaque))) if !self.opaque.contains(&node) => {
                self.opaque.push(node);
                self.children(opaque)?;
                self.opaque.pop();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn tensor(&mut self, node: u32, tensor: &Tensor) -> Result<(), ErrorKind> {
        if let Tensor::Strided(strided) = tensor {
            self.budget.values(strided.shape.len() as u64)?;
        }
        self.budget.text(self.path.len() as u64)?;
        self.found.push(Path { key: self.path.clone(), node });
        Ok(())
    }

    fn items(&mut self, items: &[Value]) -> Result<(), ErrorKind> {
        self.budget.steps(items.len())?;
        let holders = self.holders;
        for (index, &item) in items.iter().enumerate().filter(|&(_, &item)| holders.holds_tensor(item)) {
            self.enter(&index.to_string(), item)?;
        }
        Ok(())
    }

    fn entries(&mut self, entries: &[(Value, Value)]) -> Result<(), ErrorKind> {
        self.budget.steps(entries.len())?;
        let holders = self.holders;
        for &(key, value) in entries.iter().filter(|&&(_, value)| holders.holds_tensor(value)) {
            let key = json::key_text(self.graph, key, self.budget)?;
            self.enter(&key, value)?;
        }
        Ok(())
    }

    fn children(&mut self, opaque: &Opaque) -> Result<(), ErrorKind> {
        let children = opaque::children(self.graph, opaque);
        self.budget.steps(children.len())?;
        for (part, value) in children {
            if self.holders.holds_tensor(value) {
                self.enter(&part.text(self.graph), value)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, part: &str, value: Value) -> Result<(), ErrorKind> {
        let length = self.path.len();
        if self.parts > 0 {
            self.path.push('.');
        }
        self.path.push_str(part);
        self.parts += 1;
        self.visit(value)?;
        self.parts -= 1;
        self.path.truncate(length);
        Ok(())
    }
}
