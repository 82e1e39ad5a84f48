//! How far a fused form is from its module.

use mmcv_layers::Module;
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::error::{ErrorKind, Result};
use crate::graph::Graph;
use crate::interpreter::Interpreter;
use crate::onednn::Weights;
use crate::options::{Allowed, FuseOptions, Measure};
use crate::program::Program;
use crate::sample;

/// A module's outputs, with which those of its fused form are compared.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) inputs: Vec<Tensor>,
    expected: Vec<Tensor>,
    /// Inputs with a NaN and an infinity, and the outputs for them, if they can be compared.
    broken: Option<(Vec<Tensor>, Vec<Tensor>)>,
}

impl Check {
    /// Runs the module on inputs like the examples with other numbers.
    pub(crate) fn new(module: &dyn Module, examples: &[Tensor], arguments: &Dict) -> Result<Self> {
        let inputs = inputs_like(examples)?;
        let expected = call(module, &inputs, arguments).map_err(ErrorKind::Module)?;
        // To look at all numbers of each input would make the CPU wait for the GPU.
        if inputs.iter().any(|input| input.device() != Device::Cpu) {
            return Ok(Self { inputs, expected, broken: None });
        }
        let mut broken = Vec::with_capacity(inputs.len());
        for input in &inputs {
            broken.push(if sample::is_float(input) { sample::broken(input)? } else { input.shallow_clone() });
        }
        // A module may refuse what is no number.
        let broken = call(module, &broken, arguments).ok().map(|outputs| (broken, outputs));
        Ok(Self { inputs, expected, broken })
    }

    /// Runs a graph in place of a module.
    pub(crate) fn of_graph(graph: &Graph, examples: &[Tensor]) -> Result<Self> {
        let inputs = inputs_like(examples)?;
        let expected = Interpreter::new(graph)?.run(&inputs.iter().collect::<Vec<_>>())?;
        Ok(Self { inputs, expected, broken: None })
    }

    /// What the program returns in place of the module's outputs, if that is not allowed.
    pub(crate) fn mismatch(&self, program: &mut Program, allowed: Allowed) -> Result<Option<ErrorKind>> {
        if let Some(mismatch) = mismatch(program, &self.inputs, &self.expected, allowed)? {
            return Ok(Some(mismatch));
        }
        let Some((inputs, expected)) = &self.broken else { return Ok(None) };
        let found = program.run(&inputs.iter().collect::<Vec<_>>())?;
        same_numbers_missing(&found, expected)?;
        Ok(None)
    }
}

/// Inputs like the examples with other numbers.
fn inputs_like(examples: &[Tensor]) -> Result<Vec<Tensor>> {
    let mut inputs = Vec::with_capacity(examples.len());
    for example in examples {
        inputs.push(sample::like(example, 3)?);
    }
    Ok(inputs)
}

/// What the program returns for these inputs in place of what is expected, if that is not allowed.
pub(crate) fn mismatch(
    program: &mut Program,
    inputs: &[Tensor],
    expected: &[Tensor],
    allowed: Allowed,
) -> Result<Option<ErrorKind>> {
    let found = program.run(&inputs.iter().collect::<Vec<_>>())?;
    let comparison = Comparison::new(&found, expected, allowed)?;
    if comparison.fits() {
        return Ok(None);
    }
    Ok(Some(match comparison.other {
        Some((found, expected)) => ErrorKind::Output { expected, found },
        None => ErrorKind::Differs { difference: comparison.difference, tolerance: allowed.share },
    }))
}

/// The outputs of the module for copies of the inputs.
fn call(module: &dyn Module, inputs: &[Tensor], arguments: &Dict) -> mmcv_layers::Result<Vec<Tensor>> {
    let copies = sample::copies(inputs)?;
    Ok(module.call(&copies.iter().collect::<Vec<_>>(), arguments)?.into_vec())
}

/// The difference between outputs.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    /// The largest absolute difference.
    pub(crate) difference: f64,
    /// The largest difference as a share of what is allowed.
    share: f64,
    /// What was found and what was expected, if that cannot be compared number by number.
    pub(crate) other: Option<(String, String)>,
}

