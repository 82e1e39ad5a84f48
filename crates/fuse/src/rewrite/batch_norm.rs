//! Batch norms with running statistics become part of the convolution before them. Jacob et al., Quantization and Training
//! of Neural Networks for Efficient Integer-Arithmetic-Only Inference (2018), section 3.2.

use tch::{Kind, Tensor};

use super::{Inputs, Outcome, Pass};
use crate::bridge::storage;
use crate::convolution::Convolution;
use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};

pub(crate) const PASS: Pass = Pass { name: "batch norms", run: fold };

fn fold(graph: &mut Graph, inputs: &Inputs<'_>) -> Result<Outcome> {
    for index in 0..graph.nodes.len() {
        let Some(node) = graph.nodes.get(index) else { continue };
        let (Some(input), Some(output)) = (node.value(0), node.output()) else { continue };
        let Some(norm) = Scaling::of_batch_norm(graph, node)? else { continue };
        if graph.uses().get(&input) != Some(&1) {
            continue;
        }
        let Some(producer) = graph.producers().get(&input).copied() else { continue };
        let Some((weight, bias)) = norm.multiply_in(graph, producer, inputs.owned)? else { continue };
        let (weight, bias) = (graph.constant(weight), graph.constant(bias));
        if let Some(convolution) = graph.nodes.get_mut(producer) {
            Convolution::set_weights(convolution, weight, bias);
        }
        graph.replace(output, input);
    }
    graph.sweep();
    Ok(Outcome::Continue)
}

/// The factor and the summand of each channel.
struct Scaling {
    scale: Tensor,
    shift: Tensor,
}

impl Scaling {
    /// `None` if the node is no batch norm, or uses the statistics of the batch.
    fn of_batch_norm(graph: &Graph, node: &Node) -> Result<Option<Self>> {
        if node.name() != "batch_norm" || node.bool(5) != Some(false) {
            return Ok(None);
        }
        let mut constants = [None; 5];
        for (index, constant) in constants.iter_mut().enumerate().skip(1) {
            if let Some(value) = node.value(index) {
                *constant = graph.constants.get(&value);
                // An affine parameter that is there has to be constant.
                if constant.is_none() {
                    return Ok(None);
                }
            }
        }
        let ([_, weight, bias, Some(mean), Some(variance)], Some(eps)) = (constants, node.number(7)) else {
            return Ok(None);
        };
        let mut scale = variance.f_to_kind(Kind::Double)?.f_add_scalar(eps)?.f_rsqrt()?;
        if let Some(weight) = weight {
            scale = scale.f_mul(weight)?;
        }
        let mut shift = mean.f_to_kind(Kind::Double)?.f_neg()?.f_mul(&scale)?;
        if let Some(bias) = bias {
            shift = shift.f_add(bias)?;
        }
        Ok(Some(Self { scale, shift }))
    }

    /// The weight and bias with which the convolution at `producer` does what the batch norm does too.
    fn multiply_in(&self, graph: &Graph, producer: usize, owned: bool) -> Result<Option<(Tensor, Tensor)>> {
        let Some(node) = graph.nodes.get(producer) else { return Ok(None) };
        let Some(convolution) = Convolution::from_node(node) else { return Ok(None) };
        let Some(weight) = graph.constants.get(&convolution.weight) else { return Ok(None) };
        let mut shift = self.shift.shallow_clone();
        if let Some(bias) = convolution.bias {
            let Some(bias) = graph.constants.get(&bias) else { return Ok(None) };
            shift = shift.f_add(&self.scale.f_mul(bias)?)?;
        }
        let Some(scale) = self.for_weight(&convolution, &weight.size())? else { return Ok(None) };
        let kind = weight.f_kind()?;
        let folded = match kind {
            // The factors are rounded, so that no copy of the weight in double precision is needed.
            Kind::Float if owned && is_alone(graph, convolution.weight, weight) => {
                weight.shallow_clone().f_mul_(&scale.f_to_kind(kind)?)?
            }
            Kind::Float => weight.f_mul(&scale.f_to_kind(kind)?)?,
            _ => weight.f_to_kind(Kind::Double)?.f_mul(&scale)?.f_to_kind(kind)?,
        };
        Ok(Some((folded.f_contiguous()?, shift.f_to_kind(kind)?)))
    }

    /// The factors in a shape in which they multiply a weight of this shape.
    fn for_weight(&self, convolution: &Convolution, shape: &[i64]) -> Result<Option<Tensor>> {
        let [first, second, kernel @ ..] = shape else { return Ok(None) };
        let spatial = vec![1; kernel.len()];
        if !convolution.transposed {
            return Ok(Some(self.scale.f_reshape([&[-1, 1], &spatial[..]].concat())?));
        }
        // [in, out / groups, ...]: the outputs of group g are those of its inputs.
        let groups = convolution.groups;
        let spread = first / groups.max(1);
        let grouped = [&[groups, 1, *second], &spatial[..]].concat();
        let expanded = [&[groups, spread, *second], &spatial[..]].concat();
        let flat = [&[*first, *second], &spatial[..]].concat();
        Ok(Some(self.scale.f_reshape(&grouped)?.f_expand(&expanded, false)?.f_reshape(&flat)?))
    }
}

/// Whether nothing else in the graph reads the constant or its memory, so that it may be overwritten.
fn is_alone(graph: &Graph, value: ValueId, constant: &Tensor) -> bool {
    let memory = storage(constant);
    let same = graph.constants.values().filter(|other| storage(other) == memory).count();
    graph.uses().get(&value) == Some(&1) && same == 1 && constant.is_contiguous()
}
