//! [`QuantizedLayer`]: how far a layer in 8 bits is from its form in 32 bits.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::points::Layer;
use crate::error::Result;
use crate::graph::{Arg, Graph, Node};
use crate::interpreter::{Interpreter, Values, evaluate};

/// How far a layer in 8 bits alone, with the other layers in 32 bits, is from its form in 32 bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizedLayer {
    /// The module: `layer1.0.conv1`.
    pub module: String,
    /// The root of the mean square error as a share of the root of the mean square of the results.
    pub error: f32,
    /// The largest error as a share of the largest result.
    pub largest_error: f32,
}

/// The errors of all layers for these images; `quantized` has the weights and roundings.
pub(super) fn layers(
    graph: &Graph,
    quantized: &Graph,
    layers: &[Layer],
    images: &Tensor,
) -> Result<Vec<QuantizedLayer>> {
    let values = Interpreter::new(graph)?.run_all(&[images])?;
    let mut found = Vec::with_capacity(layers.len());
    for layer in layers {
        let (Some(node), Some(exact)) = (graph.nodes.get(layer.node), values.get(&layer.output)) else { continue };
        let rounded = rounded(quantized, layer, &values)?;
        let difference = rounded.f_sub(exact)?.f_to_kind(Kind::Double)?;
        let exact = exact.f_to_kind(Kind::Double)?;
        let mean_square = |tensor: &Tensor| tensor.f_square()?.f_mean(Kind::Double)?.f_double_value(&[]);
        let largest = |tensor: &Tensor| tensor.f_abs()?.f_max()?.f_double_value(&[]);
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        found.push(QuantizedLayer {
            module: node.module.clone(),
            error: share(mean_square(&difference)?, mean_square(&exact)?).sqrt() as f32,
            largest_error: share(largest(&difference)?, largest(&exact)?) as f32,
        });
    }
    Ok(found)
}

/// What the layer returns in 8 bits for exact values of the others.
fn rounded(quantized: &Graph, layer: &Layer, values: &Values) -> Result<Tensor> {
    let mut part = Graph { next: quantized.next, ..Graph::default() };
    for (value, tensor) in quantized.constants.iter().chain(values) {
        part.constants.insert(*value, tensor.shallow_clone());
    }
    let Some(node) = quantized.nodes.iter().find(|node| node.outputs.contains(&layer.output)) else {
        return Err(super::error::invalid("a layer is missing"));
    };
    prepare(quantized, node, &mut part)?;
    let mut results = evaluate(&part, node)?;
    match results.pop() {
        Some(result) => Ok(result),
        None => Err(super::error::invalid("a layer returns nothing")),
    }
}

/// Adds what the node reads that is not there yet: rounded values, and what only moves them.
fn prepare(quantized: &Graph, node: &Node, part: &mut Graph) -> Result<()> {
    for value in node.args.iter().flat_map(Arg::values) {
        if part.is_constant(value) {
            continue;
        }
        if let Some(producer) = quantized.nodes.iter().find(|node| node.outputs.contains(&value)) {
            prepare(quantized, producer, part)?;
            for (output, result) in producer.outputs.iter().zip(evaluate(part, producer)?) {
                part.constants.insert(*output, result);
            }
        }
    }
    Ok(())
}
