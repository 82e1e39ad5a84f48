//! [`State`]: the graph of a fused module, and its programs for the sizes that were used.

use std::collections::HashSet;

use mmcv_layers::{Module, Output};
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::check::{self, Comparison};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Question};
use crate::interpreter::{Interpreter, Timing};
use crate::onednn::Weights;
use crate::options::{FuseOptions, WinogradUse};
use crate::program::Program;
use crate::trace::{Traced, checked_plain, trace};
use crate::{rewrite, sample};

/// The number of input shapes for which what was prepared is kept.
const KEPT: usize = 4;

/// The number of input shapes that are known to have been checked.
const MOST_CHECKED: usize = 1000;

/// What a fused module consists of.
#[derive(Debug)]
pub(crate) struct State {
    graph: Graph,
    /// Whether the graph was simplified; if not, it is run as it is.
    simplified: bool,
    options: FuseOptions,
    examples: Vec<Example>,
    /// Whether the output is one tensor and not a list.
    single: bool,
    weights: Weights,
    /// For each input shape, the last used at the end.
    programs: Vec<(Vec<Vec<i64>>, Program)>,
    /// The input shapes whose programs were compared with the operators run one by one.
    checked: HashSet<Vec<Vec<i64>>>,
    /// What was decided by the self check, for the summary.
    note: Option<String>,
}

/// What an input has to be like.
#[derive(Debug)]
struct Example {
    shape: Vec<i64>,
    kind: Kind,
    device: Device,
}

impl State {
    /// Rewrites `module` for inputs like these.
    pub(crate) fn new(
        module: &dyn Module,
        inputs: &[&Tensor],
        arguments: &Dict,
        options: &FuseOptions,
    ) -> Result<Self> {
        let mut examples = Vec::with_capacity(inputs.len());
        for input in inputs {
            examples.push(example(input)?);
        }
        let inputs = examples;
        let Traced { mut graph, single } = trace(module, &sample::copies(&inputs)?, arguments)?;
        let simplified = rewrite::simplify(&mut graph, &inputs)?;
        for constant in graph.constants.values_mut() {
            *constant = sample::copy(&constant.f_contiguous()?)?;
        }
        let mut state = Self {
            graph,
            simplified,
            options: options.clone(),
            examples: inputs.iter().map(Example::new).collect(),
            single,
            weights: Weights::default(),
            programs: Vec::new(),
            checked: HashSet::new(),
            note: None,
        };
        let (program, _) = state.make(&inputs)?;
        let shapes: Vec<Vec<i64>> = inputs.iter().map(Tensor::size).collect();
        state.programs.push((shapes.clone(), program));
        if options.self_check {
            if let Err(error) = state.check(module, &inputs, arguments) {
                state.leave_winograd(error)?;
                let (program, _) = state.make(&inputs)?;
                state.programs = vec![(shapes.clone(), program)];
                state.check(module, &inputs, arguments)?;
            }
            state.checked.insert(shapes);
        }
        Ok(state)
    }

    /// Lets programs that are made from now on compute convolutions directly, if those of Winograd were chosen without being
    /// asked for and may be why the numbers differ; else returns the error.
    fn leave_winograd(&mut self, error: Error) -> Result<()> {
        if self.options.winograd != WinogradUse::Auto || !matches!(*error.kind, ErrorKind::Differs { .. }) {
            return Err(error);
        }
        self.options.winograd = WinogradUse::Never;
        let note = format!("all convolutions computed directly: with Winograd's algorithm, {error}");
        log::info!("{note}");
        self.note = Some(note);
        Ok(())
    }

    /// What runs the operators for the shapes that were used last.
    pub(crate) fn summary(&self) -> String {
        let mut parts = Vec::new();
        if let Some((_, program)) = self.programs.last() {
            parts.push(program.summary());
        }
        parts.extend(self.note.clone());
        parts.join(", ")
    }

    /// The output for these inputs, which are checked.
    pub(crate) fn run_checked(&mut self, inputs: &[&Tensor]) -> Result<Output> {
        let plain = self.check_inputs(inputs)?;
        let mut outputs = self.run(&either(&plain, inputs))?;
        if self.single && outputs.len() == 1 {
            return Ok(Output::Tensor(outputs.remove(0)));
        }
        Ok(Output::Tensors(outputs))
    }

