//! [`export`]: from a module to a [`Model`].

use std::collections::BTreeMap;

use mmcv_fuse::graph::{Graph, Trace, TraceOptions, example, trace};
use mmcv_layers::{Module, ModuleExt};
use mmcv_registry::Dict;
use tch::{Kind, Tensor};

use crate::builder::{Attribute, Name, data_type};
use crate::error::{Error, ErrorKind, Result};
use crate::exporter::Exporter;
use crate::model::Model;
use crate::options::{OnnxOptions, Precision};
use crate::proto::{
    Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};

/// The versions of the operators that are known.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=22;

/// What is added to the number of images, and to heights and widths, to find out what depends on them.
const MORE_IMAGES: [i64; 3] = [0, 1, 3];
const MORE_PIXELS: [[i64; 2]; 3] = [[0, 0], [32, 64], [96, 32]];

/// Exports `module`, which takes one tensor of the shape `example_shape`, in evaluation mode (`train(false)`).
///
/// # Errors
/// Returns an error if the module does not run on such a tensor, is in training mode, decides by values, or does something that
/// ONNX has no operators for; if it depends on a size that is free by the options.
pub fn export(module: &dyn Module, example_shape: &[i64], options: &OnnxOptions) -> Result<Model> {
    let _guard = tch::no_grad_guard();
    let example = example(module, example_shape)?;
    export_call(module, &[&example], &Dict::new(), options)
}

/// Like [`export`], for a module with any number of inputs, of which `inputs` are examples, and for options of its forward pass.
///
/// # Errors
/// As for [`export`].
pub fn export_call(module: &dyn Module, inputs: &[&Tensor], arguments: &Dict, options: &OnnxOptions) -> Result<Model> {
    if !OPSETS.contains(&options.opset) {
        let expected = format!("expected {} to {}", OPSETS.start(), OPSETS.end());
        return Err(ErrorKind::Option { name: "opset", value: options.opset.to_string(), expected }.into());
    }
    let _guard = tch::no_grad_guard();
    let state = module.state_dict();
    let has_bf16 =
        options.precision == Precision::Bfloat16 || state.iter().any(|(_, tensor)| tensor.kind() == Kind::BFloat16);
    if (has_bf16 || inputs.iter().any(|input| input.kind() == Kind::BFloat16)) && options.opset < 22 {
        return Err(Error::unsupported("", "bfloat16 needs opset 22: older convolutions do not have it"));
    }
    let traces = traces(module, inputs, arguments, options)?;
    let mut exporter = Exporter::new(&traces, &state, options);
    let Some(first) = traces.first() else { return Err(Error::unsupported("", "nothing was traced")) };
    let input_names = names(&options.input_names, "input", first.graph.inputs.len(), "input_names")?;
    let output_names = names(&options.output_names, "output", first.graph.outputs.len(), "output_names")?;
    for name in input_names.iter().chain(&output_names) {
        if exporter.builder.unique(name) != *name {
            let expected = "expected names that differ".to_owned();
            return Err(ErrorKind::Option { name: "a name", value: name.clone(), expected }.into());
        }
    }
    let mut graph = GraphProto { name: Some("network".to_owned()), ..GraphProto::default() };
    add_inputs(&mut exporter, &mut graph, (&first.graph, &input_names), options)?;
    exporter.run()?;
    add_outputs(&mut exporter, &mut graph, (&first.graph, &output_names), options)?;
    graph.node = exporter.builder.nodes;
    let header = header(options, &exporter.builder.domains);
    let model = Model { header, graph, initializers: exporter.builder.initializers };
    model.check()?;
    Ok(model)
}

/// Adds the inputs of the graph, and what the network's inputs are made from them with.
fn add_inputs(
    exporter: &mut Exporter<'_>,
    graph: &mut GraphProto,
    (traced, names): (&Graph, &[Name]),
    options: &OnnxOptions,
) -> Result<()> {
    if let Some(images) = &options.image_input {
        let ([value], [name]) = (traced.inputs.as_slice(), names) else {
            return Err(Error::unsupported("", "images become one input, and the network has several"));
        };
        let sizes = images.add(exporter, *value, name)?;
        graph.input.push(value_info(name, &sizes, Kind::Uint8)?);
        return Ok(());
    }
    for (value, name) in traced.inputs.iter().zip(names) {
        let kind = exporter.module_kind(*value);
        "input".clone_into(&mut exporter.builder.module);
        let converted = exporter.cast(name, kind, exporter.kind(*value))?;
        exporter.bind(*value, converted);
        graph.input.push(value_info(name, &exporter.sizes(*value), kind)?);
    }
    Ok(())
}

/// Adds the outputs of the graph, under their names.
fn add_outputs(
    exporter: &mut Exporter<'_>,
    graph: &mut GraphProto,
    (traced, names): (&Graph, &[Name]),
    options: &OnnxOptions,
) -> Result<()> {
    "output".clone_into(&mut exporter.builder.module);
    for (value, name) in traced.outputs.iter().zip(names) {
        let kind = exporter.module_kind(*value);
        let computed = exporter.name(*value)?;
        let computed = exporter.cast(&computed, exporter.kind(*value), kind)?;
        let (operator, attributes) = if options.softmax {
            if traced.outputs.len() != 1 || exporter.rank(*value) < 2 {
                return Err(Error::unsupported(
                    "",
                    "the softmax is for one output with an axis of classes after the first",
                ));
            }
            ("Softmax", vec![Attribute::Int(1).named("axis")])
        } else {
            ("Identity", Vec::new())
        };
        exporter.builder.nodes.push(NodeProto {
            input: vec![computed],
            output: vec![name.clone()],
            name: Some(format!("{name}/{operator}")),
            op_type: Some(operator.to_owned()),
            attribute: attributes,
            domain: None,
        });
        graph.output.push(value_info(name, &exporter.sizes(*value), kind)?);
    }
    Ok(())
}

