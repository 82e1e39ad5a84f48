//! The operators of libtorch that do an activation or an addition with the convolution before it: `mkldnn::*` on the CPU,
//! `cudnn_convolution_*` on CUDA. What this libtorch lacks stays as it is.

use std::collections::{HashMap, HashSet};

use tch::{Device, Kind};

use crate::bridge::{Algorithm, Eltwise, has_operator};
use crate::convolution::Convolution;
use crate::error::Result;
use crate::graph::{Arg, Graph, Node, Shapes, ValueId};
use crate::interpreter::evaluate;
use crate::onednn::eltwise;

/// `c10::MemoryFormat::ChannelsLast`
const CHANNELS_LAST: i64 = 2;

/// The fused operators in use, and whether they are those of CUDA.
pub(crate) const OPERATORS: [(&str, &str, bool); 5] = [
    (POINTWISE, "", false),
    (POINTWISE, "binary", false),
    (REORDER, "", false),
    (CUDNN_RELU, "", true),
    (CUDNN_ADD_RELU, "", true),
];

const POINTWISE: &str = "mkldnn::_convolution_pointwise";
const REORDER: &str = "mkldnn::_reorder_convolution_weight";
const CUDNN_RELU: &str = "aten::cudnn_convolution_relu";
const CUDNN_ADD_RELU: &str = "aten::cudnn_convolution_add_relu";

/// A convolution and what is done with its result.
struct Group {
    convolution: Convolution,
    nodes: Vec<usize>,
    output: ValueId,
    other: Option<ValueId>,
    after: Option<Eltwise>,
}

/// Replaces what the device has fused operators for.
pub(crate) fn fuse(graph: &mut Graph, shapes: &Shapes, device: Device) -> Result<()> {
    let cuda = matches!(device, Device::Cuda(_));
    for (name, overload, of_cuda) in OPERATORS {
        if of_cuda == cuda && !has_operator(name, overload, cuda) {
            return Ok(());
        }
    }
    let groups = groups(graph, shapes);
    if groups.is_empty() {
        return Ok(());
    }
    // What stands for a node: another one, or none.
    let mut replaced: HashMap<usize, Option<Node>> = HashMap::new();
    for group in groups {
        let node = if cuda { cudnn(&group) } else { pointwise(graph, &group, shapes)? };
        let (Some(mut node), Some(first), Some(last)) = (node, group.nodes.first(), group.nodes.last()) else {
            continue;
        };
        if let Some(first) = graph.nodes.get(*first) {
            first.module.clone_into(&mut node.module);
        }
        for index in &group.nodes {
            replaced.insert(*index, None);
        }
        replaced.insert(*last, Some(node));
    }
    for (index, node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        match replaced.remove(&index) {
            Some(replacement) => graph.nodes.extend(replacement),
            None => graph.nodes.push(node),
        }
    }
    channels_last(graph, shapes);
    graph.sweep();
    Ok(())
}

/// The convolutions over images, each with the addition and the activation that follow it alone.
fn groups(graph: &Graph, shapes: &Shapes) -> Vec<Group> {
    let uses = graph.uses();
    let mut taken = HashSet::new();
    let mut groups = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let Some(mut group) = Group::new(graph, shapes, index, node) else { continue };
        for (next, node) in graph.nodes.iter().enumerate().skip(index + 1) {
            if !node.inputs().any(|value| value == group.output) {
                continue;
            }
            let alone = uses.get(&group.output) == Some(&1);
            if !alone || taken.contains(&next) || !group.take(next, node, shapes) {
                break;
            }
        }
        taken.extend(group.nodes.iter().copied());
        groups.push(group);
    }
    groups
}

impl Group {
    /// The convolution that the node is; `None` if the fused operators do not have it.
    fn new(graph: &Graph, shapes: &Shapes, index: usize, node: &Node) -> Option<Self> {
        let convolution = Convolution::from_node(node)?;
        let (shape, _) = shapes.get(&convolution.input)?;
        if convolution.transposed || shape.len() != 4 || !graph.is_constant(convolution.weight) {
            return None;
        }
        if let Some(bias) = convolution.bias
            && !graph.is_constant(bias)
        {
            return None;
        }
        Some(Self { convolution, nodes: vec![index], output: node.output()?, other: None, after: None })
    }

