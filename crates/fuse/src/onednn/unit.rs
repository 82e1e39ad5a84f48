//! [`Unit`]: what a node of the graph is for oneDNN.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use super::ffi::{Eltwise, Window};
use crate::graph::{Arg, Graph, Node, ValueId};
use crate::ops::Convolution;

/// `dnnl_alg_kind_t` of what is used.
pub(crate) mod algorithm {
    pub(crate) const RELU: i32 = 0x20;
    pub(crate) const TANH: i32 = 0x21;
    pub(crate) const ELU: i32 = 0x22;
    pub(crate) const LINEAR: i32 = 0x26;
    pub(crate) const HARD_SIGMOID: i32 = 0x28;
    pub(crate) const LOGISTIC: i32 = 0x29;
    pub(crate) const GELU_TANH: i32 = 0x2b;
    pub(crate) const SWISH: i32 = 0x2c;
    pub(crate) const CLIP: i32 = 0x2e;
    pub(crate) const GELU_ERF: i32 = 0x31;
    pub(crate) const HARD_SWISH: i32 = 0x34;
    pub(crate) const POOL_MAX: i32 = 0x1ff;
    pub(crate) const POOL_INCLUDE_PADDING: i32 = 0x2ff;
    pub(crate) const POOL_EXCLUDE_PADDING: i32 = 0x3ff;
    pub(crate) const ADD: i32 = 0x1fff0;
    pub(crate) const MUL: i32 = 0x1fff1;
    pub(crate) const NEAREST: i32 = 0x2fff0;
    pub(crate) const BILINEAR: i32 = 0x2fff1;
}
use algorithm::*;

/// Shapes and types of all values.
pub(crate) type Shapes = HashMap<ValueId, (Vec<i64>, Kind)>;

/// An operator and what is done with its result before it is written.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) kernel: Kernel,
    pub(super) after: Vec<After>,
    pub(super) output: ValueId,
    /// The first of the nodes that it stands for.
    pub(super) first: usize,
    /// The last of them, where it is run.
    pub(super) node: usize,
}

/// An operator.
#[derive(Debug, Clone)]
pub(super) enum Kernel {
    Convolution(Convolution),
    /// Input, weight, bias.
    Linear(ValueId, ValueId, Option<ValueId>),
    Pool {
        algorithm: i32,
        input: ValueId,
        kernel: Vec<i64>,
        window: Window,
    },
    Eltwise(ValueId, Eltwise),
    Binary(i32, ValueId, ValueId),
    Concat(Vec<ValueId>, usize),
    Resample(i32, ValueId),
    /// The same elements in the same order under another shape.
    Reshape(ValueId),
    /// The same elements under the same shape.
    Same(ValueId),
    /// A part along the channels, from this one on.
    Part(ValueId, i64),
}

/// What is done with a result before it is written.
#[derive(Debug, Clone)]
pub(super) enum After {
    Eltwise(Eltwise),
    Binary(i32, ValueId),
}

impl Kernel {
    /// The values that are computed and not constant.
    pub(super) fn inputs(&self) -> Vec<ValueId> {
        match self {
            Self::Convolution(convolution) => vec![convolution.input],
            Self::Linear(input, ..)
            | Self::Pool { input, .. }
            | Self::Eltwise(input, _)
            | Self::Resample(_, input)
            | Self::Reshape(input)
            | Self::Same(input)
            | Self::Part(input, _) => vec![*input],
            Self::Binary(_, left, right) => vec![*left, *right],
            Self::Concat(inputs, _) => inputs.clone(),
        }
    }

    /// Whether activations and additions can be part of it.
    pub(super) fn takes_more(&self) -> bool {
        matches!(self, Self::Convolution(_) | Self::Linear(..) | Self::Binary(..))
    }
}

impl Unit {
    /// The values that it reads.
    pub(super) fn inputs(&self) -> Vec<ValueId> {
        let after = self.after.iter().filter_map(|after| match after {
            After::Binary(_, other) => Some(*other),
            After::Eltwise(_) => None,
        });
        self.kernel.inputs().into_iter().chain(after).collect()
    }
}

