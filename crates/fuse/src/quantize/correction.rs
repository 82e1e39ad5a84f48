//! [`correct`]: biases for which the means are as in 32 bits.

use std::collections::HashMap;

use tch::Tensor;

use super::points::Layer;
use crate::error::Result;
use crate::graph::{Graph, ValueId};
use crate::interpreter::Interpreter;

/// Changes the biases of `layers` in `quantized` so that for these images each channel of their results has the mean that it has in
/// `graph`. A bias that several layers have stays.
pub(super) fn correct(graph: &Graph, quantized: &mut Graph, layers: &[Layer], images: &Tensor) -> Result<()> {
    let uses = graph.uses();
    let mut biases = HashMap::new();
    for layer in layers {
        if let Some(bias) = layer.bias
            && uses.get(&bias) == Some(&1)
        {
            biases.insert(layer.output, bias);
        }
    }
    let mut means: HashMap<ValueId, Tensor> = HashMap::new();
    Interpreter::new(graph)?.run_visiting(&[images], |value, tensor| {
        if biases.contains_key(&value) {
            means.insert(value, channel_means(tensor)?);
        }
        Ok(())
    })?;
    let mut changes = Vec::new();
    Interpreter::new(quantized)?.run_visiting(&[images], |value, tensor| {
        let (Some(bias), Some(mean)) = (biases.get(&value), means.get(&value)) else { return Ok(()) };
        let change = mean.f_sub(&channel_means(tensor)?)?;
        let mut shape = vec![1; tensor.dim()];
        if let (Some(channels), Some(size)) = (shape.get_mut(1), change.size().first()) {
            *channels = *size;
        }
        // The layers after this one see what it will return.
        *tensor = tensor.f_add(&change.f_view(shape.as_slice())?)?;
        changes.push((*bias, change));
        Ok(())
    })?;
    for (bias, change) in changes {
        if let Some(bias) = quantized.constants.get_mut(&bias) {
            *bias = bias.f_add(&change)?;
        }
    }
    Ok(())
}

/// The mean of each channel, the second axis.
fn channel_means(tensor: &Tensor) -> Result<Tensor> {
    let axes: Vec<i64> = (0..).take(tensor.dim()).filter(|axis| *axis != 1).collect();
    Ok(tensor.f_mean_dim(axes.as_slice(), false, None)?)
}
