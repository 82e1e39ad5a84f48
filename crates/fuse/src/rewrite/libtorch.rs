//! The operators of libtorch that do an activation or an addition with the convolution before it: `mkldnn::*` on the CPU,
//! `cudnn_convolution_*` on CUDA. What this libtorch lacks stays as it is.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::ffi::has_operator;
use crate::graph::{Arg, Graph, Node, ValueId};
use crate::interpreter::evaluate;
use crate::onednn::{Eltwise, Shapes, algorithm, eltwise};
use crate::ops::Convolution;

/// `c10::MemoryFormat::ChannelsLast`
const CHANNELS_LAST: i64 = 2;

/// The fused operators that are used, and whether they are those of CUDA.
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
    /// The position of the last of its nodes, where it is done.
    last: usize,
    nodes: Vec<usize>,
    output: ValueId,
    other: Option<ValueId>,
    after: Option<Eltwise>,
}

/// Replaces what the device has fused operators for.
pub(crate) fn fuse(graph: &mut Graph, shapes: &Shapes, device: Device) -> Result<()> {
    let cuda = matches!(device, Device::Cuda(_));
    if OPERATORS.iter().any(|(name, overload, of_cuda)| *of_cuda == cuda && !has_operator(name, overload, cuda)) {
        return Ok(());
    }
    let groups: Vec<Group> = groups(graph, shapes);
    if groups.is_empty() {
        return Ok(());
    }
    let mut replaced: HashMap<usize, Option<Node>> = HashMap::new();
    for group in groups {
        let node = if cuda { cudnn(graph, &group)? } else { pointwise(graph, &group, shapes)? };
        if let Some(node) = node {
            replaced.extend(group.nodes.iter().map(|index| (*index, None)));
            replaced.insert(group.last, Some(node));
        }
    }
    let nodes = std::mem::take(&mut graph.nodes).into_iter().enumerate();
    graph.nodes = nodes.filter_map(|(index, node)| replaced.remove(&index).unwrap_or(Some(node))).collect();
    channels_last(graph, shapes);
    graph.sweep();
    Ok(())
}

/// The convolutions over images, each with the addition and the activation that follow it alone.
fn groups(graph: &Graph, shapes: &Shapes) -> Vec<Group> {
    let uses = graph.uses();
    let same = |one: ValueId, other: ValueId| shapes.get(&one).is_some() && shapes.get(&one) == shapes.get(&other);
    let mut taken = std::collections::HashSet::new();
    let mut groups = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let Some(convolution) = Convolution::of(node).filter(|convolution| !convolution.transposed) else { continue };
        let image = shapes.get(&convolution.input).is_some_and(|(shape, _)| shape.len() == 4);
        let constants = [Some(convolution.weight), convolution.bias].into_iter().flatten();
        let Some(output) = node.output().filter(|_| image) else { continue };
        if !constants.clone().all(|value| graph.constants.contains_key(&value)) {
            continue;
        }
        let mut group = Group { convolution, last: index, nodes: vec![index], output, other: None, after: None };
        for (next, node) in graph.nodes.iter().enumerate().skip(index + 1) {
            let reads = node.inputs().any(|value| value == group.output);
            if !reads || uses.get(&group.output) != Some(&1) || taken.contains(&next) || group.after.is_some() {
                if reads {
                    break;
                }
                continue;
            }
            let Some(output) = node.output() else { break };
            // The convolution writes the sum, so that it has to be the one that is as large.
            let other = addend(node, group.output).filter(|other| same(*other, output) && same(group.output, output));
            match (eltwise(node), other) {
                (Some(after), _) => group.after = Some(after),
                (None, Some(other)) if group.other.is_none() => group.other = Some(other),
                _ => break,
            }
            group.output = output;
            group.last = next;
            group.nodes.push(next);
        }
        taken.extend(group.nodes.iter().copied());
        groups.push(group);
    }
    groups
}

