//! [`Region`]: what oneDNN runs in one call, and the weights that it has for it.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::c_void;

use tch::{Device, Kind, Tensor};

use super::argument;
use super::ffi::{Address, Desc, Op, Plan, Role};
use crate::error::{Error, Result};
use crate::ffi::{is_moderate, storage};
use crate::graph::{Graph, ValueId};
use crate::interpreter::Interpreter;

/// Nodes that oneDNN runs, prepared for inputs of given shapes.
#[derive(Debug)]
pub(crate) struct Region {
    pub(super) plan: Plan,
    pub(super) inputs: Vec<Vec<i64>>,
    pub(super) outputs: Vec<Vec<i64>>,
    /// What each step is.
    pub(super) labels: Vec<Label>,
    /// The same as operators of libtorch.
    pub(super) plain: Graph,
    /// Whether there are weights of which oneDNN does not make what libtorch does: infinite, or no numbers.
    pub(super) broken: bool,
    /// What the plan has pointers to.
    pub(super) _memory: Vec<Tensor>,
}

/// Weights in the layouts that kernels want, for all programs of a fused module.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    packed: HashMap<ValueId, Vec<(Desc, Tensor)>>,
    /// Whether all numbers of a constant are moderate.
    moderate: HashMap<ValueId, bool>,
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

pub(super) const REORDER: &str = "reorder";
impl Region {
    /// The outputs for these inputs.
    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.run_timed(inputs, None)
    }

    /// The outputs for these inputs, and what the steps are with the milliseconds that each took.
    pub(crate) fn profile(&mut self, inputs: &[&Tensor]) -> Result<(Vec<Tensor>, Vec<Timed>)> {
        let mut times = vec![0.0; self.labels.len()];
        let outputs = self.run_timed(inputs, Some(&mut times))?;
        Ok((outputs, self.labels.iter().cloned().zip(times).collect()))
    }

    fn run_timed(&mut self, inputs: &[&Tensor], times: Option<&mut [f64]>) -> Result<Vec<Tensor>> {
        let fit = inputs.len() == self.inputs.len()
            && inputs.iter().zip(&self.inputs).all(|(input, shape)| {
                input.kind() == Kind::Float
                    && input.device() == Device::Cpu
                    && input.size() == *shape
                    && storage(input) != 0
            });
        if !fit {
            let found: Vec<_> = inputs.iter().map(|input| (input.kind(), input.device(), input.size())).collect();
            return Err(Error::input(
                format!("dense tensors of 32 bits on the CPU, {:?}", self.inputs),
                format!("{found:?}"),
            ));
        }
        let inputs = inputs.iter().map(|input| Ok(input.f_contiguous()?)).collect::<Result<Vec<_>>>()?;
        // oneDNN's activations and pooling make numbers of what is none: ReLU gives 0 for NaN.
        if self.broken || !inputs.iter().all(is_moderate) {
            return self.run_plain(&inputs);
        }
        let outputs = self.outputs.iter().map(|shape| Ok(Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?));
        let outputs = outputs.collect::<Result<Vec<_>>>()?;
        let pointers: Vec<*mut c_void> = inputs.iter().chain(&outputs).map(pointer).collect();
        // SAFETY: the slots are those of the inputs, which were checked to have the shapes that the region was compiled for
        // and are contiguous, and of the outputs, made above; `times` is made for this region.
        unsafe { self.plan.run(&pointers, times)? };
        Ok(outputs)
    }

    /// The outputs as libtorch's operators give them.
    fn run_plain(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let outputs = Interpreter::new(&self.plain)?.run(&inputs.iter().collect::<Vec<_>>())?;
        outputs.iter().map(|output| Ok(output.f_contiguous()?)).collect()
    }

    /// The numbers of primitives and of reorders among them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.labels.len(), self.labels.iter().filter(|label| label.operator == REORDER).count())
    }
}

impl Weights {
    /// Whether a constant of the graph has numbers that are not moderate.
    pub(super) fn broken(&mut self, graph: &Graph) -> bool {
        let mut broken = false;
        for (value, constant) in &graph.constants {
            broken |= !*self.moderate.entry(*value).or_insert_with(|| is_moderate(constant));
        }
        broken
    }

    /// The constant `plain`, known as `weight`, whose memory is as `user` says, in the wanted layout.
    pub(super) fn packed(&mut self, weight: ValueId, plain: &Tensor, user: &Desc, wanted: &Desc) -> Result<Tensor> {
        let known = self.packed.entry(weight).or_default();
        if let Some((_, packed)) = known.iter().find(|(desc, _)| desc == wanted) {
            return Ok(packed.shallow_clone());
        }
        let packed = bytes(wanted.size())?;
        let op = Op::reorder([user, wanted])?;
        let scratchpad = op.wants(Role::Scratchpad)?;
        let scratch = bytes(scratchpad.size().max(1))?;
        let mut arguments = vec![
            (argument::SOURCE, user, Address::Fixed(pointer(plain))),
            (argument::RESULT, wanted, Address::Fixed(pointer(&packed))),
        ];
        if scratchpad.size() > 0 {
            arguments.push((argument::SCRATCHPAD, &scratchpad, Address::Fixed(pointer(&scratch))));
        }
        let mut plan = Plan::new()?;
        // SAFETY: constants are contiguous, and this one has the shape that `user` says; `packed` and the scratchpad are as
        // large as their descriptions; all live through the run.
        unsafe {
            plan.add(op, &arguments)?;
            plan.run(&[], None)?;
        }
        known.push((wanted.copy()?, packed.shallow_clone()));
        Ok(packed)
    }
}

/// The pointer to the elements of a contiguous tensor.
pub(super) fn pointer(tensor: &Tensor) -> *mut c_void {
    tensor.data_ptr()
}

/// Memory of `size` bytes.
pub(super) fn bytes(size: usize) -> Result<Tensor> {
    let size = i64::try_from(size).map_err(|_| Error::unsupported("", "its memory is too large"))?;
    Ok(Tensor::f_empty([size], (Kind::Uint8, Device::Cpu))?)
}
