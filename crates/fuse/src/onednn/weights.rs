//! [`Weights`]: weights in the layouts of oneDNN's kernels.

use std::collections::HashMap;

use mmcv_kernels::{Convolution, Packing, Tile};
use tch::{Device, Kind, Tensor};

use super::desc::Desc;
use crate::bridge::{self, LibtorchThreads, Role, Span, fix, is_moderate, new_attributes, new_plan, numbers, parts};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::quantize::Integers;

/// Weights in the layouts of the kernels, for all programs of a fused module.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    packed: HashMap<ValueId, Vec<(Desc, Tensor)>>,
    /// The layouts from which they were first packed, and the shapes.
    plain: HashMap<ValueId, (Desc, Vec<i64>)>,
    /// Those that were transformed for Winograd convolutions, by how.
    transformed: HashMap<(ValueId, Packing), Tensor>,
    /// The tiles of these convolutions, the largest for each weight.
    tiles: HashMap<ValueId, Tile>,
    /// Whether [`Self::tiles`] says which convolutions are of Winograd.
    prescribed: bool,
    /// The integers that stand for constants.
    integers: HashMap<ValueId, Integers>,
    packed_integers: HashMap<ValueId, Vec<(Desc, Tensor)>>,
    /// Whether all numbers of a constant are moderate.
    moderate: HashMap<ValueId, bool>,
}

/// A constant in a form from which the plain one can be made.
#[derive(Debug)]
pub(crate) struct Packed {
    value: ValueId,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// The layout of a kernel.
    Kernel {
        shape: Vec<i64>,
        plain: Desc,
        desc: Desc,
        memory: Tensor,
    },
    Integers(Integers),
}

impl Packed {
    /// The same memory.
    pub(crate) fn shallow_clone(&self) -> Self {
        let form = match &self.form {
            Form::Kernel { shape, plain, desc, memory } => Form::Kernel {
                shape: shape.clone(),
                plain: plain.clone(),
                desc: desc.clone(),
                memory: memory.shallow_clone(),
            },
            Form::Integers(integers) => Form::Integers(integers.shallow_clone()),
        };
        Self { value: self.value, form }
    }

    /// Adds the plain constant to the graph.
    pub(crate) fn restore(&self, graph: &mut Graph) -> Result<()> {
        let constant = match &self.form {
            Form::Kernel { shape, plain, desc, memory } => {
                let constant = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
                reorder(desc, memory, plain, &constant)?;
                constant
            }
            Form::Integers(integers) => integers.numbers()?,
        };
        graph.constants.insert(self.value, constant);
        Ok(())
    }
}

