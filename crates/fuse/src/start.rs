//! [`start`]: the simplified graph of a module, traced at the smallest size that tells as much as the example's own.
//!
//! A trace runs the module, which takes the longer the larger the input is. What the module does is the same for a smaller input if
//! it asks nothing of sizes that has another answer there: the same rule by which a fused form accepts other sizes.

use std::collections::{HashMap, HashSet};

use mmcv_layers::Module;
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::bridge::storage;
use crate::check::Check;
use crate::error::{Error, Result};
use crate::graph::{Graph, Shapes, ValueId};
use crate::options::FuseOptions;
use crate::quantize::{self, Integers};
use crate::rewrite::{self, Inputs};
use crate::sample;
use crate::shapes::{self, Inferred, Layout};
use crate::trace::{Traced, trace};

/// Sizes of images above this one are reduced.
const LARGE: i64 = 96;

/// To at least this one, so that networks which halve a size five times still have two elements left.
const REDUCED: i64 = 64;

/// By a multiple of this, because paddings ask for the remainders of powers of two.
const STEP: i64 = 32;

/// The largest number of images in an input that is reduced: two, because one is special in memory.
const IMAGES: i64 = 2;

/// The module that is fused.
pub(crate) enum Held<'a> {
    Borrowed(&'a dyn Module),
    /// It is dropped as soon as it is not needed any more, and its weights are used without a copy.
    Owned(Box<dyn Module>),
}

/// What the inputs are like.
pub(crate) enum Examples {
    Given(Vec<Tensor>),
    /// One input, of numbers that look random.
    Drawn {
        shape: Vec<i64>,
        kind: Kind,
        device: Device,
    },
}

/// What is known after the trace.
pub(crate) struct Start {
    pub(crate) graph: Graph,
    /// Whether the output is one tensor and not a list.
    pub(crate) single: bool,
    /// Whether the graph was simplified; if not, it is run as it is.
    pub(crate) simplified: bool,
    /// What the self check compares with.
    pub(crate) check: Option<Check>,
    /// Whether the inputs that were traced are smaller than the examples.
    pub(crate) reduced: bool,
    /// The integers that stand for weights.
    pub(crate) integers: HashMap<ValueId, Integers>,
    /// The shapes of the graph's values for the inputs that were traced.
    pub(crate) traced_shapes: Shapes,
    /// The shapes for the examples.
    pub(crate) shapes: Shapes,
}

impl Held<'_> {
    pub(crate) fn module(&self) -> &dyn Module {
        match self {
            Self::Borrowed(module) => *module,
            Self::Owned(module) => &**module,
        }
    }
}

impl Examples {
    pub(crate) fn layouts(&self) -> Vec<Layout> {
        match self {
            Self::Given(inputs) => inputs.iter().map(Layout::of).collect(),
            Self::Drawn { shape, kind, .. } => vec![Layout::contiguous(shape, *kind)],
        }
    }

    pub(crate) fn devices(&self) -> Vec<Device> {
        match self {
            Self::Given(inputs) => inputs.iter().map(Tensor::device).collect(),
            Self::Drawn { device, .. } => vec![*device],
        }
    }

    /// Inputs of these shapes, which are not larger than the examples.
    fn at(&self, shapes: &[Vec<i64>]) -> Result<Vec<Tensor>> {
        let mut inputs = Vec::new();
        match self {
            Self::Given(given) => {
                for (input, shape) in given.iter().zip(shapes) {
                    let mut part = input.shallow_clone();
                    for (axis, size) in (0..).zip(shape) {
                        part = part.f_narrow(axis, 0, *size)?;
                    }
                    inputs.push(sample::copy(&part)?);
                }
            }
            Self::Drawn { kind, device, .. } => {
                for shape in shapes {
                    inputs.push(sample::normal(shape, 1, *kind, *device)?);
                }
            }
        }
        Ok(inputs)
    }

    /// The shapes at which the module is tried, the examples' own at the end.
    fn candidates(&self, full_size: bool) -> Vec<Vec<Vec<i64>>> {
        let layouts = self.layouts();
        let own: Vec<Vec<i64>> = layouts.iter().map(|layout| layout.shape.clone()).collect();
        // Integers may be positions in an image; what other devices do is not known well enough.
        let floats = layouts.iter().all(|layout| matches!(layout.kind, Kind::Float | Kind::Double));
        if full_size || !floats || self.devices().iter().any(|device| *device != Device::Cpu) {
            return vec![own];
        }
        let mut candidates = vec![own.iter().map(|shape| reduced(shape, true)).collect()];
        for next in [own.iter().map(|shape| reduced(shape, false)).collect(), own] {
            if candidates.last() != Some(&next) {
                candidates.push(next);
            }
        }
        candidates
    }
}

/// The shape with fewer images, and smaller ones if `smaller`.
fn reduced(shape: &[i64], smaller: bool) -> Vec<i64> {
    let mut reduced = shape.to_vec();
    if shape.len() < 3 {
        return reduced;
    }
    for (axis, size) in reduced.iter_mut().enumerate() {
        if axis == 0 {
            *size = (*size).min(IMAGES);
        } else if smaller && axis > 1 && shape.len() > 3 && *size > LARGE {
            *size = REDUCED + *size % STEP;
        }
    }
    reduced
}