    pub(crate) fn profile(&mut self, inputs: &[&Tensor]) -> Result<Vec<Timing>> {
        let plain = self.check_inputs(inputs)?;
        let inputs = either(&plain, inputs);
        self.program(&inputs)?.profile(&inputs)
    }

    fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.program(inputs)?.run(inputs)
    }

    /// The program for inputs of these shapes.
    fn program(&mut self, inputs: &[&Tensor]) -> Result<&mut Program> {
        let shapes: Vec<Vec<i64>> = inputs.iter().map(|input| input.size()).collect();
        if let Some(position) = self.programs.iter().position(|(known, _)| *known == shapes) {
            if position + 1 < self.programs.len() {
                let program = self.programs.remove(position);
                self.programs.push(program);
            }
        } else {
            let program = self.prepare(inputs, &shapes)?;
            if self.programs.len() >= KEPT {
                self.programs.remove(0);
            }
            self.programs.push((shapes, program));
        }
        match self.programs.last_mut() {
            Some((_, program)) => Ok(program),
            None => Err(Error::unsupported("", "no program was prepared")),
        }
    }

    /// Returns an error unless the inputs are like the examples except for their sizes. Returns those that have to be used instead
    /// of them, with their elements in memory.
    fn check_inputs(&self, inputs: &[&Tensor]) -> Result<Vec<Option<Tensor>>> {
        if inputs.len() != self.examples.len() {
            return Err(Error::input(format!("{} inputs", self.examples.len()), format!("{} inputs", inputs.len())));
        }
        let mut made = Vec::with_capacity(inputs.len());
        for (example, input) in self.examples.iter().zip(inputs) {
            made.push(checked_plain(input)?);
            example.check(input)?;
        }
        Ok(made)
    }

    /// The program for inputs of new sizes.
    ///
    /// The module need not be there: it would call the same operators, unless something that it asked of sizes has another
    /// answer now.
    fn prepare(&mut self, inputs: &[&Tensor], shapes: &[Vec<i64>]) -> Result<Program> {
        let mut samples = Vec::with_capacity(inputs.len());
        for input in inputs {
            samples.push(sample::like(input, 2)?);
        }
        let (mut program, expected) = self.make(&samples).map_err(|error| self.other_channels(shapes, error))?;
        if self.options.self_check && !self.checked.contains(shapes) {
            let references: Vec<&Tensor> = samples.iter().collect();
            if let Err(error) = self.compare(&program.run(&references)?, &expected, &samples) {
                self.leave_winograd(error)?;
                program = self.make(&samples)?.0;
                self.compare(&program.run(&references)?, &expected, &samples)?;
            }
            if self.checked.len() >= MOST_CHECKED {
                self.checked.clear();
            }
            self.checked.insert(shapes.to_vec());
        }
        Ok(program)
    }

    /// A program for inputs like these, and the outputs of the operators one by one.
    fn make(&mut self, inputs: &[Tensor]) -> Result<(Program, Vec<Tensor>)> {
        let is_example = inputs.iter().zip(&self.examples).all(|(input, example)| input.size() == example.shape);
        // What was asked of inputs is looked at first: then the operators may not even run.
        if !is_example && let Some(question) = self.graph.other_answer_of_inputs(inputs) {
            return Err(self.other_shape(inputs, question));
        }
        let mut interpreter = Interpreter::new(&self.graph)?;
        let copies = sample::copies(inputs)?;
        let (shapes, outputs) = interpreter.shapes(&copies.iter().collect::<Vec<_>>())?;
        if !is_example && let Some(question) = self.graph.other_answer(&shapes) {
            return Err(self.other_shape(inputs, question));
        }
        let device = match inputs.first() {
            Some(input) => input.device(),
            None => Device::Cpu,
        };
        let program = Program::new(&self.graph, self.simplified, (&shapes, device), &self.options, &mut self.weights)?;
        for note in program.notes() {
            log::warn!("{note}");
        }
        Ok((program, outputs))
    }

    fn other_shape(&self, inputs: &[Tensor], question: &Question) -> Error {
        let kind = ErrorKind::Shape {
            expected: self.examples.iter().map(|example| example.shape.clone()).collect(),
            found: inputs.iter().map(Tensor::size).collect(),
        };
        Error::new(&question.module, kind)
    }

    /// The error of inputs that have other channels than the examples, else `error`.
    fn other_channels(&self, shapes: &[Vec<i64>], error: Error) -> Error {
        for (Example { shape: example, .. }, shape) in self.examples.iter().zip(shapes) {
            if let ([_, channels, _, ..], [_, found, _, ..]) = (example.as_slice(), shape.as_slice())
                && channels != found
            {
                let expected = format!("{channels} channels, as in the example of shape {example:?}");
                return Error::input(expected, format!("{found} channels in the input of shape {shape:?}"));
            }
        }
        error
    }

    /// Compares with the module on another input, and on one that is broken.
    fn check(&mut self, module: &dyn Module, examples: &[Tensor], arguments: &Dict) -> Result<()> {
        let mut inputs = Vec::with_capacity(examples.len());
        for example in examples {
            inputs.push(sample::like(example, 3)?);
        }
        let expected = call(module, &inputs, arguments).map_err(ErrorKind::Module)?;
        let found = self.run(&inputs.iter().collect::<Vec<_>>())?;
        self.compare(&found, &expected, &inputs)?;
        // To look at all numbers of each input would make the CPU wait for the GPU.
        if inputs.iter().any(|input| input.device() != Device::Cpu) {
            return Ok(());
        }
        for input in &mut inputs {
            if sample::is_float(input) {
                *input = sample::broken(input)?;
            }
        }
        // A module may refuse what is no number.
        let Ok(expected) = call(module, &inputs, arguments) else { return Ok(()) };
        let found = self.run(&inputs.iter().collect::<Vec<_>>())?;
        check::same_numbers_missing(&found, &expected)
    }

    /// Returns an error that names the first module that differs if the difference is not allowed.
    fn compare(&self, found: &[Tensor], expected: &[Tensor], inputs: &[Tensor]) -> Result<()> {
        let comparison = Comparison::new(found, expected, &self.options)?;
        if comparison.fits() {
            return Ok(());
        }
        let module = check::first_difference(&self.graph, self.simplified, inputs, &self.options)?;
        let kind = match comparison.other {
            Some((found, expected)) => ErrorKind::Output { expected, found },
            None => ErrorKind::Differs { difference: comparison.difference, tolerance: self.options.allowed() },
        };
        Err(Error::new(module, kind))
    }
}

