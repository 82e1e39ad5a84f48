//! [`State`]: the graph of a fused module, and its programs for the sizes that were used.

use std::collections::HashSet;

use mmcv_layers::Output;
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::check::{self, Check, Comparison};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Question, Shapes};
use crate::interpreter::{Interpreter, Timing};
use crate::onednn::{Packed, Weights};
use crate::options::{FuseOptions, Precision};
use crate::program::Program;
use crate::sample;
use crate::shapes::Layout;
use crate::start::{Examples, Held, Start, start};
use crate::trace::checked_plain;

/// The number of input shapes for which what was prepared is kept.
const KEPT: usize = 4;

/// The number of input shapes that are known to have been checked.
const MOST_CHECKED: usize = 1000;

/// What a fused module consists of.
#[derive(Debug)]
pub(crate) struct State {
    /// Without the constants that are in `packed`.
    graph: Graph,
    packed: Vec<Packed>,
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
}

/// What an input has to be like.
#[derive(Debug)]
struct Example {
    shape: Vec<i64>,
    kind: Kind,
    device: Device,
}

impl State {
    /// Rewrites the module for inputs like these.
    pub(crate) fn new(held: Held<'_>, examples: &Examples, arguments: &Dict, options: &FuseOptions) -> Result<Self> {
        let Start { mut graph, single, simplified, check, reduced, traced_shapes, shapes } =
            start(held, examples, arguments, options)?;
        let layouts = examples.layouts();
        let described = layouts.iter().zip(examples.devices());
        let mut state = Self {
            graph: Graph::default(),
            packed: Vec::new(),
            simplified,
            options: options.clone(),
            examples: described.map(|(layout, device)| Example::new(layout, device)).collect(),
            single,
            weights: Weights::default(),
            programs: Vec::new(),
            checked: HashSet::new(),
        };
        if let (true, Some(check)) = (reduced, &check) {
            let mut program = state.compile(&graph, &traced_shapes)?;
            state.check(&graph, &mut program, check)?;
            state.weights.set_aside();
        }
        let mut program = state.compile(&graph, &shapes)?;
        state.weights.drop_aside();
        program.log_notes();
        if let (false, Some(check)) = (reduced, &check) {
            state.check(&graph, &mut program, check)?;
        }
        state.give_up_plain(&mut program);
        if state.can_give_up() {
            state.packed = state.weights.take(&mut graph);
        }
        state.graph = graph;
        let shapes: Vec<Vec<i64>> = layouts.into_iter().map(|layout| layout.shape).collect();
        if options.self_check {
            state.checked.insert(shapes.clone());
        }
        state.programs.push((shapes, program));
        Ok(state)
    }

    /// Whether plain weights can be made again from those of the kernels: bfloat16 has lost what they have.
    fn can_give_up(&self) -> bool {
        self.options.precision == Precision::F32
    }

    /// Does so for a program that was checked.
    fn give_up_plain(&self, program: &mut Program) {
        if self.can_give_up() {
            program.give_up_plain(&self.weights);
        }
    }

    /// A program for inputs for which the graph's values have these shapes.
    fn compile(&mut self, graph: &Graph, shapes: &Shapes) -> Result<Program> {
        let device = match self.examples.first() {
            Some(example) => example.device,
            None => Device::Cpu,
        };
        Program::new(graph, self.simplified, (shapes, device), &self.options, &mut self.weights)
    }

    /// What runs the operators for the shapes that were used last.
    pub(crate) fn summary(&self) -> String {
        match self.programs.last() {
            Some((_, program)) => program.summary(),
            None => String::new(),
        }
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
        let mut graph = self.graph.clone();
        for packed in &self.packed {
            packed.restore(&mut graph)?;
        }
        let made = self.make(&graph, &samples);
        let (mut program, expected) = made.map_err(|error| self.other_channels(shapes, error))?;
        if self.options.self_check && !self.checked.contains(shapes) {
            let found = program.run(&samples.iter().collect::<Vec<_>>())?;
            self.compare(&graph, &found, &expected, &samples)?;
            if self.checked.len() >= MOST_CHECKED {
                self.checked.clear();
            }
            self.checked.insert(shapes.to_vec());
        }
        self.give_up_plain(&mut program);
        Ok(program)
    }

    /// A program for inputs like these, and the outputs of the operators one by one.
    fn make(&mut self, graph: &Graph, inputs: &[Tensor]) -> Result<(Program, Vec<Tensor>)> {
        let is_example = inputs.iter().zip(&self.examples).all(|(input, example)| input.size() == example.shape);
        // What was asked of inputs is looked at first: then the operators may not even run.
        if !is_example && let Some(question) = self.graph.other_answer_of_inputs(inputs) {
            return Err(self.other_shape(inputs, question));
        }
        let mut interpreter = Interpreter::new(graph)?;
        let copies = sample::copies(inputs)?;
        let (shapes, outputs) = interpreter.shapes(&copies.iter().collect::<Vec<_>>())?;
        if !is_example && let Some(question) = self.graph.other_answer(&shapes) {
            return Err(self.other_shape(inputs, question));
        }
        let program = self.compile(graph, &shapes)?;
        program.log_notes();
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

    /// Compares with the module's outputs.
    fn check(&self, graph: &Graph, program: &mut Program, check: &Check) -> Result<()> {
        let found = program.run(&check.inputs.iter().collect::<Vec<_>>())?;
        self.compare(graph, &found, &check.expected, &check.inputs)?;
        let Some((inputs, expected)) = &check.broken else { return Ok(()) };
        let found = program.run(&inputs.iter().collect::<Vec<_>>())?;
        check::same_numbers_missing(&found, expected)
    }

    /// Returns an error that names the first module that differs if the difference is not allowed.
    fn compare(&self, graph: &Graph, found: &[Tensor], expected: &[Tensor], inputs: &[Tensor]) -> Result<()> {
        let comparison = Comparison::new(found, expected, &self.options)?;
        if comparison.fits() {
            return Ok(());
        }
        let module = check::first_difference(graph, self.simplified, inputs, &self.options)?;
        let kind = match comparison.other {
            Some((found, expected)) => ErrorKind::Output { expected, found },
            None => ErrorKind::Differs { difference: comparison.difference, tolerance: self.options.allowed() },
        };
        Err(Error::new(module, kind))
    }
}

impl Example {
    fn new(layout: &Layout, device: Device) -> Self {
        Self { shape: layout.shape.clone(), kind: layout.kind, device }
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

/// For each input, what has to be used instead of it, or the input itself.
fn either<'a>(made: &'a [Option<Tensor>], inputs: &[&'a Tensor]) -> Vec<&'a Tensor> {
    made.iter().zip(inputs).map(|(made, input)| made.as_ref().unwrap_or(input)).collect()
}
