//! [`Weights`]: weights in the layouts of oneDNN's kernels.

use std::collections::HashMap;

use mmcv_kernels::{Convolution, Packing};
use tch::{Device, Kind, Tensor};

use super::desc::Desc;
use crate::bridge::{self, LibtorchThreads, Role, Span, fix, is_moderate, new_plan, numbers, parts};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};

/// Weights in the layouts of the kernels, for all programs of a fused module.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    packed: HashMap<ValueId, Vec<(Desc, Tensor)>>,
    /// Those that were transformed for Winograd convolutions, by how.
    transformed: HashMap<(ValueId, Packing), Tensor>,
    /// Whether all numbers of a constant are moderate.
    moderate: HashMap<ValueId, bool>,
}

impl Weights {
    /// Whether a constant of the graph has numbers that are not moderate.
    pub(crate) fn broken(&mut self, graph: &Graph) -> bool {
        let mut broken = false;
        for (value, constant) in &graph.constants {
            broken |= !*self.moderate.entry(*value).or_insert_with(|| is_moderate(constant));
        }
        broken
    }

    /// The constant `plain`, known as `weight`, whose memory `user` describes, in the layout `wanted`.
    pub(crate) fn packed(&mut self, weight: ValueId, plain: &Tensor, user: &Desc, wanted: &Desc) -> Result<Tensor> {
        let known = self.packed.entry(weight).or_default();
        for (desc, packed) in known.iter() {
            if desc == wanted {
                return Ok(packed.shallow_clone());
            }
        }
        let packed = bytes(wanted.size())?;
        let op = bridge::reorder(user, wanted)?;
        let scratchpad = op.wants(Role::Scratchpad.into())?.size();
        let mut plan = new_plan()?;
        plan.pin_mut().step(op)?;
        fix(&mut plan, Role::Source.into(), plain, 0)?;
        fix(&mut plan, Role::Result.into(), &packed, 0)?;
        if scratchpad > 0 {
            fix(&mut plan, Role::Scratchpad.into(), &bytes(scratchpad)?, 0)?;
        }
        plan.pin_mut().run(0, 1, &[], &mut [])?;
        known.push((wanted.clone(), packed.shallow_clone()));
        Ok(packed)
    }
}

impl Weights {
    /// The constant `plain`, known as `weight`, as `convolution` wants it.
    pub(crate) fn transformed(&mut self, weight: ValueId, plain: &Tensor, convolution: &Convolution) -> Result<Tensor> {
        let key = (weight, convolution.packing());
        if let Some(known) = self.transformed.get(&key) {
            return Ok(known.shallow_clone());
        }
        let mut memory = bytes(convolution.packed_len() * 4)?;
        let whole = Span { offset: 0, size: convolution.packed_len() * 4 };
        let (Some([packed]), Some(plain)) = (parts(&mut memory, [whole]), numbers(plain)) else {
            return Err(Error::unsupported("", "a weight does not lie in plain memory"));
        };
        convolution.pack(plain, packed, &LibtorchThreads)?;
        let transformed = memory.f_view_dtype(Kind::Float)?;
        self.transformed.insert(key, transformed.shallow_clone());
        Ok(transformed)
    }
}

/// Memory of `size` bytes.
pub(crate) fn bytes(size: usize) -> Result<Tensor> {
    match i64::try_from(size) {
        Ok(size) => Ok(Tensor::f_empty([size], (Kind::Uint8, Device::Cpu))?),
        Err(_) => Err(Error::unsupported("", "its memory is too large")),
    }
}