/// The operator that the node is, one for each of its outputs; `None` where oneDNN has none that gives the same.
pub(super) fn kernels(graph: &Graph, node: &Node, shapes: &Shapes) -> Option<Vec<(Kernel, ValueId)>> {
    let shape = |value: ValueId| shapes.get(&value).filter(|(_, kind)| *kind == Kind::Float).map(|(shape, _)| shape);
    let supported = |value: ValueId| shape(value).is_some_and(|shape| shape.iter().all(|size| *size > 0));
    if !node.inputs().chain(node.outputs.iter().copied()).all(supported) {
        return None;
    }
    if matches!(node.name(), "chunk" | "split" | "split_with_sizes") {
        return parts(node, &shape);
    }
    let output = node.output()?;
    let kernel = convolution(graph, node, &shape)
        .or_else(|| linear(graph, node, &shape))
        .or_else(|| pooling(node, &shape))
        .or_else(|| eltwise(node).and_then(|eltwise| Some(Kernel::Eltwise(computed(graph, node, 0)?, eltwise))))
        .or_else(|| binary(graph, node, &shape))
        .or_else(|| concat(graph, node, &shape))
        .or_else(|| resample(node, &shape))
        .or_else(|| reshape(node))
        .or_else(|| node.value(0).filter(|_| node.name() == "contiguous").map(Kernel::Same))
        .or_else(|| slice(node, &shape))?;
    let inputs = kernel.inputs();
    let computed = inputs.iter().any(|input| !graph.constants.contains_key(input));
    computed.then(|| vec![(kernel, output)])
}

/// The value of argument `index`, if it is not constant.
fn computed(graph: &Graph, node: &Node, index: usize) -> Option<ValueId> {
    node.value(index).filter(|value| !graph.constants.contains_key(value))
}

fn convolution<'a>(graph: &Graph, node: &Node, shape: &impl Fn(ValueId) -> Option<&'a Vec<i64>>) -> Option<Kernel> {
    let mut convolution = Convolution::of(node)?;
    let dimensions = shape(convolution.input)?.len();
    let constants = [Some(convolution.weight), convolution.bias].into_iter().flatten();
    let fits = (3..=5).contains(&dimensions)
        && shape(convolution.weight)?.len() == dimensions
        && constants.clone().all(|value| graph.constants.contains_key(&value))
        && !graph.constants.contains_key(&convolution.input);
    // One number stands for all axes.
    let lists =
        [&mut convolution.stride, &mut convolution.padding, &mut convolution.dilation, &mut convolution.output_padding];
    for list in lists {
        if let ([only], true) = (list.as_slice(), dimensions > 3) {
            *list = vec![*only; dimensions - 2];
        }
    }
    let Convolution { stride, padding, dilation, output_padding, .. } = &convolution;
    let lengths = [stride, padding, dilation, output_padding].iter().all(|list| list.len() == dimensions - 2);
    (fits && lengths).then_some(Kernel::Convolution(convolution))
}

fn linear<'a>(graph: &Graph, node: &Node, shape: &impl Fn(ValueId) -> Option<&'a Vec<i64>>) -> Option<Kernel> {
    if node.name() != "linear" || shape(node.value(0)?)?.len() != 2 {
        return None;
    }
    let constant = |index: usize| node.value(index).filter(|value| graph.constants.contains_key(value));
    let bias = constant(2);
    (bias.is_some() == node.value(2).is_some()).then_some(())?;
    Some(Kernel::Linear(computed(graph, node, 0)?, constant(1)?, bias))
}

/// A list with one entry for each of two axes.
fn pair(node: &Node, index: usize) -> Option<Vec<i64>> {
    match node.ints(index)?.as_slice() {
        [only] => Some(vec![*only; 2]),
        [height, width] => Some(vec![*height, *width]),
        _ => None,
    }
}