    /// Takes in a node that reads the output; returns false if it cannot.
    fn take(&mut self, index: usize, node: &Node, shapes: &Shapes) -> bool {
        let Some(output) = node.output() else { return false };
        if self.after.is_some() {
            return false;
        }
        if let Some(after) = eltwise(node) {
            self.after = Some(after);
        } else if let (None, Some(other)) = (self.other, addend(node, self.output)) {
            // The convolution writes the sum, so that it has to be the one that is as large.
            let Some(shape) = shapes.get(&output) else { return false };
            if shapes.get(&other) != Some(shape) || shapes.get(&self.output) != Some(shape) {
                return false;
            }
            self.other = Some(other);
        } else {
            return false;
        }
        self.output = output;
        self.nodes.push(index);
        true
    }

    fn bias(&self) -> Arg {
        match self.convolution.bias {
            Some(bias) => Arg::Value(bias),
            None => Arg::None,
        }
    }
}

/// What the node adds to `value`.
fn addend(node: &Node, value: ValueId) -> Option<ValueId> {
    let (left, right) = (node.value(0)?, node.value(1)?);
    if node.name() != "add" || node.number(2) != Some(1.0) || left == right {
        return None;
    }
    Some(if left == value { right } else { left })
}

/// The operator of the CPU; its weight is laid out for it.
fn pointwise(graph: &mut Graph, group: &Group, shapes: &Shapes) -> Result<Option<Node>> {
    let convolution = &group.convolution;
    let activation = match group.after {
        Some(after) => match Activation::new(after) {
            Some(activation) => activation,
            None => return Ok(None),
        },
        None => Activation { name: "none", scalars: Vec::new(), variant: None },
    };
    let Some(weight) = graph.constants.get(&convolution.weight) else { return Ok(None) };
    if !matches!(weight.kind(), Kind::Float | Kind::BFloat16) {
        return Ok(None);
    }
    let window = [&convolution.padding, &convolution.stride, &convolution.dilation].map(|list| Arg::Ints(list.clone()));
    let weight = reordered_weight(graph, convolution, &window, shapes)?;
    let mut args = vec![Arg::Value(convolution.input)];
    args.extend(group.other.map(Arg::Value));
    args.extend([Arg::Value(weight), group.bias()]);
    args.extend(window);
    args.push(Arg::Int(convolution.groups));
    let name = Arg::Str(activation.name.to_owned());
    let overload = if group.other.is_some() {
        let unary = if group.after.is_some() { name } else { Arg::None };
        args.extend([Arg::Str("add".to_owned()), Arg::None, unary]);
        "binary"
    } else {
        args.push(name);
        ""
    };
    args.push(Arg::Doubles(activation.scalars));
    args.push(match activation.variant {
        Some(variant) => Arg::Str(variant.to_owned()),
        None => Arg::None,
    });
    Ok(Some(Node::new(POINTWISE, overload, args, vec![group.output])))
}

/// Adds the convolution's weight in the layout that the operator likes.
fn reordered_weight(
    graph: &mut Graph,
    convolution: &Convolution,
    window: &[Arg; 3],
    shapes: &Shapes,
) -> Result<ValueId> {
    let mut args = vec![Arg::Value(convolution.weight)];
    args.extend_from_slice(window);
    args.push(Arg::Int(convolution.groups));
    args.push(Arg::Ints(match shapes.get(&convolution.input) {
        Some((size, _)) => size.clone(),
        None => Vec::new(),
    }));
    let reordered = graph.fresh();
    let node = Node::new(REORDER, "", args, vec![reordered]);
    for tensor in evaluate(graph, &node)? {
        graph.constants.insert(reordered, tensor);
    }
    Ok(reordered)
}

/// The operator of CUDA, which has no activation but ReLU.
fn cudnn(group: &Group) -> Option<Node> {
    let convolution = &group.convolution;
    let after = group.after?;
    if after.algorithm != Algorithm::Relu || after.alpha != 0.0 {
        return None;
    }
    let mut args = vec![Arg::Value(convolution.input), Arg::Value(convolution.weight)];
    if let Some(other) = group.other {
        args.extend([Arg::Value(other), Arg::None]);
    }
    args.push(group.bias());
    args.extend([&convolution.stride, &convolution.padding, &convolution.dilation].map(|list| Arg::Ints(list.clone())));
    args.push(Arg::Int(convolution.groups));
    let op = if group.other.is_some() { CUDNN_ADD_RELU } else { CUDNN_RELU };
    Some(Node::new(op, "", args, vec![group.output]))
}

