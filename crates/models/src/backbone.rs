//! [`Backbone`]: what feature extractors have in common.

use mmcv_layers::{Error, Module, Output, Result, single_input};
use mmcv_registry::Dict;
use tch::Tensor;

/// A network that gives the feature maps of several stages.
pub trait Backbone: Module {
    /// The stages in `out_indices`, in the order of the network.
    ///
    /// # Errors
    /// Where the input does not fit.
    fn stages(&self, input: &Tensor) -> Result<Vec<Tensor>>;

    /// [`Module::call`] of a backbone: one input, all stages.
    ///
    /// # Errors
    /// As [`Self::stages`], and where there is not one input, or an option.
    fn call_stages(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        let input = single_input(self.name(), inputs, options)?;
        self.stages(input).map(Output::Tensors)
    }
}

/// The last stage.
pub(crate) fn last(mut stages: Vec<Tensor>) -> Result<Tensor> {
    stages.pop().ok_or_else(|| Error::argument("out_indices", "no stage", "expected at least one stage"))
}
