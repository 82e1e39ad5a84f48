//! [`trace`]: a forward pass as a list of operators, for programs that translate it.

use mmcv_layers::Module;
use mmcv_registry::Dict;
use tch::Tensor;

use crate::error::{Error, Result};
use crate::graph::{Graph, Shapes};
use crate::rewrite::{self, Inputs};
use crate::sample;
use crate::shapes::{self, Layout};
use crate::trace::{self, Traced};

/// A forward pass.
#[derive(Debug)]
#[non_exhaustive]
pub struct Trace {
    /// The operators. None of them changes a tensor in place.
    pub graph: Graph,
    /// Whether the output is one tensor and not a list.
    pub single: bool,
    /// The shapes and types of all values.
    pub shapes: Shapes,
}

/// What is done with the operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceOptions {
    /// Whether batch norms become part of convolutions, and what depends on weights alone is computed; true by default.
    pub fold: bool,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self { fold: true }
    }
}

/// An input of this shape, of numbers that look random, in the type and on the device of the module's weights.
///
/// # Errors
/// Returns an error if a size is not positive, or there is no memory for it.
pub fn example(module: &dyn Module, shape: &[i64]) -> Result<Tensor> {
    sample::check_size(shape, 1)?;
    let (kind, device) = sample::kind_and_device(module);
    sample::normal(shape, 1, kind, device)
}

/// Runs `module`, in evaluation mode (`train(false)`), on `inputs` and notes its operators. Constants that are not computed share
/// their memory with the module.
///
/// # Errors
/// Returns an error if the module does not run on the inputs, is in training mode, draws random numbers, decides by values, or
/// changes a tensor that is read elsewhere.
pub fn trace(module: &dyn Module, inputs: &[Tensor], arguments: &Dict, options: TraceOptions) -> Result<Trace> {
    let _guard = tch::no_grad_guard();
    let Traced { mut graph, single, .. } = trace::trace(module, &sample::copies(inputs)?, arguments)?;
    rewrite::check_evaluation(&graph)?;
    let layouts: Vec<Layout> = inputs.iter().map(Layout::of).collect();
    let rewritten = Inputs { tensors: inputs, layouts: &layouts, owned: false };
    if !rewrite::simplify(&mut graph, &rewritten, options.fold)? {
        return Err(Error::unsupported("", "it changes a tensor in place that is read elsewhere"));
    }
    let shapes = shapes::run(&graph, &sample::copies(inputs)?)?;
    Ok(Trace { graph, single, shapes })
}