fn pooling<'a>(node: &Node, shape: &impl Fn(ValueId) -> Option<&'a Vec<i64>>) -> Option<Kernel> {
    let input = node.value(0)?;
    let [_, _, size @ ..] = shape(input)?.as_slice() else { return None };
    let [_, _, output @ ..] = shape(node.output()?)?.as_slice() else { return None };
    if size.len() != 2 {
        return None;
    }
    let global = |input| Kernel::Pool {
        algorithm: POOL_EXCLUDE_PADDING,
        input,
        kernel: size.to_vec(),
        window: Window { strides: vec![1; 2], dilations: vec![0; 2], before: vec![0; 2], after: vec![0; 2] },
    };
    let (algorithm, dilation, ceil) = match node.name() {
        "adaptive_avg_pool2d" if output == size => return Some(Kernel::Reshape(input)),
        "adaptive_avg_pool2d" if output == [1, 1] => return Some(global(input)),
        "mean" if output == [1, 1] && node.args.get(3) == Some(&Arg::None) => return Some(global(input)),
        "max_pool2d" => (POOL_MAX, pair(node, 4)?, node.bool(5)?),
        "avg_pool2d" if node.args.get(6) == Some(&Arg::None) => {
            let algorithm = if node.bool(5)? { POOL_INCLUDE_PADDING } else { POOL_EXCLUDE_PADDING };
            (algorithm, vec![1; 2], node.bool(4)?)
        }
        _ => return None,
    };
    let (kernel, before) = (pair(node, 1)?, pair(node, 3)?);
    let strides = pair(node, 2).unwrap_or_else(|| kernel.clone());
    // With ceil_mode the window may go over the edge; libtorch does not count those elements, oneDNN does.
    if ceil && algorithm == POOL_INCLUDE_PADDING {
        return None;
    }
    let needed = |axis: usize| -> Option<i64> {
        let reach = (kernel.get(axis)? - 1) * dilation.get(axis)? + 1;
        let exact = (output.get(axis)? - 1) * strides.get(axis)? + reach - size.get(axis)? - before.get(axis)?;
        Some(exact.max(*before.get(axis)?))
    };
    let after = if ceil { vec![needed(0)?, needed(1)?] } else { before.clone() };
    let dilations = dilation.iter().map(|dilation| dilation - 1).collect();
    Some(Kernel::Pool { algorithm, input, kernel, window: Window { strides, dilations, before, after } })
}

/// The operation on each element that the node is.
pub(crate) fn eltwise(node: &Node) -> Option<Eltwise> {
    let number = |index: usize| node.number(index).map(|number| number as f32);
    let of = |algorithm, alpha, beta| Some(Eltwise { algorithm, alpha, beta });
    match node.name() {
        "relu" => of(RELU, 0.0, 0.0),
        "leaky_relu" => of(RELU, number(1)?, 0.0),
        "relu6" => of(CLIP, 0.0, 6.0),
        "hardtanh" => of(CLIP, number(1)?, number(2)?),
        "clamp" => of(CLIP, number(1)?, number(2)?),
        "elu" if number(2)? == 1.0 && number(3)? == 1.0 => of(ELU, number(1)?, 0.0),
        "sigmoid" => of(LOGISTIC, 0.0, 0.0),
        "tanh" => of(TANH, 0.0, 0.0),
        "silu" => of(SWISH, 1.0, 0.0),
        "hardswish" => of(HARD_SWISH, 1.0 / 6.0, 0.5),
        "hardsigmoid" => of(HARD_SIGMOID, 1.0 / 6.0, 0.5),
        "gelu" => match node.args.get(1)? {
            Arg::Str(approximate) if approximate == "tanh" => of(GELU_TANH, 0.0, 0.0),
            _ => of(GELU_ERF, 0.0, 0.0),
        },
        "mul" if matches!(node.args.get(1)?, Arg::Int(_) | Arg::Double(_)) => of(LINEAR, number(1)?, 0.0),
        "div" if node.args.len() == 2 && matches!(node.args.get(1)?, Arg::Int(_) | Arg::Double(_)) => {
            of(LINEAR, 1.0 / number(1)?, 0.0)
        }
        "add" if number(1).is_some() && number(2)? == 1.0 => of(LINEAR, 1.0, number(1)?),
        _ => None,
    }
}

/// An addition or multiplication in which the second operand is as large as the first, or 1 along some axes.
fn binary<'a>(graph: &Graph, node: &Node, shape: &impl Fn(ValueId) -> Option<&'a Vec<i64>>) -> Option<Kernel> {
    let algorithm = match node.name() {
        "add" if node.number(2)? == 1.0 => ADD,
        "mul" => MUL,
        _ => return None,
    };
    let (left, right) = (node.value(0)?, node.value(1)?);
    let output = shape(node.output()?)?;
    let full = |value| shape(value) == Some(output) && !graph.constants.contains_key(&value);
    let fits = |value| {
        let shape = shape(value)?;
        let aligned = shape.len() == output.len() || graph.constants.contains_key(&value);
        let ends = shape.iter().rev().zip(output.iter().rev());
        Some(aligned && shape.len() <= output.len() && ends.clone().all(|(size, full)| size == full || *size == 1))
    };
    if output.len() < 2 || output.len() > 5 {
        return None;
    }
    if full(left) && fits(right)? {
        Some(Kernel::Binary(algorithm, left, right))
    } else if full(right) && fits(left)? {
        Some(Kernel::Binary(algorithm, right, left))
    } else {
        None
    }
}