/// What the node adds to `value`.
fn addend(node: &Node, value: ValueId) -> Option<ValueId> {
    let (left, right) = (node.value(0)?, node.value(1)?);
    let adds = node.name() == "add" && node.number(2) == Some(1.0) && left != right;
    adds.then_some(if left == value { right } else { left })
}

/// The operator of the CPU; its weight is laid out for it.
fn pointwise(graph: &mut Graph, group: &Group, shapes: &Shapes) -> Result<Option<Node>> {
    let Some((name, scalars, variant)) = group.after.map_or(Some(("none", vec![], None)), attribute) else {
        return Ok(None);
    };
    let Convolution { input, weight, bias, stride, padding, dilation, groups, .. } = &group.convolution;
    let kind = graph.constants.get(weight).map(Tensor::kind);
    if !matches!(kind, Some(Kind::Float | Kind::BFloat16)) {
        return Ok(None);
    }
    let window = [padding, stride, dilation].map(|list| Arg::Ints(list.clone()));
    let size = shapes.get(input).map(|(shape, _)| shape.clone()).unwrap_or_default();
    let mut reorder = vec![Arg::Value(*weight)];
    reorder.extend(window.clone());
    reorder.extend([Arg::Int(*groups), Arg::Ints(size)]);
    let reordered = graph.fresh();
    let node = Node {
        op: REORDER.to_owned(),
        overload: String::new(),
        args: reorder,
        outputs: vec![reordered],
        module: String::new(),
    };
    for tensor in evaluate(graph, &node)? {
        graph.constants.insert(reordered, tensor);
    }
    let [padding, stride, dilation] = window;
    let bias = bias.map_or(Arg::None, Arg::Value);
    let (scalars, variant) =
        (Arg::Doubles(scalars), variant.map_or(Arg::None, |variant: &str| Arg::Str(variant.to_owned())));
    let mut args = vec![Arg::Value(*input)];
    args.extend(group.other.map(Arg::Value));
    args.extend([Arg::Value(reordered), bias, padding, stride, dilation, Arg::Int(*groups)]);
    let overload = if group.other.is_some() {
        let unary = group.after.map_or(Arg::None, |_| Arg::Str(name.to_owned()));
        args.extend([Arg::Str("add".to_owned()), Arg::None, unary, scalars, variant]);
        "binary"
    } else {
        args.extend([Arg::Str(name.to_owned()), scalars, variant]);
        ""
    };
    Ok(Some(made(graph, group, POINTWISE, overload, args)))
}

/// The operator of CUDA, which has no activation but ReLU.
fn cudnn(graph: &mut Graph, group: &Group) -> Result<Option<Node>> {
    let relu = group.after.is_some_and(|after| after.algorithm == algorithm::RELU && after.alpha == 0.0);
    if !relu {
        return Ok(None);
    }
    let Convolution { input, weight, bias, stride, padding, dilation, groups, .. } = &group.convolution;
    let mut args = vec![Arg::Value(*input), Arg::Value(*weight)];
    args.extend(group.other.into_iter().flat_map(|other| [Arg::Value(other), Arg::None]));
    args.push(bias.map_or(Arg::None, Arg::Value));
    args.extend([stride, padding, dilation].map(|list| Arg::Ints(list.clone())));
    args.push(Arg::Int(*groups));
    let op = if group.other.is_some() { CUDNN_ADD_RELU } else { CUDNN_RELU };
    Ok(Some(made(graph, group, op, "", args)))
}

fn made(graph: &Graph, group: &Group, op: &str, overload: &str, args: Vec<Arg>) -> Node {
    let module = group.nodes.first().and_then(|index| graph.nodes.get(*index)).map(|node| node.module.clone());
    Node {
        op: op.to_owned(),
        overload: overload.to_owned(),
        args,
        outputs: vec![group.output],
        module: module.unwrap_or_default(),
    }
}