/// An activation as `mkldnn::_convolution_pointwise` names it.
struct Activation {
    name: &'static str,
    scalars: Vec<f64>,
    variant: Option<&'static str>,
}

impl Activation {
    /// `None` if the operator does not have it.
    fn new(Eltwise { algorithm, alpha, beta }: Eltwise) -> Option<Self> {
        let (alpha, beta) = (f64::from(alpha), f64::from(beta));
        let (name, scalars, variant) = match algorithm {
            Algorithm::Relu if alpha == 0.0 => ("relu", vec![], None),
            Algorithm::Relu => ("leaky_relu", vec![alpha], None),
            Algorithm::Clip => ("hardtanh", vec![alpha, beta], None),
            Algorithm::Logistic => ("sigmoid", vec![], None),
            Algorithm::Tanh => ("tanh", vec![], None),
            Algorithm::Swish => ("swish", vec![], None),
            Algorithm::HardSwish => ("hardswish", vec![], None),
            Algorithm::GeluErf => ("gelu", vec![], Some("none")),
            Algorithm::GeluTanh => ("gelu", vec![], Some("tanh")),
            _ => return None,
        };
        Some(Self { name, scalars, variant })
    }
}

/// Lets images have their channels last, as these operators like them; what depends on the order in memory then copies.
fn channels_last(graph: &mut Graph, shapes: &Shapes) {
    for image in graph.inputs.clone() {
        match shapes.get(&image) {
            Some((shape, Kind::Float)) if shape.len() == 4 => {}
            _ => continue,
        }
        let ordered = graph.fresh();
        let kept = graph.outputs.clone();
        graph.replace(image, ordered);
        graph.outputs = kept;
        let args = vec![Arg::Value(image), Arg::Int(CHANNELS_LAST)];
        graph.nodes.insert(0, Node::new("aten::contiguous", "", args, vec![ordered]));
    }
    for node in &mut graph.nodes {
        if node.op == "aten::view" && node.overload.is_empty() {
            node.op = "aten::reshape".to_owned();
        }
    }
}

/// Lets the graph compute in bfloat16; inputs and outputs stay as they are. `shapes` become those of its values.
pub(crate) fn in_bfloat16(graph: &mut Graph, shapes: &mut Shapes) -> Result<()> {
    let mut floats: HashSet<ValueId> = HashSet::new();
    for (value, (_, kind)) in shapes.iter_mut() {
        if *kind == Kind::Float {
            *kind = Kind::BFloat16;
            floats.insert(*value);
        }
    }
    for tensor in graph.constants.values_mut() {
        if tensor.kind() == Kind::Float {
            *tensor = tensor.f_to_kind(Kind::BFloat16)?;
        }
    }
    let outputs = graph.outputs.clone();
    for input in graph.inputs.clone() {
        if !floats.contains(&input) {
            continue;
        }
        let converted = graph.fresh();
        graph.replace(input, converted);
        graph.nodes.insert(0, conversion(input, converted, Kind::BFloat16));
        if let Some((shape, _)) = shapes.get(&input).cloned() {
            shapes.insert(input, (shape.clone(), Kind::Float));
            shapes.insert(converted, (shape, Kind::BFloat16));
        }
    }
    let converted = graph.outputs.clone();
    for (output, converted) in outputs.into_iter().zip(converted) {
        if !floats.contains(&output) {
            continue;
        }
        let back = graph.fresh();
        graph.nodes.push(conversion(converted, back, Kind::Float));
        for output in &mut graph.outputs {
            if *output == converted {
                *output = back;
            }
        }
    }
    Ok(())
}

fn conversion(from: ValueId, to: ValueId, kind: Kind) -> Node {
    let number = if kind == Kind::BFloat16 { 15 } else { 6 };
    let args = vec![Arg::Value(from), Arg::Int(number), Arg::Bool(false), Arg::Bool(false), Arg::None];
    Node::new("aten::to", "dtype", args, vec![to])
}
