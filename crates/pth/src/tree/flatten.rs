//! [`flatten`]: the tensors of a tree with their keys.

use crate::error::ErrorKind;
use crate::tensor::TensorDesc;
use crate::tree::json::key_text;
use crate::tree::{Budget, Holders, opaque_object};
use crate::unpickler::{Graph, Node, Opaque, Value};

/// The key of a tensor, and its index among the nodes of the graph.
#[derive(Debug, Clone)]
pub(crate) struct TensorPath {
    pub(crate) key: String,
    pub(crate) node: u32,
}

/// The tensors at and below `start` in order, with their paths from there as keys.
pub(crate) fn flatten(
    graph: &Graph,
    holders: &Holders,
    start: Value,
    budget: &mut Budget,
) -> Result<Vec<TensorPath>, ErrorKind> {
    let (path, opaque, found) = (String::new(), Vec::new(), Vec::new());
    let mut walk = Walk { graph, holders, budget, path, depth: 0, opaque, found };
    walk.visit(start)?;
    Ok(walk.found)
}

struct Walk<'a> {
    graph: &'a Graph,
    holders: &'a Holders,
    budget: &'a mut Budget,
    path: String,
    /// The number of parts of `path`, which may be empty strings.
    depth: usize,
    /// The opaque objects on the path; they may hold themselves.
    opaque: Vec<u32>,
    found: Vec<TensorPath>,
}

impl Walk<'_> {
    /// Recursion is as deep as the tree, whose depth was checked when the holders were found.
    fn visit(&mut self, value: Value) -> Result<(), ErrorKind> {
        if !self.holders.holds_tensor(value) {
            return Ok(());
        }
        self.budget.values(1)?;
        let graph = self.graph;
        match (value, graph.node(value)) {
            (Value::Node(node), Some(Node::Tensor(tensor))) => self.tensor(node, tensor),
            (_, Some(Node::List(items))) => self.items(items),
            (_, Some(Node::Tuple(items))) => self.items(items),
            (_, Some(Node::Mapping(mapping))) => self.entries(&mapping.items),
            // A module is represented by its attributes, which add no part to the path.
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

    fn tensor(&mut self, node: u32, tensor: &TensorDesc) -> Result<(), ErrorKind> {
        if let TensorDesc::Strided(strided) = tensor {
            self.budget.values(strided.shape.len() as u64)?;
        }
        self.budget.text(self.path.len() as u64)?;
        self.found.push(TensorPath { key: self.path.clone(), node });
        Ok(())
    }

    fn items(&mut self, items: &[Value]) -> Result<(), ErrorKind> {
        self.budget.steps(items.len())?;
        for (index, &item) in items.iter().enumerate() {
            if self.holders.holds_tensor(item) {
                self.enter(&index.to_string(), item)?;
            }
        }
        Ok(())
    }

    fn entries(&mut self, entries: &[(Value, Value)]) -> Result<(), ErrorKind> {
        self.budget.steps(entries.len())?;
        for &(key, value) in entries {
            if self.holders.holds_tensor(value) {
                let key = key_text(self.graph, key, self.budget)?;
                self.enter(&key, value)?;
            }
        }
        Ok(())
    }

    fn children(&mut self, opaque: &Opaque) -> Result<(), ErrorKind> {
        let children = opaque_object::children(self.graph, opaque);
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
        if self.depth > 0 {
            self.path.push('.');
        }
        self.path.push_str(part);
        self.depth += 1;
        self.visit(value)?;
        self.depth -= 1;
        self.path.truncate(length);
        Ok(())
    }
}