/// The name, numbers and variant of an activation for `mkldnn::_convolution_pointwise`.
fn attribute(after: Eltwise) -> Option<(&'static str, Vec<f64>, Option<&'static str>)> {
    let Eltwise { algorithm, alpha, beta } = after;
    Some(match algorithm {
        algorithm::RELU if alpha == 0.0 => ("relu", vec![], None),
        algorithm::RELU => ("leaky_relu", vec![f64::from(alpha)], None),
        algorithm::CLIP => ("hardtanh", vec![f64::from(alpha), f64::from(beta)], None),
        algorithm::LOGISTIC => ("sigmoid", vec![], None),
        algorithm::TANH => ("tanh", vec![], None),
        algorithm::SWISH => ("swish", vec![], None),
        algorithm::HARD_SWISH => ("hardswish", vec![], None),
        algorithm::GELU_ERF => ("gelu", vec![], Some("none")),
        algorithm::GELU_TANH => ("gelu", vec![], Some("tanh")),
        _ => return None,
    })
}

/// Lets images have their channels last, as these operators like them; what depends on the order in memory then copies.
fn channels_last(graph: &mut Graph, shapes: &Shapes) {
    let images: Vec<ValueId> = graph
        .inputs
        .iter()
        .copied()
        .filter(|value| shapes.get(value).is_some_and(|(shape, kind)| shape.len() == 4 && *kind == Kind::Float))
        .collect();
    for image in images {
        let ordered = graph.fresh();
        let kept = graph.outputs.clone();
        graph.replace(image, ordered);
        graph.outputs = kept;
        let args = vec![Arg::Value(image), Arg::Int(CHANNELS_LAST)];
        let op = "aten::contiguous".to_owned();
        let node = Node { op, overload: String::new(), args, outputs: vec![ordered], module: String::new() };
        graph.nodes.insert(0, node);
    }
    for node in graph.nodes.iter_mut().filter(|node| node.op == "aten::view" && node.overload.is_empty()) {
        node.op = "aten::reshape".to_owned();
    }
}

/// Lets the graph compute in bfloat16; inputs and outputs stay as they are. `shapes` become those of its values.
pub(crate) fn in_bfloat16(graph: &mut Graph, shapes: &mut Shapes) -> Result<()> {
    let before = shapes.clone();
    let is_float = |value: &ValueId| before.get(value).is_some_and(|(_, kind)| *kind == Kind::Float);
    for (_, kind) in shapes.values_mut().filter(|(_, kind)| *kind == Kind::Float) {
        *kind = Kind::BFloat16;
    }
    for tensor in graph.constants.values_mut().filter(|tensor| tensor.kind() == Kind::Float) {
        *tensor = tensor.f_to_kind(Kind::BFloat16)?;
    }
    let outputs = graph.outputs.clone();
    for input in graph.inputs.clone().into_iter().filter(is_float) {
        let converted = graph.fresh();
        graph.replace(input, converted);
        graph.nodes.insert(0, conversion(input, converted, Kind::BFloat16));
        if let Some((shape, kind)) = before.get(&input) {
            shapes.insert(input, (shape.clone(), *kind));
            shapes.insert(converted, (shape.clone(), Kind::BFloat16));
        }
    }
    let converted = graph.outputs.clone();
    for (_, converted) in outputs.into_iter().zip(converted).filter(|(output, _)| is_float(output)) {
        let back = graph.fresh();
        graph.nodes.push(conversion(converted, back, Kind::Float));
        for output in graph.outputs.iter_mut().filter(|output| **output == converted) {
            *output = back;
        }
    }
    Ok(())
}

fn conversion(from: ValueId, to: ValueId, kind: Kind) -> Node {
    let number = if kind == Kind::BFloat16 { 15 } else { 6 };
    let args = vec![Arg::Value(from), Arg::Int(number), Arg::Bool(false), Arg::Bool(false), Arg::None];
    Node { op: "aten::to".to_owned(), overload: "dtype".to_owned(), args, outputs: vec![to], module: String::new() }
}