fn concat<'a>(graph: &Graph, node: &Node, shape: &impl Fn(ValueId) -> Option<&'a Vec<i64>>) -> Option<Kernel> {
    let (Some(Arg::Values(values)), "cat") = (node.args.first(), node.name()) else { return None };
    let values: Vec<ValueId> = values.iter().copied().collect::<Option<_>>()?;
    let dimensions = shape(node.output()?)?.len();
    let axis = usize::try_from(node.int(1)?).ok()?;
    let same = values.iter().all(|value| shape(*value).is_some_and(|shape| shape.len() == dimensions));
    let constant = values.iter().any(|value| graph.constants.contains_key(value));
    (same && !constant && axis == 1 && dimensions == 4).then_some(Kernel::Concat(values, axis))
}

fn resample<'a>(node: &Node, shape: &impl Fn(ValueId) -> Option<&'a Vec<i64>>) -> Option<Kernel> {
    let input = node.value(0)?;
    let (from, to) = (shape(input)?.get(2..)?, shape(node.output()?)?.get(2..)?);
    match node.name() {
        // oneDNN rounds the centre of each element, libtorch its corner: the same for whole factors.
        "upsample_nearest2d" if from.iter().zip(to).all(|(from, to)| to % from == 0) => {
            Some(Kernel::Resample(NEAREST, input))
        }
        "upsample_bilinear2d" if node.bool(2) == Some(false) && scales_are_the_sizes(node, from, to) => {
            Some(Kernel::Resample(BILINEAR, input))
        }
        _ => None,
    }
}

/// Whether given scale factors, with which libtorch computes positions, are those of the sizes.
fn scales_are_the_sizes(node: &Node, from: &[i64], to: &[i64]) -> bool {
    let given: Vec<f64> = node
        .args
        .iter()
        .skip(3)
        .flat_map(|arg| match arg {
            Arg::Double(scale) => vec![*scale],
            Arg::Doubles(scales) => scales.clone(),
            _ => Vec::new(),
        })
        .collect();
    given.iter().zip(from.iter().zip(to)).all(|(scale, (from, to))| *scale == *to as f64 / *from as f64)
}

fn reshape(node: &Node) -> Option<Kernel> {
    matches!(node.name(), "flatten" | "view" | "reshape" | "squeeze" | "unsqueeze")
        .then(|| node.value(0).map(Kernel::Reshape))
        .flatten()
}

/// A part of the channels.
fn slice<'a>(node: &Node, shape: &impl Fn(ValueId) -> Option<&'a Vec<i64>>) -> Option<Kernel> {
    let input = node.value(0)?;
    let from = match node.name() {
        "slice" if node.int(1)? == 1 && node.int(4)? == 1 => node.int(2).unwrap_or(0),
        "narrow" if node.int(1)? == 1 => node.int(2)?,
        _ => return None,
    };
    let from = if from < 0 { from + shape(input)?.get(1)? } else { from };
    (shape(input)?.len() == 4).then_some(Kernel::Part(input, from))
}

/// The parts into which the node cuts the channels.
fn parts<'a>(node: &Node, shape: &impl Fn(ValueId) -> Option<&'a Vec<i64>>) -> Option<Vec<(Kernel, ValueId)>> {
    let input = node.value(0)?;
    if shape(input)?.len() != 4 || node.int(2)? != 1 {
        return None;
    }
    let mut from = 0;
    let mut found = Vec::new();
    for output in &node.outputs {
        found.push((Kernel::Part(input, from), *output));
        from += shape(*output)?.get(1)?;
    }
    Some(found)
}

/// The type and shape of `tensor`.
pub(crate) fn shape_of(tensor: &Tensor) -> (Vec<i64>, Kind) {
    (tensor.size(), tensor.kind())
}
