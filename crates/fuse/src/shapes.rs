//! [`infer`]: the shapes of all values of a graph, without computing with its inputs.
//!
//! Most operators are called on tensors of the meta device, which have a shape and no elements: libtorch itself then says what an
//! operator would return, and which results are views of others. libtorch has no such form of some operators; for the usual ones
//! there are rules here. [`infer`] fails for all others, and the caller runs the graph instead.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use crate::bridge::storage;
use crate::call::Call;
use crate::convolution::Convolution;
use crate::error::{Error, Result};
use crate::graph::{Arg, Graph, Node, Shapes, ValueId};
use crate::interpreter::{self, Interpreter};
use crate::onednn::packed_strides;

/// The shape, the order in memory and the type of an input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    pub(crate) shape: Vec<i64>,
    pub(crate) strides: Vec<i64>,
    pub(crate) kind: Kind,
}

/// What is known about a graph's values for inputs of given layouts.
#[derive(Debug)]
pub(crate) struct Inferred {
    pub(crate) shapes: Shapes,
    /// Whether an operator changes memory that another value shares that is read later, or a constant.
    pub(crate) changes_what_is_read: bool,
}

impl Layout {
    pub(crate) fn of(tensor: &Tensor) -> Self {
        Self { shape: tensor.size(), strides: tensor.stride(), kind: tensor.kind() }
    }

    /// The elements lie one after the other, the last axis innermost.
    pub(crate) fn contiguous(shape: &[i64], kind: Kind) -> Self {
        Self { shape: shape.to_vec(), strides: packed_strides(shape), kind }
    }

    /// A tensor of the meta device.
    fn meta(&self) -> Result<Tensor> {
        let args = [
            Arg::Ints(self.shape.clone()),
            Arg::Ints(self.strides.clone()),
            Arg::Int(number(self.kind)?),
            Arg::None,
            Arg::Device("meta".to_owned()),
            Arg::None,
        ];
        single(Call::new("aten::empty_strided", "", &args)?.run(&[])?)
    }

    fn is_contiguous(&self) -> bool {
        *self == Self::contiguous(&self.shape, self.kind)
    }
}

/// The number of a type in libtorch's schemas.
fn number(kind: Kind) -> Result<i64> {
    Ok(match kind {
        Kind::Uint8 => 0,
        Kind::Int8 => 1,
        Kind::Int16 => 2,
        Kind::Int => 3,
        Kind::Int64 => 4,
        Kind::Half => 5,
        Kind::Float => 6,
        Kind::Double => 7,
        Kind::Bool => 11,
        Kind::BFloat16 => 15,
        _ => return Err(Error::unsupported("", format!("shapes of tensors of type {kind:?} are not inferred"))),
    })
}

fn single(tensors: Vec<Tensor>) -> Result<Tensor> {
    match <[Tensor; 1]>::try_from(tensors) {
        Ok([tensor]) => Ok(tensor),
        Err(found) => Err(Error::unsupported("", format!("{} results instead of one", found.len()))),
    }
}

/// The shapes of all values for inputs like these; an error if an operator is not known well enough.
pub(crate) fn infer(graph: &Graph, inputs: &[Layout]) -> Result<Inferred> {
    let mut known = graph.clone();
    let nodes = std::mem::take(&mut known.nodes);
    let dead = interpreter::dead_after(graph);
    let mut values = HashMap::new();
    for (value, input) in graph.inputs.iter().zip(inputs) {
        values.insert(*value, input.meta()?);
    }
    let mut metas = HashMap::new();
    let read = graph.uses();
    for (value, constant) in graph.constants.iter().filter(|(value, _)| read.contains_key(value)) {
        metas.insert(*value, Layout::of(constant).meta()?);
    }
    let mut inferred = Inferred { shapes: Shapes::new(), changes_what_is_read: false };
    for (value, tensor) in values.iter().chain(&metas) {
        inferred.shapes.insert(*value, (tensor.size(), tensor.kind()));
    }
    for (index, node) in nodes.iter().enumerate() {
        let mut arguments = Vec::new();
        for value in node.inputs() {
            match values.get(&value).or_else(|| metas.get(&value)) {
                Some(tensor) => arguments.push(tensor),
                None => return Err(Error::unsupported(&node.module, format!("value {value} is missing"))),
            }
        }
        let dead = dead.get(&index).map(Vec::as_slice).unwrap_or_default();
        if node.changes() {
            inferred.changes_what_is_read |= changes_what_is_read(&arguments, dead, &values, &metas);
        }
        // Values matter to some operators, so what depends on constants alone is computed.
        let is_constant = !node.changes() && node.inputs().all(|value| known.is_constant(value));
        let results = if is_constant {
            let mut results = Vec::new();
            for (value, result) in node.outputs.iter().zip(interpreter::evaluate(&known, node)?) {
                results.push(Layout::of(&result).meta()?);
                known.constants.insert(*value, result);
            }
            results
        } else {
            results_of(node, &arguments)?
        };
        if results.len() != node.outputs.len() {
            return Err(Error::unsupported(&node.module, "it returns lists of different lengths"));
        }
        for (value, result) in node.outputs.iter().zip(results) {
            inferred.shapes.insert(*value, (result.size(), result.kind()));
            if is_constant {
                metas.insert(*value, result)
            } else {
                values.insert(*value, result)
            };
        }
        for value in dead {
            values.remove(value);
        }
    }
    Ok(inferred)
}