impl Weights {
    /// Removes the constants of the graph that lie in a kernel's layout, in 32 bits, or that integers stand for, so that their memory is not needed twice.
    pub(crate) fn take(&self, graph: &mut Graph) -> Vec<Packed> {
        let mut taken = Vec::new();
        for (value, layouts) in &self.packed {
            let (Some((desc, memory)), Some((plain, shape))) = (layouts.first(), self.plain.get(value)) else {
                continue;
            };
            if graph.is_constant(*value) && is_reordered(desc, plain) {
                graph.constants.remove(value);
                let (shape, plain, desc) = (shape.clone(), plain.clone(), desc.clone());
                let form = Form::Kernel { shape, plain, desc, memory: memory.shallow_clone() };
                taken.push(Packed { value: *value, form });
            }
        }
        for (value, integers) in &self.integers {
            if graph.constants.remove(value).is_some() {
                taken.push(Packed { value: *value, form: Form::Integers(integers.shallow_clone()) });
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

    /// For a program that is only tried: it takes the weights that are here and keeps what else it packs, and has the same Winograd
    /// convolutions, whatever its sizes.
    pub(crate) fn for_trial(&self) -> Self {
        let mut trial = Self { prescribed: true, moderate: self.moderate.clone(), ..Self::default() };
        for (value, layouts) in &self.packed {
            let layouts = layouts.iter().map(|(desc, memory)| (desc.clone(), memory.shallow_clone())).collect();
            trial.packed.insert(*value, layouts);
        }
        trial.use_integers(&self.integers);
        for (key, memory) in &self.transformed {
            trial.transformed.insert(*key, memory.shallow_clone());
        }
        trial.tiles.clone_from(&self.tiles);
        trial
    }

    /// Drops what was transformed for Winograd convolutions.
    pub(crate) fn drop_transformed(&mut self) {
        self.transformed.clear();
        self.tiles.clear();
    }

    /// Whether there are Winograd convolutions.
    pub(crate) fn has_transformed(&self) -> bool {
        !self.transformed.is_empty()
    }

    /// The tile of the Winograd convolutions with this weight, if that is prescribed; `None` inside for a direct one.
    pub(crate) fn prescribed(&self, weight: ValueId) -> Option<Option<Tile>> {
        self.prescribed.then(|| self.tiles.get(&weight).copied())
    }

    /// Lets these integers stand for constants.
    pub(crate) fn use_integers(&mut self, integers: &HashMap<ValueId, Integers>) {
        for (value, integers) in integers {
            self.integers.insert(*value, integers.shallow_clone());
        }
    }

    /// The integers that stand for the constant `weight`, if there are some.
    pub(crate) fn integers(&self, weight: ValueId) -> Option<Integers> {
        Some(self.integers.get(&weight)?.shallow_clone())
    }

    /// These integers, whose memory `user` describes, in the layout `wanted`.
    pub(crate) fn packed_integers(
        &mut self,
        (weight, integers): (ValueId, &Integers),
        user: &Desc,
        wanted: &Desc,
    ) -> Result<Tensor> {
        let known = self.packed_integers.entry(weight).or_default();
        packed(known, user, &integers.integers, wanted)
    }

    /// The constant `plain`, known as `weight`, whose memory `user` describes, in the layout `wanted`.
    pub(crate) fn packed(&mut self, weight: ValueId, plain: &Tensor, user: &Desc, wanted: &Desc) -> Result<Tensor> {
        let packed = packed(self.packed.entry(weight).or_default(), user, plain, wanted)?;
        self.plain.entry(weight).or_insert_with(|| (user.clone(), plain.size()));
        Ok(packed)
    }

    /// The constant `plain`, known as `weight`, as `convolution` with this tile wants it.
    pub(crate) fn transformed(
        &mut self,
        (weight, plain): (ValueId, &Tensor),
        (tile, convolution): (Tile, &Convolution),
    ) -> Result<Tensor> {
        let known = self.tiles.entry(weight).or_insert(tile);
        if known.size() < tile.size() {
            *known = tile;
        }
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

/// What `plain` has, whose memory `user` describes, in the layout `wanted`; `known` are its layouts so far.
fn packed(known: &mut Vec<(Desc, Tensor)>, user: &Desc, plain: &Tensor, wanted: &Desc) -> Result<Tensor> {
    for (desc, packed) in known.iter() {
        if desc == wanted {
            return Ok(packed.shallow_clone());
        }
    }
    let packed = bytes(wanted.size())?;
    reorder(user, plain, wanted, &packed)?;
    known.push((wanted.clone(), packed.shallow_clone()));
    Ok(packed)
}

/// Whether oneDNN can write numbers in the one layout in the other one.
fn is_reordered(from: &Desc, to: &Desc) -> bool {
    match new_attributes() {
        Ok(attributes) => bridge::reorder(from, to, &attributes).is_ok(),
        Err(_) => false,
    }
}

/// Writes what `source` has in the layout `from` into `result` in the layout `to`.
fn reorder(from: &Desc, source: &Tensor, to: &Desc, result: &Tensor) -> Result<()> {
    let op = bridge::reorder(from, to, &*new_attributes()?)?;
    let scratchpad = op.wants(Role::Scratchpad.into())?.size();
    let mut plan = new_plan()?;
    plan.pin_mut().step(op)?;
    fix(&mut plan, Role::Source.into(), source, 0)?;
    fix(&mut plan, Role::Result.into(), result, 0)?;
    if scratchpad > 0 {
        fix(&mut plan, Role::Scratchpad.into(), &bytes(scratchpad)?, 0)?;
    }
    Ok(plan.pin_mut().run(0, 1, &[], &mut [])?)
}

/// Memory of `size` bytes.
pub(crate) fn bytes(size: usize) -> Result<Tensor> {
    match i64::try_from(size) {
        Ok(size) => Ok(Tensor::f_empty([size], (Kind::Uint8, Device::Cpu))?),
        Err(_) => Err(Error::unsupported("", "its memory is too large")),
    }
}
