//! [`Backbone`]: the common interface of feature extractors.

use mmcv_layers::observe::of_size;
use mmcv_layers::{Error, Module, ModuleExt, Output, Result, named_modules, single_input};
use mmcv_registry::{Config, Dict, config};
use tch::Tensor;

/// A network that returns the feature maps of several stages.
pub trait Backbone: Module {
    /// The outputs of the stages in `out_indices`, in the order of the network.
    ///
    /// # Errors
    /// Returns an error if a layer rejects its input.
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>>;

    /// [`Forward::call`](mmcv_layers::Forward::call) for a backbone: takes one input and no options, and returns all stages.
    ///
    /// # Errors
    /// Returns an error if [`Self::stages`] does, or there is not exactly one input, or there is an option.
    fn call_stages(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let input = single_input(inputs, options)?;
        self.stages(input).map(Output::Tensors)
    }
}

/// The last stage.
pub(crate) fn last(mut stages: Vec<Tensor>) -> Result<Tensor> {
    match stages.pop() {
        Some(stage) => Ok(stage),
        None => Err(Error::argument("out_indices", "no stage", "expected at least one stage")),
    }
}

/// Checks the indices of the stages that a network of `stages` stages returns.
pub(crate) fn check_out_indices(out_indices: &[i64], stages: i64) -> Result<()> {
    for index in out_indices {
        if !(0..stages).contains(index) {
            let reason = format!("expected stages from 0 to {}", stages - 1);
            return Err(Error::argument("out_indices", index, reason));
        }
    }
    Ok(())
}

/// Checks the number of frozen stages: -1 for none, up to `most`.
pub(crate) fn check_frozen_stages(frozen_stages: i64, most: i64) -> Result<()> {
    if (-1..=most).contains(&frozen_stages) {
        return Ok(());
    }
    Err(Error::argument("frozen_stages", frozen_stages, format!("expected -1 to {most}")))
}

/// The rules of initialization: those of `init_cfg`, or the rule that loads `pretrained`, as in mmdetection.
pub(crate) fn rules(init_cfg: &Config, default: &Config, pretrained: Option<&str>) -> Result<Config> {
    let Some(checkpoint) = pretrained else { return Ok(init_cfg.clone()) };
    if !init_cfg.is_null() && init_cfg != default {
        let reason = "cannot be combined with an init_cfg: expected one of the two";
        return Err(Error::conflict("pretrained", format!("{checkpoint:?}"), reason));
    }
    Ok(config! { type: "Pretrained", checkpoint: checkpoint })
}

/// Freezes `module`: puts it into evaluation mode and computes no gradients for its parameters.
pub(crate) fn freeze(module: &dyn Module) {
    module.train(false);
    stop_gradients(module);
}

/// Computes no gradients for the parameters of `module` from now on.
pub(crate) fn stop_gradients(module: &dyn Module) {
    if let Err(error) = module.requires_grad(false) {
        log::warn!("{}: {error}", module.name());
    }
}

/// Puts the batch norms in `module` into evaluation mode: they use their running statistics and do not update them.
pub(crate) fn evaluate_batch_norms(module: &dyn Module) {
    for (_, module) in named_modules(module) {
        if module.class().iter().any(|class| matches!(*class, "_BatchNorm" | "SyncBatchNorm")) {
            module.train(false);
        }
    }
}

/// Flattens features to one row per sample, for a classifier or a head: `[N, C, H, W]` to `[N, C * H * W]`.
///
/// # Errors
/// Returns an error for a batch without samples, as the reference's `view(batch, -1)` does.
pub(crate) fn rows(input: &Tensor) -> Result<Tensor> {
    if of_size(input, |shape| shape.first() == Some(&0))? {
        return Err(Error::input("at least one sample", format!("shape {:?}", input.size())));
    }
    Ok(input.f_flatten(1, -1)?)
}
