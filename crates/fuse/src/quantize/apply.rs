//! [`apply`]: a graph in integers.

use std::collections::{HashMap, HashSet};

use tch::{Kind, Tensor};

use super::affine::Affine;
use super::error::invalid;
use super::file::{Constant, Origin, Quantization};
use super::integers::Integers;
use crate::error::{Error, Result};
use crate::graph::{Arg, Graph, Node, ValueId};

/// The operators of the graph in order, as text.
pub(super) fn operators(graph: &Graph) -> Vec<String> {
    let mut numbers: HashMap<ValueId, usize> = HashMap::new();
    let mut operators = Vec::with_capacity(graph.nodes.len());
    for value in &graph.inputs {
        let next = numbers.len();
        numbers.entry(*value).or_insert(next);
    }
    for node in &graph.nodes {
        let mut text = node.op.clone();
        for arg in &node.args {
            text.push(' ');
            for value in arg.values() {
                let next = numbers.len();
                text.push_str(&format!("%{} ", numbers.entry(value).or_insert(next)));
            }
            // Sizes may be those of the example.
            if arg.values().next().is_none() && !(matches!(arg, Arg::Ints(_)) && has_sizes(node)) {
                text.push_str(&format!("{arg:?}"));
            }
        }
        for output in &node.outputs {
            let next = numbers.len();
            numbers.entry(*output).or_insert(next);
        }
        let module = if node.module.is_empty() { "the network" } else { &node.module };
        operators.push(format!("{module}: {}", text.trim_end()));
    }
    operators
}

/// Whether the node's integers are sizes of its result.
fn has_sizes(node: &Node) -> bool {
    matches!(node.name(), "view" | "reshape" | "expand" | "upsample_nearest2d" | "upsample_bilinear2d")
}

/// The constants in the order in which the nodes read them.
pub(super) fn constants(graph: &Graph) -> Vec<ValueId> {
    let mut known = HashSet::new();
    let mut constants = Vec::new();
    for value in graph.nodes.iter().flat_map(|node| node.inputs()).chain(graph.outputs.iter().copied()) {
        if graph.is_constant(value) && known.insert(value) {
            constants.push(value);
        }
    }
    constants
}

/// Rounds what the nodes read of these values to integers.
pub(super) fn insert(graph: &mut Graph, affines: &[(ValueId, Affine)]) {
    let mut replaced = HashMap::new();
    for (value, affine) in affines {
        let rounded = graph.fresh();
        replaced.insert(*value, (rounded, *affine));
    }
    for node in &mut graph.nodes {
        for arg in &mut node.args {
            for value in arg.values().collect::<Vec<_>>() {
                if let Some((rounded, _)) = replaced.get(&value) {
                    arg.replace(value, *rounded);
                }
            }
        }
    }
    let mut nodes = Vec::with_capacity(graph.nodes.len() + affines.len());
    for input in &graph.inputs {
        if let Some((rounded, affine)) = replaced.get(input) {
            nodes.push(affine.node(*input, *rounded));
        }
    }
    for node in std::mem::take(&mut graph.nodes) {
        let outputs = node.outputs.clone();
        let module = node.module.clone();
        nodes.push(node);
        for output in outputs {
            if let Some((rounded, affine)) = replaced.get(&output) {
                let mut node = affine.node(output, *rounded);
                node.module.clone_from(&module);
                nodes.push(node);
            }
        }
    }
    graph.nodes = nodes;
}

/// Makes `graph` the one for which `quantization` was made: with its constants, and with the values in integers
/// rounded. Returns the integers that stand for constants.
pub(crate) fn apply(graph: &mut Graph, quantization: &Quantization) -> Result<HashMap<ValueId, Integers>> {
    let (found, expected) = (operators(graph), &quantization.structure.operators);
    if let Some((found, expected)) = found.iter().zip(expected).find(|(found, expected)| found != expected) {
        return Err(other_network(found, expected));
    }
    let constants = constants(graph);
    if found.len() != expected.len() || constants.len() != quantization.constants.len() {
        let (found, expected) = (found.len(), expected.len());
        return Err(invalid(format!(
            "the file is of another network: of {expected} operators, and this one has {found}"
        )));
    }
    let mut integers = HashMap::new();
    for (value, constant) in constants.into_iter().zip(&quantization.constants) {
        let shape = match graph.constants.get(&value) {
            Some(tensor) => tensor.size(),
            None => Vec::new(),
        };
        let (tensor, found) = constant.tensor()?;
        if tensor.size() != shape {
            return Err(invalid(format!(
                "the file is of another network: a weight of {:?} in place of {shape:?}",
                tensor.size()
            )));
        }
        graph.constants.insert(value, tensor);
        if let Some(found) = found {
            integers.insert(value, found);
        }
    }
    let mut affines = Vec::with_capacity(quantization.structure.values.len());
    for value in &quantization.structure.values {
        let id = match value.origin {
            Origin::Input(index) => graph.inputs.get(index),
            Origin::Node(node, output) => graph.nodes.get(node).and_then(|node| node.outputs.get(output)),
        };
        match id {
            Some(id) => affines.push((*id, value.affine())),
            None => return Err(invalid("the file is of another network: a value is missing")),
        }
    }
    insert(graph, &affines);
    Ok(integers)
}

/// The error about the first operator that is not the expected one.
fn other_network(found: &str, expected: &str) -> Error {
    let [found, expected] = [found, expected].map(|text| {
        let (module, call) = text.split_once(": ").unwrap_or(("", text));
        let operator = call.split(' ').next().unwrap_or_default();
        format!("{} in {module}", operator.trim_start_matches("aten::"))
    });
    let other = if found == expected { "one with other arguments" } else { &found };
    invalid(format!("the file is of another network: it has {expected} where this one has {other}"))
}

impl Constant {
    /// The numbers, and the integers that stand for them.
    fn tensor(&self) -> Result<(Tensor, Option<Integers>)> {
        match self {
            Self::F32 { shape, numbers } => Ok((Tensor::f_from_slice(numbers)?.f_view(size(shape)?.as_slice())?, None)),
            Self::I8 { shape, integers, scales } => {
                let integers = Tensor::f_from_slice(integers)?.f_view(size(shape)?.as_slice())?;
                let integers = Integers { integers, scales: Tensor::f_from_slice(scales)? };
                Ok((integers.numbers()?, Some(integers)))
            }
        }
    }

    /// The constant of these numbers, or of the integers that stand for them.
    pub(super) fn of(numbers: &Tensor, integers: Option<&Integers>) -> Result<Self> {
        let shape = numbers.size().into_iter().map(|size| usize::try_from(size).unwrap_or_default()).collect();
        if let Some(integers) = integers {
            let scales = Vec::<f32>::try_from(&integers.scales)?;
            let integers = Vec::<i8>::try_from(&integers.integers.f_flatten(0, -1)?)?;
            return Ok(Self::I8 { shape, integers, scales });
        }
        if numbers.kind() != Kind::Float {
            return Err(invalid(format!(
                "a network with constants of type {:?} has no form in 8 bits yet",
                numbers.kind()
            )));
        }
        Ok(Self::F32 { shape, numbers: Vec::<f32>::try_from(&numbers.f_contiguous()?.f_flatten(0, -1)?)? })
    }
}

fn size(shape: &[usize]) -> Result<Vec<i64>> {
    shape.iter().map(|size| i64::try_from(*size).map_err(|_| invalid("a size is too large"))).collect()
}
