//! [`Optimizer`]: parameters with their states, and a step over all of them in a call.

mod adamw;
mod sgd;

use tch::Tensor;

pub use adamw::{AdamW, AdamWOptions};
pub use sgd::{Sgd, SgdOptions};

use crate::bridge::{self, TensorRef};
use crate::error::{Error, Result};

/// Changes parameters by their gradients: [`Sgd`] or [`AdamW`]. Its methods are those of PyTorch's optimizers.
#[derive(Debug)]
pub struct Optimizer<R> {
    slots: Vec<Slot>,
    options: R,
}

/// The rule of an optimizer, with its arguments.
pub trait Rule: Copy + sealed::Sealed {}

impl<R: Copy + sealed::Sealed> Rule for R {}

mod sealed {
    use tch::Tensor;

    use super::Slot;
    use crate::error::Result;

    /// What an optimizer asks of its rule.
    pub trait Sealed {
        /// PyTorch's names for the parts of a parameter's state.
        const KEYS: &'static [&'static str];

        /// # Errors
        ///
        /// Fails if an argument is not allowed.
        fn check(&self) -> Result<()>;

        /// Whether these arguments need a state.
        fn has_state(&self) -> bool {
            true
        }

        /// The state before the first step: a tensor for each name, which lies in memory as the parameter does.
        ///
        /// # Errors
        ///
        /// Passes on errors of libtorch.
        fn begin(parameter: &Tensor) -> Result<Vec<Tensor>>;

        /// Changes parameters that have gradients, for all of which it is the first step or for none.
        ///
        /// # Errors
        ///
        /// Passes on errors of libtorch.
        fn step(&self, slots: &[&Slot], is_first: bool) -> Result<()>;
    }
}

/// A parameter with its state.
#[derive(Debug)]
pub struct Slot {
    name: String,
    parameter: Tensor,
    /// Empty before the first step.
    state: Vec<Tensor>,
}

impl<R: Rule> Optimizer<R> {
    /// An optimizer of these parameters, such as those of `ModuleExt::named_parameters`. For parameters with other arguments, use
    /// several optimizers.
    ///
    /// # Errors
    ///
    /// Fails if an argument is not allowed.
    pub fn new(parameters: impl IntoIterator<Item = (String, Tensor)>, options: R) -> Result<Self> {
        options.check()?;
        let mut slots = Vec::new();
        for (name, parameter) in parameters {
            slots.push(Slot { name, parameter, state: Vec::new() });
        }
        Ok(Self { slots, options })
    }

    /// The arguments.
    pub fn options(&self) -> R {
        self.options
    }

    /// Sets other arguments: a schedule changes the learning rate.
    ///
    /// # Errors
    ///
    /// Fails without changes if an argument is not allowed.
    pub fn set_options(&mut self, options: R) -> Result<()> {
        options.check()?;
        self.options = options;
        Ok(())
    }

    /// Removes the gradients, so that the next backward pass begins new ones.
    ///
    /// # Errors
    ///
    /// Passes on errors of libtorch.
    pub fn zero_grad(&self) -> Result<()> {
        let mut parameters = Vec::new();
        for slot in &self.slots {
            parameters.push(TensorRef { tensor: bridge::native(&slot.parameter) });
        }
        Ok(bridge::clear_gradients(&parameters)?)
    }

    /// Changes the parameters that have a gradient.
    ///
    /// # Errors
    ///
    /// Fails for sparse gradients and parameters with gaps in memory, and passes on errors of libtorch.
    pub fn step(&mut self) -> Result<()> {
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for slot in &mut self.slots {
            if !slot.parameter.f_grad()?.defined() {
                continue;
            }
            if slot.state.is_empty() && self.options.has_state() {
                slot.state = R::begin(&slot.parameter)?;
                first.push(&*slot);
            } else {
                later.push(&*slot);
            }
        }
        self.options.step(&first, true)?;
        self.options.step(&later, false)
    }

    /// The state of each parameter that has one, under PyTorch's names: `backbone.conv1.weight.momentum_buffer`. The tensors are
    /// those of the optimizer: later steps change them.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = Vec::new();
        for slot in &self.slots {
            for (key, part) in R::KEYS.iter().zip(&slot.state) {
                state.push((format!("{}.{key}", slot.name), part.shallow_clone()));
            }
        }
        state
    }

    /// Copies what [`state`](Self::state) returned. Parameters without state begin with their next step.
    ///
    /// # Errors
    ///
    /// Fails without changes if a tensor belongs to no parameter, has another shape, or lacks the others of its parameter.
    pub fn set_state(&mut self, state: &[(String, Tensor)]) -> Result<()> {
        let mut left: Vec<&(String, Tensor)> = state.iter().collect();
        let mut loaded = Vec::new();
        for Slot { name, parameter, .. } in &self.slots {
            let mut parts = Vec::new();
            for (key, mut part) in R::KEYS.iter().zip(R::begin(parameter)?) {
                let key = format!("{name}.{key}");
                if let Some(place) = left.iter().position(|(found, _)| *found == key) {
                    copy(left.swap_remove(place), &mut part)?;
                    parts.push(part);
                }
            }
            if !parts.is_empty() && parts.len() < R::KEYS.len() {
                let problem = format!("has not all of {}", R::KEYS.join(", "));
                return Err(Error::State { key: name.clone(), problem });
            }
            loaded.push(parts);
        }
        if let Some((key, _)) = left.first() {
            return Err(Error::State { key: key.clone(), problem: "belongs to no parameter".to_owned() });
        }
        for (slot, parts) in self.slots.iter_mut().zip(loaded) {
            slot.state = parts;
        }
        Ok(())
    }
}

/// Zeros that lie in memory as the parameter does.
fn zeros(parameter: &Tensor) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    Ok(parameter.f_zeros_like()?)
}

/// Copies a part of a state, which has to have this shape.
fn copy((key, part): &(String, Tensor), target: &mut Tensor) -> Result<()> {
    let (found, expected) = (part.size(), target.size());
    if found != expected {
        let problem = format!("has shape {found:?}, and the parameter {expected:?}");
        return Err(Error::State { key: key.clone(), problem });
    }
    let _guard = tch::no_grad_guard();
    target.f_copy_(part)?;
    Ok(())
}
