//! Batch norms with running statistics become part of the convolution before them. Jacob et al., Quantization and Training
//! of Neural Networks for Efficient Integer-Arithmetic-Only Inference (2018), section 3.2.

use tch::{Kind, Tensor};

use crate::error::Result;
use crate::graph::{Graph, Node, ValueId};
use crate::ops::Convolution;

pub(crate) fn fold(graph: &mut Graph) -> Result<()> {
    for index in 0..graph.nodes.len() {
        let Some(node) = graph.nodes.get(index) else { continue };
        let (Some(input), Some(output)) = (node.value(0), node.output()) else { continue };
        let Some((scale, shift)) = scale_and_shift(graph, node)? else { continue };
        let only_use = graph.uses().get(&input) == Some(&1);
        let Some(producer) = graph.producers().get(&input).copied().filter(|_| only_use) else { continue };
        let Some(folded) = multiply_in(graph, producer, &scale, &shift)? else { continue };
        let weight = graph.constant(folded.0);
        let bias = graph.constant(folded.1);
        if let Some(convolution) = graph.nodes.get_mut(producer) {
            Convolution::set_weights(convolution, weight, bias);
        }
        graph.replace(output, input);
    }
    graph.sweep();
    Ok(())
}

/// The factor and the summand of each channel; `None` where the node is no batch norm, or its statistics are the batch's.
fn scale_and_shift(graph: &Graph, node: &Node) -> Result<Option<(Tensor, Tensor)>> {
    if node.name() != "batch_norm" || node.bool(5) != Some(false) {
        return Ok(None);
    }
    let constant = |index: usize| node.value(index).and_then(|value: ValueId| graph.constants.get(&value));
    let (Some(mean), Some(variance), Some(eps)) = (constant(3), constant(4), node.number(7)) else { return Ok(None) };
    // An affine parameter that is there has to be constant.
    if [1, 2].iter().any(|index| node.value(*index).is_some() && constant(*index).is_none()) {
        return Ok(None);
    }
    let mut scale = variance.f_to_kind(Kind::Double)?.f_add_scalar(eps)?.f_rsqrt()?;
    if let Some(weight) = constant(1) {
        scale = scale.f_mul(weight)?;
    }
    let mut shift = mean.f_to_kind(Kind::Double)?.f_neg()?.f_mul(&scale)?;
    if let Some(bias) = constant(2) {
        shift = shift.f_add(bias)?;
    }
    Ok(Some((scale, shift)))
}

/// The weight and bias with which the convolution at `producer` does what the batch norm does too.
fn multiply_in(graph: &Graph, producer: usize, scale: &Tensor, shift: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
    let Some(node) = graph.nodes.get(producer) else { return Ok(None) };
    let Some(convolution) = Convolution::of(node) else { return Ok(None) };
    let Some(weight) = graph.constants.get(&convolution.weight) else { return Ok(None) };
    let bias = match convolution.bias {
        Some(bias) => match graph.constants.get(&bias) {
            Some(bias) => Some(bias),
            None => return Ok(None),
        },
        None => None,
    };
    let kind = weight.f_kind()?;
    let mut size = vec![1; weight.dim()];
    let scale_of_weight = if convolution.transposed {
        // [in, out / groups, ...]: the outputs of group g are those of its inputs.
        let shape = weight.size();
        let (Some(inputs), Some(per_group)) = (shape.first(), shape.get(1)) else { return Ok(None) };
        let spread = inputs / convolution.groups.max(1);
        let spatial = vec![1; shape.len().saturating_sub(2)];
        let grouped = [&[convolution.groups, 1, *per_group][..], &spatial].concat();
        let expanded = [&[convolution.groups, spread, *per_group][..], &spatial].concat();
        let flat = [&[*inputs, *per_group][..], &spatial].concat();
        scale.f_reshape(&grouped)?.f_expand(&expanded, false)?.f_reshape(&flat)?
    } else {
        if let Some(outputs) = size.first_mut() {
            *outputs = -1;
        }
        scale.f_reshape(&size)?
    };
    let folded = weight.f_to_kind(Kind::Double)?.f_mul(&scale_of_weight)?.f_to_kind(kind)?;
    let shift = match bias {
        Some(bias) => shift.f_add(&scale.f_mul(bias)?)?,
        None => shift.shallow_clone(),
    };
    Ok(Some((folded.f_contiguous()?, shift.f_to_kind(kind)?)))
}