impl Comparison {
    /// Compares `found` with `expected`.
    pub(crate) fn new(found: &[Tensor], expected: &[Tensor], allowed: Allowed) -> Result<Self> {
        let mut comparison = Self { difference: 0.0, share: 0.0, other: None };
        if found.len() != expected.len() {
            comparison.other = Some((format!("{} outputs", found.len()), format!("{}", expected.len())));
        }
        for (found, expected) in found.iter().zip(expected) {
            if found.size() != expected.size() || found.kind() != expected.kind() {
                comparison.other = Some((describe(found), describe(expected)));
            } else if expected.numel() > 0 {
                comparison.add(found, expected, allowed)?;
            }
        }
        Ok(comparison)
    }

    fn add(&mut self, found: &Tensor, expected: &Tensor, allowed: Allowed) -> Result<()> {
        let expected = expected.f_to_kind(Kind::Double)?;
        let found = found.f_to_kind(Kind::Double)?;
        let difference = found.f_sub(&expected)?.f_abs()?;
        // If the module returns an infinity or no number, the fused form has to return the same.
        let same = found.f_isclose(&expected, 0.0, 0.0, true)?;
        let difference = difference.f_masked_fill(&same, 0.0)?.f_nan_to_num(f64::INFINITY, None, None)?;
        let size = expected.f_abs()?.f_nan_to_num(0.0, 0.0, 0.0)?;
        let (measured, of) = match allowed.of {
            Measure::Each => (difference.shallow_clone(), size.f_add(&size.f_max()?.f_clamp_min(1.0)?)?),
            Measure::Largest => (difference.shallow_clone(), size.f_max()?),
            Measure::Quadratic => (mean_square(&difference)?.f_sqrt()?, mean_square(&size)?.f_sqrt()?),
        };
        let share = measured.f_div(&of.f_add_scalar(f64::MIN_POSITIVE)?)?.f_max()?.f_double_value(&[])? / allowed.share;
        self.difference = self.difference.max(difference.f_max()?.f_double_value(&[])?);
        self.share = if share.is_nan() { f64::INFINITY } else { self.share.max(share) };
        Ok(())
    }

    /// Whether the difference is allowed.
    pub(crate) fn fits(&self) -> bool {
        self.share <= 1.0 && self.other.is_none()
    }
}

fn mean_square(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_square()?.f_mean(Kind::Double)?)
}

fn describe(tensor: &Tensor) -> String {
    format!("{:?} of type {:?}", tensor.size(), tensor.kind())
}

/// Returns an error unless both are infinite, or no numbers, in the same places.
fn same_numbers_missing(found: &[Tensor], expected: &[Tensor]) -> Result<()> {
    for (found, expected) in found.iter().zip(expected) {
        let (found, expected) = (found.f_isfinite()?, expected.f_isfinite()?);
        if !found.f_equal(&expected)? {
            let kind = ErrorKind::Output { expected: finite_numbers(&expected)?, found: finite_numbers(&found)? };
            return Err(kind.into());
        }
    }
    Ok(())
}

fn finite_numbers(is_finite: &Tensor) -> Result<String> {
    let numbers = is_finite.f_sum(Kind::Int64)?.f_int64_value(&[])?;
    Ok(format!("{numbers} of {} numbers, for an input with a NaN and an infinity,", is_finite.numel()))
}

/// The module after which the fused form first differs from the operators run one by one.
pub(crate) fn first_difference(
    graph: &Graph,
    simplified: bool,
    inputs: &[Tensor],
    (options, allowed): (&FuseOptions, Allowed),
) -> Result<String> {
    let references: Vec<&Tensor> = inputs.iter().collect();
    let device = match inputs.first() {
        Some(input) => input.device(),
        None => Device::Cpu,
    };
    let (shapes, _) = Interpreter::new(graph)?.shapes(&references)?;
    let values = Interpreter::new(graph)?.run_all(&references)?;
    for node in &graph.nodes {
        for output in &node.outputs {
            let mut part = graph.clone();
            part.outputs = vec![*output];
            part.sweep();
            let mut program = Program::new(&part, simplified, (&shapes, device), options, &mut Weights::default())?;
            let found = program.run(&references)?;
            let expected = values.get(output).map(Tensor::shallow_clone);
            if !Comparison::new(&found, expected.as_slice(), allowed)?.fits() {
                return Ok(node.module.clone());
            }
        }
    }
    Ok(String::new())
}
