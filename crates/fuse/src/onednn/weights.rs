//! [`Weights`]: weights in the layouts of oneDNN's kernels.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::desc::Desc;
use crate::bridge::{self, Role, fix, is_moderate, new_plan};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};

/// Weights in the layouts of the kernels, for all programs of a fused module.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    packed: HashMap<ValueId, Vec<(Desc, Tensor)>>,
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
        plan.pin_mut().run(&[], &mut [])?;
        known.push((wanted.clone(), packed.shallow_clone()));
        Ok(packed)
    }
}

/// Memory of `size` bytes.
pub(crate) fn bytes(size: usize) -> Result<Tensor> {
    match i64::try_from(size) {
        Ok(size) => Ok(Tensor::f_empty([size], (Kind::Uint8, Device::Cpu))?),
        Err(_) => Err(Error::unsupported("", "its memory is too large")),
    }
}