impl Example {
    fn new(input: &Tensor) -> Self {
        Self { shape: input.size(), kind: input.kind(), device: input.device() }
    }

    /// Returns an error unless `input` has the same type, device and number of dimensions.
    fn check(&self, input: &Tensor) -> Result<()> {
        let (kind, device) = (input.kind(), input.device());
        if kind != self.kind || device != self.device {
            let expected = format!("an input of type {:?} on {:?}", self.kind, self.device);
            return Err(Error::input(expected, format!("{kind:?} on {device:?}, of shape {:?}", input.size())));
        }
        if input.dim() != self.shape.len() {
            let expected = format!("{}D input, as in the example of shape {:?}", self.shape.len(), self.shape);
            return Err(Error::input(expected, format!("{}D input {:?}", input.dim(), input.size())));
        }
        Ok(())
    }
}

/// A copy of an example input, with its elements in memory.
fn example(input: &Tensor) -> Result<Tensor> {
    let plain = checked_plain(input)?;
    Ok(sample::copy(&plain.as_ref().unwrap_or(input).f_detach()?)?)
}

/// For each input, what has to be used instead of it, or the input itself.
fn either<'a>(made: &'a [Option<Tensor>], inputs: &[&'a Tensor]) -> Vec<&'a Tensor> {
    made.iter().zip(inputs).map(|(made, input)| made.as_ref().unwrap_or(input)).collect()
}

/// The outputs of the module for copies of the inputs.
fn call(module: &dyn Module, inputs: &[Tensor], arguments: &Dict) -> mmcv_layers::Result<Vec<Tensor>> {
    let copies = sample::copies(inputs)?;
    Ok(module.call(&copies.iter().collect::<Vec<_>>(), arguments)?.into_vec())
}
