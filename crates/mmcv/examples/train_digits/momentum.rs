//! Reads and writes the momentum of tch's SGD.
//!
//! tch does not expose the state of its optimizers, and resuming without it changes the results. A step of SGD reveals it:
//! `buffer = momentum * buffer + gradient; weight = weight - lr * buffer`. With weight and gradient 0 and momentum and lr 1,
//! the weight becomes the negated buffer, and the buffer is unchanged. The first step of a new optimizer copies the gradient
//! to the buffer; with lr 0 it changes no weight. Both are exact.

use anyhow::{Context, Result, ensure};
use mmcv::layers::{Module, ModuleExt};
use tch::Tensor;
use tch::nn::Optimizer;

use super::config::SgdConfig;

/// PyTorch's name for the momentum of a parameter in the state of SGD.
pub const BUFFER: &str = "momentum_buffer";

/// The momentum of each parameter of `network` by name. Set the learning rate of `optimizer` again
/// afterwards.
pub fn read(optimizer: &mut Optimizer, network: &dyn Module, config: &SgdConfig) -> Result<Vec<(String, Tensor)>> {
    let parameters = network.named_parameters();
    let (mut weights, mut zeros) = (Vec::new(), Vec::new());
    for (_, weight) in &parameters {
        let _guard = tch::no_grad_guard();
        let zero = weight.f_zeros_like()?;
        weights.push(replaced(weight, &zero)?);
        zeros.push(zero);
    }
    optimizer.set_momentum(1.0);
    step(optimizer, config, 1.0, &parameters, &zeros)?;
    optimizer.set_momentum(config.momentum);

    let _guard = tch::no_grad_guard();
    let buffers = parameters.into_iter().zip(weights);
    buffers.map(|((name, weight), before)| Ok((name, replaced(&weight, &before)?.f_neg()?))).collect()
}

/// Sets the momentum of a new optimizer of `network`. The names are PyTorch's: `0.conv.weight.momentum_buffer`. Set the learning
/// rate again afterwards.
pub fn write(
    optimizer: &mut Optimizer,
    network: &dyn Module,
    config: &SgdConfig,
    momentum: &[(String, Tensor)],
) -> Result<()> {
    let parameters = network.named_parameters();
    let mut buffers = Vec::new();
    for (name, weight) in &parameters {
        let key = format!("{name}.{BUFFER}");
        let found = momentum.iter().find(|(name, _)| *name == key);
        let (_, buffer) = found.with_context(|| format!("it has no {key} in optimizer.state"))?;
        let (expected, found) = (weight.size(), buffer.size());
        ensure!(found == expected, "the momentum of {name} has shape {found:?}, and the parameter {expected:?}");
        buffers.push(buffer.shallow_clone());
    }
    step(optimizer, config, 0.0, &parameters, &buffers)
}

/// A step without weight decay, with the given gradients.
fn step(
    optimizer: &mut Optimizer,
    config: &SgdConfig,
    lr: f64,
    parameters: &[(String, Tensor)],
    gradients: &[Tensor],
) -> Result<()> {
    optimizer.set_lr(lr);
    optimizer.set_weight_decay(0.0);
    optimizer.zero_grad();
    // The gradient of `weight * gradient` is `gradient`.
    for ((_, weight), gradient) in parameters.iter().zip(gradients) {
        weight.f_mul(gradient)?.f_sum(weight.f_kind()?)?.f_backward()?;
    }
    optimizer.step();
    optimizer.zero_grad();
    optimizer.set_weight_decay(config.weight_decay);
    Ok(())
}

/// Writes `value` to `tensor` and returns a copy of its previous content.
fn replaced(tensor: &Tensor, value: &Tensor) -> Result<Tensor> {
    let before = tensor.f_detach_copy()?;
    tensor.shallow_clone().f_copy_(value)?;
    Ok(before)
}
