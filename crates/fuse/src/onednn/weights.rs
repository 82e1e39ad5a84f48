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
    /// As `packed`, for a program that is not used any more.
    aside: HashMap<ValueId, Vec<(Desc, Tensor)>>,
    /// The layouts from which they were first packed, and the shapes.
    plain: HashMap<ValueId, (Desc, Vec<i64>)>,
    /// Whether all numbers of a constant are moderate.
    moderate: HashMap<ValueId, bool>,
}

/// A constant in a kernel's layout, from which the plain one can be made.
#[derive(Debug)]
pub(crate) struct Packed {
    value: ValueId,
    shape: Vec<i64>,
    plain: Desc,
    desc: Desc,
    memory: Tensor,
}

impl Packed {
    /// Adds the plain constant to the graph.
    pub(crate) fn restore(&self, graph: &mut Graph) -> Result<()> {
        let constant = Tensor::f_empty(&self.shape, (Kind::Float, Device::Cpu))?;
        reorder(&self.desc, &self.memory, &self.plain, &constant)?;
        graph.constants.insert(self.value, constant);
        Ok(())
    }
}

impl Weights {
    /// Removes the constants of the graph that lie in a kernel's layout, in 32 bits, so that their memory is not needed twice.
    pub(crate) fn take(&self, graph: &mut Graph) -> Vec<Packed> {
        let mut taken = Vec::new();
        for (value, layouts) in &self.packed {
            let (Some((desc, memory)), Some((plain, shape))) = (layouts.first(), self.plain.get(value)) else {
                continue;
            };
            if graph.is_constant(*value) && bridge::reorder(desc, plain).is_ok() {
                graph.constants.remove(value);
                let (shape, plain, desc) = (shape.clone(), plain.clone(), desc.clone());
                taken.push(Packed { value: *value, shape, plain, desc, memory: memory.shallow_clone() });
            }
        }
        taken
    }

    /// Whether a constant of the graph has numbers that are not moderate.
    pub(crate) fn broken(&mut self, graph: &Graph) -> bool {
        let mut broken = false;
        for (value, constant) in &graph.constants {
            broken |= !*self.moderate.entry(*value).or_insert_with(|| is_moderate(constant));
        }
        broken
    }

    /// Lets the next program take what was packed for a program that is not used any more.
    pub(crate) fn set_aside(&mut self) {
        self.aside = std::mem::take(&mut self.packed);
        self.plain.clear();
    }

    /// Drops what was set aside and not taken.
    pub(crate) fn drop_aside(&mut self) {
        self.aside.clear();
    }

    /// The constant `plain`, known as `weight`, whose memory `user` describes, in the layout `wanted`.
    pub(crate) fn packed(&mut self, weight: ValueId, plain: &Tensor, user: &Desc, wanted: &Desc) -> Result<Tensor> {
        let known = self.packed.entry(weight).or_default();
        for (desc, packed) in known.iter() {
            if desc == wanted {
                return Ok(packed.shallow_clone());
            }
        }
        let aside = self.aside.get(&weight).and_then(|known| known.iter().find(|(desc, _)| desc == wanted));
        let packed = match aside {
            Some((_, packed)) => packed.shallow_clone(),
            None => {
                let packed = bytes(wanted.size())?;
                reorder(user, plain, wanted, &packed)?;
                packed
            }
        };
        known.push((wanted.clone(), packed.shallow_clone()));
        self.plain.entry(weight).or_insert_with(|| (user.clone(), plain.size()));
        Ok(packed)
    }
}

/// Writes what `source` has in the layout `from` into `result` in the layout `to`.
fn reorder(from: &Desc, source: &Tensor, to: &Desc, result: &Tensor) -> Result<()> {
    let op = bridge::reorder(from, to)?;
    let scratchpad = op.wants(Role::Scratchpad.into())?.size();
    let mut plan = new_plan()?;
    plan.pin_mut().step(op)?;
    fix(&mut plan, Role::Source.into(), source, 0)?;
    fix(&mut plan, Role::Result.into(), result, 0)?;
    if scratchpad > 0 {
        fix(&mut plan, Role::Scratchpad.into(), &bytes(scratchpad)?, 0)?;
    }
    Ok(plan.pin_mut().run(&[], &mut [])?)
}

/// Memory of `size` bytes.
pub(crate) fn bytes(size: usize) -> Result<Tensor> {
    match i64::try_from(size) {
        Ok(size) => Ok(Tensor::f_empty([size], (Kind::Uint8, Device::Cpu))?),
        Err(_) => Err(Error::unsupported("", "its memory is too large")),
    }
}