/// As [`infer`], by running the graph on these inputs.
pub(crate) fn run(graph: &Graph, inputs: &[Tensor]) -> Result<Shapes> {
    let (shapes, _) = Interpreter::new(graph)?.shapes(&inputs.iter().collect::<Vec<_>>())?;
    Ok(shapes)
}

/// Whether the first argument, which is changed, shares its memory with a value that is not in `dead`, or with a constant.
fn changes_what_is_read(
    arguments: &[&Tensor],
    dead: &[ValueId],
    values: &HashMap<ValueId, Tensor>,
    constants: &HashMap<ValueId, Tensor>,
) -> bool {
    let Some(changed) = arguments.first().map(|target| storage(target)) else { return false };
    let alive = values.iter().filter(|(value, _)| !dead.contains(value)).map(|(_, tensor)| tensor);
    alive.chain(constants.values()).any(|tensor| storage(tensor) == changed)
}

/// What the node returns for these arguments, which are tensors of the meta device.
fn results_of(node: &Node, arguments: &[&Tensor]) -> Result<Vec<Tensor>> {
    if is_elementwise(node) {
        return match arguments {
            [target] if node.changes() => Ok(vec![target.shallow_clone()]),
            // Another operation on each element, which libtorch has for the meta device.
            [input] => Call::new("aten::neg", "", &[Arg::Value(0)])?.run(&[input]),
            _ => Err(Error::unsupported(&node.module, format!("{} has an unknown form", node.op))),
        };
    }
    if let Some(rule) = rule(node) {
        let layouts: Vec<Layout> = arguments.iter().map(|tensor| Layout::of(tensor)).collect();
        // In other orders in memory, results have other orders too, which then decides what copies and what is a view.
        let known = match rule {
            Rule::Convolution => 2,
            _ => 1,
        };
        if !layouts.iter().take(known).all(Layout::is_contiguous) {
            return Err(Error::unsupported(&node.module, format!("{} of a tensor that is not contiguous", node.op)));
        }
        return match (rule.shape(node, &layouts), layouts.first()) {
            (Some(shape), Some(input)) => Ok(vec![Layout::contiguous(&shape, input.kind).meta()?]),
            _ => Err(Error::unsupported(&node.module, format!("{} has an unknown form", node.op))),
        };
    }
    let mut on_meta = node.clone();
    for arg in &mut on_meta.args {
        if matches!(arg, Arg::Device(_)) {
            *arg = Arg::Device("meta".to_owned());
        }
    }
    let results = interpreter::call(&on_meta)?.run(arguments)?;
    if !arguments.is_empty() {
        return Ok(results);
    }
    // An operator that makes a tensor from nothing may put it on the CPU.
    results.iter().map(|result| Layout::of(result).meta()).collect()
}

/// The result of an operator that libtorch does not run on the meta device without Python. It is contiguous if the first argument is.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// As the first argument.
    Same,
    Convolution,
    /// The last axes have the sizes of the second argument.
    LastAxes,
    /// The second argument has what is added before and after each axis, the last one first.
    Padding,
}

/// Whether the operator treats each element alone, and libtorch does not run it on the meta device.
fn is_elementwise(node: &Node) -> bool {
    matches!(node.name().trim_end_matches('_'), "relu" | "relu6" | "hardtanh" | "hardswish")
}

fn rule(node: &Node) -> Option<Rule> {
    Some(match node.name() {
        "batch_norm" | "instance_norm" | "group_norm" | "layer_norm" | "prelu" | "fake_quantize_per_tensor_affine" => {
            Rule::Same
        }
        "_convolution" | "convolution" => Rule::Convolution,
        "adaptive_avg_pool1d" | "adaptive_avg_pool2d" | "adaptive_avg_pool3d" => Rule::LastAxes,
        "pad" | "reflection_pad1d" | "reflection_pad2d" | "reflection_pad3d" => Rule::Padding,
        _ => return None,
    })
}

