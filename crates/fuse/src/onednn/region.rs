//! [`Region`]: what oneDNN runs in one call.

use cxx::UniquePtr;
use tch::{Device, Kind, Tensor};

use super::weights::{Packed, Weights};
use super::winograd::Winograd;
use crate::bridge::{Plan, Span, TensorRef, is_moderate, references, storage};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::interpreter::Interpreter;

/// Nodes that oneDNN runs, prepared for inputs of fixed shapes.
#[derive(Debug)]
pub(crate) struct Region {
    pub(super) plan: UniquePtr<Plan>,
    /// How many operators the plan has.
    pub(super) primitives: usize,
    /// The convolutions that are not the plan's, each with the number of the plan's operators before it.
    pub(super) convolutions: Vec<(usize, Winograd<Span>)>,
    /// The memory of intermediate results.
    pub(super) arena: Tensor,
    pub(super) inputs: Vec<Vec<i64>>,
    pub(super) outputs: Vec<Vec<i64>>,
    /// What each step is.
    pub(super) labels: Vec<Label>,
    /// The same as operators of libtorch, without the constants that are in `packed`.
    pub(super) plain: Graph,
    pub(super) packed: Vec<Packed>,
    /// Whether there are weights that oneDNN treats otherwise than libtorch: infinite, or no numbers.
    pub(super) broken: bool,
}

/// What a step is, for people.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) operator: &'static str,
    /// oneDNN's name of it.
    pub(crate) kernel: String,
    /// The module whose forward pass it is part of.
    pub(crate) module: String,
}

/// A step with the milliseconds that it took.
pub(crate) type Timed = (Label, f64);

/// The operator of a step that changes a layout.
pub(crate) const REORDER: &str = "reorder";

impl Region {
    /// The outputs for these inputs.
    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.run_timed(inputs, &mut [])
    }

    /// The outputs for these inputs, and what the steps are with the milliseconds that each took.
    pub(crate) fn profile(&mut self, inputs: &[&Tensor]) -> Result<(Vec<Tensor>, Vec<Timed>)> {
        let mut times = vec![0.0; self.labels.len()];
        let outputs = self.run_timed(inputs, &mut times)?;
        Ok((outputs, self.labels.iter().cloned().zip(times).collect()))
    }

    /// `times` is empty, or has one entry for each step.
    fn run_timed(&mut self, inputs: &[&Tensor], times: &mut [f64]) -> Result<Vec<Tensor>> {
        self.check(inputs)?;
        let mut contiguous = Vec::with_capacity(inputs.len());
        for input in inputs {
            contiguous.push(input.f_contiguous()?);
        }
        // oneDNN's activations and pooling make numbers from what is none: ReLU returns 0 for NaN.
        if self.broken || !contiguous.iter().all(is_moderate) {
            return self.run_plain(&contiguous);
        }
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for shape in &self.outputs {
            outputs.push(Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?);
        }
        self.run_steps(&references(contiguous.iter().chain(&outputs)), times)?;
        Ok(outputs)
    }

    /// Runs the plan, and between its operators the other convolutions. `times` is as above.
    fn run_steps(&mut self, tensors: &[TensorRef<'_>], times: &mut [f64]) -> Result<()> {
        let mut next = 0;
        for (index, (before, convolution)) in self.convolutions.iter().enumerate() {
            let these = times.get_mut(next + index..before + index).unwrap_or_default();
            self.plan.pin_mut().run(next, *before, tensors, these)?;
            next = *before;
            let start = std::time::Instant::now();
            convolution.run(&mut self.arena)?;
            if let Some(time) = times.get_mut(next + index) {
                *time = start.elapsed().as_secs_f64() * 1e3;
            }
        }
        let rest = times.get_mut(next + self.convolutions.len()..).unwrap_or_default();
        Ok(self.plan.pin_mut().run(next, self.primitives, tensors, rest)?)
    }

    /// Returns an error unless the inputs are dense, on the CPU, of 32 bits, and of the shapes of the region.
    fn check(&self, inputs: &[&Tensor]) -> Result<()> {
        let mut fit = inputs.len() == self.inputs.len();
        for (input, shape) in inputs.iter().zip(&self.inputs) {
            fit = fit
                && input.kind() == Kind::Float
                && input.device() == Device::Cpu
                && input.size() == *shape
                && storage(input) != 0;
        }
        if fit {
            return Ok(());
        }
        let found: Vec<_> = inputs.iter().map(|input| (input.kind(), input.device(), input.size())).collect();
        Err(Error::input(format!("dense tensors of 32 bits on the CPU, {:?}", self.inputs), format!("{found:?}")))
    }

    /// Gives up the plain constants that `weights` has in a kernel's layout, in 32 bits.
    pub(crate) fn give_up_plain(&mut self, weights: &Weights) {
        // Broken ones are needed for each run.
        if !self.broken {
            self.packed.extend(weights.take(&mut self.plain));
        }
    }

    /// The outputs of libtorch's operators.
    fn run_plain(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut plain = self.plain.clone();
        for packed in &self.packed {
            packed.restore(&mut plain)?;
        }
        let mut outputs = Interpreter::new(&plain)?.run(&inputs.iter().collect::<Vec<_>>())?;
        for output in &mut outputs {
            *output = output.f_contiguous()?;
        }
        Ok(outputs)
    }

    /// The numbers of primitives and of reorders among them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let mut reorders = 0;
        for label in &self.labels {
            if label.operator == REORDER {
                reorders += 1;
            }
        }
        (self.labels.len(), reorders)
    }
}