/// Traces and simplifies the module, and runs it for the self check.
pub(crate) fn start(held: Held<'_>, examples: &Examples, arguments: &Dict, options: &FuseOptions) -> Result<Start> {
    let layouts = examples.layouts();
    let (traced, inputs, reduced) = traced(held.module(), examples, &layouts, arguments, options)?;
    rewrite::check_evaluation(&traced.graph)?;
    let mut check = match options.self_check && options.quantization.is_none() {
        true => Some(Check::new(held.module(), &inputs, arguments)?),
        false => None,
    };
    let owned = matches!(held, Held::Owned(_));
    drop(held);
    let Traced { mut graph, single, sizes } = traced;
    // Memory that is the module's.
    let foreign: HashSet<usize> = graph.constants.values().map(storage).collect();
    let simplified = rewrite::simplify(&mut graph, &Inputs { tensors: &inputs, layouts: &layouts, owned }, true)?;
    for constant in graph.constants.values_mut() {
        *constant = constant.f_contiguous()?;
        if !owned && foreign.contains(&storage(constant)) {
            *constant = sample::copy(constant)?;
        }
    }
    let mut integers = HashMap::new();
    if let Some(quantization) = &options.quantization {
        if !simplified {
            return Err(Error::unsupported(
                "",
                "it has no form in 8 bits: it changes a tensor in place that is read elsewhere",
            ));
        }
        integers = quantize::apply(&mut graph, quantization)?;
        if options.self_check {
            check = Some(Check::of_graph(&graph, &inputs)?);
        }
    }
    let small: Vec<Layout> = inputs.iter().map(Layout::of).collect();
    let traced_shapes = match shapes::infer(&graph, &small) {
        Ok(inferred) if agree(&inferred.shapes, &sizes) => inferred.shapes,
        _ => shapes::run(&graph, &sample::copies(&inputs)?)?,
    };
    let shapes = if reduced { shapes::infer(&graph, &layouts)?.shapes } else { traced_shapes.clone() };
    Ok(Start { graph, single, simplified, check, reduced, integers, traced_shapes, shapes })
}

/// The trace, its inputs, and whether these are smaller than the examples.
fn traced(
    module: &dyn Module,
    examples: &Examples,
    layouts: &[Layout],
    arguments: &Dict,
    options: &FuseOptions,
) -> Result<(Traced, Vec<Tensor>, bool)> {
    let mut candidates = examples.candidates(options.full_size);
    let own = candidates.pop().unwrap_or_default();
    for candidate in candidates {
        let inputs = examples.at(&candidate)?;
        match trace(module, &sample::copies(&inputs)?, arguments) {
            Ok(traced) if tells_all(&traced, &inputs, layouts) => return Ok((traced, inputs, true)),
            Ok(_) => log::debug!("a trace at {candidate:?} may not tell what the module does at its own size"),
            // It may be too small.
            Err(error) => log::debug!("not traced at {candidate:?}: {error}"),
        }
    }
    let inputs = examples.at(&own)?;
    let traced = trace(module, &sample::copies(&inputs)?, arguments)?;
    Ok((traced, inputs, false))
}

/// Whether the module does the same for inputs of these layouts as for the smaller ones that were traced: what it asked has the same
/// answers, and no size is 1 in one case only, which decides about views and broadcasting.
fn tells_all(traced: &Traced, inputs: &[Tensor], layouts: &[Layout]) -> bool {
    let Some(Inferred { shapes: small, .. }) = inferred_as_traced(traced, inputs) else { return false };
    let Ok(Inferred { shapes, .. }) = shapes::infer(&traced.graph, layouts) else { return false };
    traced.graph.other_answer(&shapes).is_none() && are_alike(&small, &shapes)
}

/// What is inferred for the inputs that were traced, if it agrees with what the trace saw.
fn inferred_as_traced(traced: &Traced, inputs: &[Tensor]) -> Option<Inferred> {
    let inferred = match shapes::infer(&traced.graph, &inputs.iter().map(Layout::of).collect::<Vec<_>>()) {
        Ok(inferred) => inferred,
        Err(error) => {
            log::debug!("shapes are not inferred: {error}");
            return None;
        }
    };
    agree(&inferred.shapes, &traced.sizes).then_some(inferred)
}

fn agree(shapes: &Shapes, sizes: &HashMap<ValueId, Vec<i64>>) -> bool {
    shapes.iter().all(|(value, (shape, _))| sizes.get(value).is_none_or(|size| size == shape))
}

fn are_alike(small: &Shapes, large: &Shapes) -> bool {
    small.len() == large.len()
        && small.iter().all(|(value, (shape, kind))| match large.get(value) {
            Some((other, other_kind)) => {
                kind == other_kind
                    && shape.len() == other.len()
                    && shape.iter().zip(other).all(|(size, other)| (*size == 1) == (*other == 1))
            }
            None => false,
        })
}

#[cfg(test)]
mod tests {
    use super::reduced;

    #[test]
    fn a_reduced_size_has_the_same_remainders() {
        assert_eq!(reduced(&[8, 3, 224, 225], true), [2, 3, 64, 65]);
        assert_eq!(reduced(&[1, 3, 1024, 96], true), [1, 3, 64, 96]);
        assert_eq!(reduced(&[8, 3, 224, 225], false), [2, 3, 224, 225]);
        assert_eq!(reduced(&[4, 197, 768], true), [2, 197, 768]);
        assert_eq!(reduced(&[32, 1000], true), [32, 1000]);
    }
}