impl Rule {
    /// The shape of the result; `None` if the operator does not accept the arguments.
    fn shape(self, node: &Node, arguments: &[Layout]) -> Option<Vec<i64>> {
        let input = &arguments.first()?.shape;
        match self {
            Self::Same => Some(input.clone()),
            Self::Convolution => convolved(&Convolution::from_node(node)?, input, &arguments.get(1)?.shape),
            Self::LastAxes => {
                let sizes = node.ints(1)?;
                let kept = input.len().checked_sub(sizes.len())?;
                Some([input.get(..kept)?, &sizes].concat())
            }
            Self::Padding => {
                let mut shape = input.clone();
                for (size, added) in shape.iter_mut().rev().zip(node.ints(1)?.chunks(2)) {
                    *size += added.iter().sum::<i64>();
                }
                shape.iter().all(|size| *size > 0).then_some(shape)
            }
        }
    }
}

/// The shape of what a convolution with a weight of this shape returns.
fn convolved(convolution: &Convolution, input: &[i64], weight: &[i64]) -> Option<Vec<i64>> {
    let ([batch, channels, spatial @ ..], [first, second, kernel @ ..]) = (input, weight) else { return None };
    let axes = kernel.len();
    let lists = [&convolution.stride, &convolution.padding, &convolution.dilation, &convolution.output_padding];
    if spatial.len() != axes || lists.iter().any(|list| list.len() != axes && list.len() != 1) {
        return None;
    }
    let groups = convolution.groups;
    let (takes, gives) = if convolution.transposed { (*first, second * groups) } else { (second * groups, *first) };
    if takes != *channels {
        return None;
    }
    let mut shape = vec![*batch, gives];
    for (axis, (size, kernel)) in spatial.iter().zip(kernel).enumerate() {
        let [stride, padding, dilation, more] = lists.map(|list| list.get(axis).or(list.first()).copied().unwrap_or(0));
        let window = dilation * (kernel - 1) + 1;
        let size = if convolution.transposed {
            (size - 1) * stride - 2 * padding + window + more
        } else {
            let room = size + 2 * padding - window;
            if room < 0 || stride < 1 {
                return None;
            }
            room / stride + 1
        };
        if size < 1 {
            return None;
        }
        shape.push(size);
    }
    Some(shape)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mmcv_bricks::conv_module;
    use mmcv_layers::Module;
    use mmcv_registry::{Dict, dict};

    use super::*;
    use crate::trace::trace;

    fn convolution(transposed: bool) -> Convolution {
        Convolution {
            input: 0,
            weight: 1,
            bias: None,
            stride: vec![2],
            padding: vec![1],
            dilation: vec![1],
            transposed,
            output_padding: vec![0],
            groups: 1,
        }
    }

    #[test]
    fn a_convolution_that_does_not_fit_has_no_shape() {
        let plain = convolution(false);
        assert_eq!(convolved(&plain, &[2, 3, 9, 8], &[5, 3, 3, 3]), Some(vec![2, 5, 5, 4]));
        assert_eq!(convolved(&plain, &[2, 4, 9, 8], &[5, 3, 3, 3]), None);
        assert_eq!(convolved(&plain, &[2, 3, 9], &[5, 3, 3, 3]), None);
        assert_eq!(convolved(&plain, &[2, 3, 1, 8], &[5, 3, 7, 3]), None);
        assert_eq!(convolved(&convolution(true), &[2, 5, 5, 4], &[5, 3, 3, 3]), Some(vec![2, 3, 9, 7]));
    }

    /// What is inferred is what comes out, and nothing of these modules has to be run.
    #[test]
    fn inferred_shapes_are_those_of_the_operators() {
        for options in [
            dict! { norm_cfg: { type: "BN" }, stride: 2, padding: 1 },
            dict! { norm_cfg: { type: "GN", num_groups: 2 }, dilation: 2, groups: 2, act_cfg: { type: "HSwish" } },
            dict! { norm_cfg: { type: "IN" }, padding: 1, padding_mode: "reflect", act_cfg: { type: "ReLU6" } },
            dict! { conv_cfg: { type: "ConvWS" }, norm_cfg: { type: "BN" }, act_cfg: { type: "PReLU" } },
            dict! { conv_cfg: { type: "deconv" }, stride: 2, with_spectral_norm: true, act_cfg: { type: "GELU" } },
            dict! { conv_cfg: { type: "Conv2dAdaptivePadding" }, stride: 3, act_cfg: { type: "Sigmoid" }, inplace: false },
        ] {
            let text = format!("{options:?}");
            let module = conv_module(4, 6, 3, options).unwrap();
            module.train(false);
            let input = Tensor::randn([2, 4, 9, 11], tch::kind::FLOAT_CPU);
            let traced = trace(&module, &[input.copy()], &Dict::new()).unwrap();
            let found = infer(&traced.graph, &[Layout::of(&input)]).unwrap();
            let expected = run(&traced.graph, &[input.copy()]).unwrap();
            assert_eq!(found.shapes, expected, "{text}");
            assert!(!found.changes_what_is_read, "{text}");
            for output in &traced.graph.outputs {
                assert_eq!(traced.sizes.get(output), expected.get(output).map(|(shape, _)| shape), "{text}");
            }
        }
    }
}
