//! The momentum of tch's SGD, read and written.
//!
//! tch shows nothing of its optimisers' state, and training that goes on without it gives other numbers. But a step of
//! SGD shows it: `buffer = momentum * buffer + gradient; weight = weight - lr * buffer`. With weight and gradient 0, and
//! momentum and lr 1, the weight becomes minus the buffer, which stays as it is. And the first step of a new optimiser
//! makes the gradient its buffer; with lr 0 it changes no weight. Both are exact.

use anyhow::{Context, Result, ensure};
use mmcv::layers::{Module, ModuleExt};
use tch::Tensor;
use tch::nn::Optimizer;

use super::config::SgdConfig;

/// What PyTorch calls the momentum of a parameter, in the state of its SGD.
pub const BUFFER: &str = "momentum_buffer";

/// The momentum of each parameter of `network` by name. The learning rate of `optimiser` has to be set again after it.
pub fn read(optimiser: &mut Optimizer, network: &dyn Module, config: &SgdConfig) -> Result<Vec<(String, Tensor)>> {
    let parameters = network.named_parameters();
    let (mut weights, mut zeros) = (Vec::new(), Vec::new());
    for (_, weight) in &parameters {
        let _guard = tch::no_grad_guard();
        let zero = weight.f_zeros_like()?;
        weights.push(replaced(weight, &zero)?);
        zeros.push(zero);
    }
    optimiser.set_momentum(1.0);
    step(optimiser, config, 1.0, &parameters, &zeros)?;
    optimiser.set_momentum(config.momentum);

    let _guard = tch::no_grad_guard();
    let buffers = parameters.into_iter().zip(weights);
    buffers.map(|((name, weight), own)| Ok((name, replaced(&weight, &own)?.f_neg()?))).collect()
}

/// Gives a new optimiser of `network` its momentum, which is called as in PyTorch: `0.conv.weight.momentum_buffer`. The
/// learning rate has to be set again after it.
pub fn write(
    optimiser: &mut Optimizer,
    network: &dyn Module,
    config: &SgdConfig,
    momentum: &[(String, Tensor)],
) -> Result<()> {
    let parameters = network.named_parameters();
    let mut buffers = Vec::new();
    for (name, weight) in &parameters {
        let key = format!("{name}.{BUFFER}");
        let found = momentum.iter().find(|(own, _)| *own == key).map(|(_, buffer)| buffer);
        let buffer = found.with_context(|| format!("it has no {key} in optimizer.state"))?;
        let (expected, found) = (weight.size(), buffer.size());
        ensure!(found == expected, "the momentum of {name} has shape {found:?}, and the parameter {expected:?}");
        buffers.push(buffer.shallow_clone());
    }
    step(optimiser, config, 0.0, &parameters, &buffers)
}

/// A step without weight decay, with the given gradients.
fn step(
    optimiser: &mut Optimizer,
    config: &SgdConfig,
    lr: f64,
    parameters: &[(String, Tensor)],
    gradients: &[Tensor],
) -> Result<()> {
    optimiser.set_lr(lr);
    optimiser.set_weight_decay(0.0);
    optimiser.zero_grad();
    // The gradient of `weight * gradient` is `gradient`.
    for ((_, weight), gradient) in parameters.iter().zip(gradients) {
        weight.f_mul(gradient)?.f_sum(weight.f_kind()?)?.f_backward()?;
    }
    optimiser.step();
    optimiser.zero_grad();
    optimiser.set_weight_decay(config.weight_decay);
    Ok(())
}

/// Writes `value` into `tensor`, and gives a copy of what it held.
fn replaced(tensor: &Tensor, value: &Tensor) -> Result<Tensor> {
    let before = tensor.f_detach_copy()?;
    tensor.shallow_clone().f_copy_(value)?;
    Ok(before)
}