fn header(options: &OnnxOptions, domains: &BTreeMap<String, i64>) -> ModelProto {
    let mut opsets = vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(options.opset) }];
    for (domain, version) in domains {
        opsets.push(OperatorSetIdProto { domain: Some(domain.clone()), version: Some(*version) });
    }
    let entry =
        |(key, value): &(String, String)| StringStringEntryProto { key: Some(key.clone()), value: Some(value.clone()) };
    ModelProto {
        ir_version: Some(match options.opset {
            ..=14 => 7,
            15..=18 => 8,
            19..=20 => 9,
            _ => 10,
        }),
        producer_name: Some("mmcv-rs".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        doc_string: None,
        graph: None,
        opset_import: opsets,
        metadata_props: options.metadata.iter().map(entry).collect(),
    }
}

/// The names that were asked for, or `word`, or numbered ones.
fn names(asked: &[String], word: &str, count: usize, option: &'static str) -> Result<Vec<Name>> {
    match (asked.len(), count) {
        (0, 1) => Ok(vec![word.to_owned()]),
        (0, _) => Ok((0..count).map(|index| format!("{word}{index}")).collect()),
        (found, _) if found == count => Ok(asked.to_vec()),
        (found, _) => {
            let expected = format!("expected {count}");
            Err(ErrorKind::Option { name: option, value: format!("{found} names"), expected }.into())
        }
    }
}

/// The module at the size of the example, and at others if sizes are free.
fn traces(module: &dyn Module, inputs: &[&Tensor], arguments: &Dict, options: &OnnxOptions) -> Result<Vec<Trace>> {
    let is_free = options.dynamic_batch || options.dynamic_size;
    let mut traces: Vec<Trace> = Vec::new();
    for index in 0..if is_free { MORE_IMAGES.len() } else { 1 } {
        let mut examples = Vec::new();
        for input in inputs {
            examples.push(other_size(input, index, options)?);
        }
        let mut trace_options = TraceOptions::default();
        trace_options.fold = options.fold;
        let found = trace(module, &examples, arguments, trace_options);
        let mut trace = match found {
            Ok(trace) => trace,
            Err(error) if index == 0 => return Err(error.into()),
            Err(error) => {
                let shapes: Vec<Vec<i64>> = examples.iter().map(Tensor::size).collect();
                return Err(Error::dynamic("", format!("it does not run on inputs of shape {shapes:?} ({error})")));
            }
        };
        if let Some(first) = traces.first() {
            alike(&first.graph, &trace.graph)?;
            share_constants(&first.graph, &mut trace.graph)?;
        }
        traces.push(trace);
    }
    Ok(traces)
}

/// Lets the constants of the graph share their memory with the same ones of `first`, so that folded weights are in memory once.
fn share_constants(first: &Graph, graph: &mut Graph) -> Result<()> {
    for (value, constant) in &mut graph.constants {
        if let Some(known) = first.constants.get(value)
            && known.kind() == constant.kind()
            && known.size() == constant.size()
            && known.f_equal(constant)?
        {
            *constant = known.shallow_clone();
        }
    }
    Ok(())
}

/// An input with more images and pixels, if these are free.
fn other_size(input: &Tensor, index: usize, options: &OnnxOptions) -> Result<Tensor> {
    let mut shape = input.size();
    if index == 0 {
        return Ok(input.f_detach()?.f_contiguous()?);
    }
    if options.dynamic_batch
        && let (Some(images), Some(more)) = (shape.first_mut(), MORE_IMAGES.get(index))
    {
        *images += more;
    }
    if options.dynamic_size
        && let ([_, _, height, width], Some([down, right])) = (shape.as_mut_slice(), MORE_PIXELS.get(index))
    {
        *height += down;
        *width += right;
    }
    Ok(Tensor::f_randn(shape, (Kind::Float, input.device()))?.f_to_kind(input.kind())?)
}

/// Returns an error unless both call the same operators.
fn alike(graph: &Graph, other: &Graph) -> Result<()> {
    let same = graph.nodes.len() == other.nodes.len() && graph.outputs == other.outputs && graph.inputs == other.inputs;
    let nodes = graph.nodes.iter().zip(&other.nodes);
    for (node, other) in nodes {
        if node.op != other.op || node.overload != other.overload || node.outputs != other.outputs {
            return Err(Error::dynamic(&node.module, "it does something else for inputs of another size"));
        }
    }
    if same { Ok(()) } else { Err(Error::dynamic("", "it does something else for inputs of another size")) }
}

/// The type and shape of an input or output; axes that are not the same in all traces are free.
fn value_info(name: &str, sizes: &[Vec<i64>], kind: Kind) -> Result<ValueInfoProto> {
    let mut dims = Vec::new();
    for axis in 0..sizes.first().map_or(0, Vec::len) {
        let sizes: Vec<i64> = sizes.iter().map(|shape| shape.get(axis).copied().unwrap_or_default()).collect();
        let first = sizes.first().copied();
        let is_fixed = sizes.iter().all(|size| Some(*size) == first);
        dims.push(if is_fixed {
            Dimension { dim_value: first, dim_param: None }
        } else {
            let param = if axis == 0 { "batch".to_owned() } else { format!("{name}_{axis}") };
            Dimension { dim_value: None, dim_param: Some(param) }
        });
    }
    let tensor_type =
        TensorTypeProto { elem_type: Some(data_type(kind)?.into()), shape: Some(TensorShapeProto { dim: dims }) };
    Ok(ValueInfoProto { name: Some(name.to_owned()), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) })
}
