//! [`State`]: the graph of a fused module, and its programs for the sizes that were used.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mmcv_layers::Output;
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::check::{self, Check};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Graph, Question, Shapes};
use crate::interpreter::{Interpreter, Timing};
use crate::onednn::{Packed, Weights};
use crate::options::{Allowed, FuseOptions, Precision, WinogradUse};
use crate::program::Program;
use crate::sample;
use crate::shapes::{self, Layout};
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
    /// Without the quantization, which the graph has.
    options: FuseOptions,
    allowed: Allowed,
    examples: Vec<Example>,
    /// Whether the output is one tensor and not a list.
    single: bool,
    /// Shared by all streams.
    weights: Arc<Mutex<Weights>>,
    /// For each input shape, the last used at the end.
    programs: Vec<(Vec<Vec<i64>>, Program)>,
    /// The input shapes whose programs were compared with the operators run one by one.
    checked: HashSet<Vec<Vec<i64>>>,
    /// What was decided by the self check, for the summary.
    note: Option<String>,
}

/// What an input has to be like.
#[derive(Debug, Clone)]
struct Example {
    shape: Vec<i64>,
    kind: Kind,
    device: Device,
}

impl State {
    /// Rewrites the module for inputs like these.
    pub(crate) fn new(held: Held<'_>, examples: &Examples, arguments: &Dict, options: &FuseOptions) -> Result<Self> {
        let mut start = start(held, examples, arguments, options)?;
        let layouts = examples.layouts();
        let described = layouts.iter().zip(examples.devices());
        let mut state = Self {
            graph: Graph::default(),
            packed: Vec::new(),
            simplified: start.simplified,
            options: options.clone(),
            allowed: options.allowed(),
            examples: described.map(|(layout, device)| Example::new(layout, device)).collect(),
            single: start.single,
            weights: Arc::default(),
            programs: Vec::new(),
            checked: HashSet::new(),
            note: None,
        };
        // What it says is in the graph now.
        state.options.quantization = None;
        state.weights().use_integers(&start.integers);
        let mut program = state.first_program(&start)?;
        program.log_notes();
        state.give_up_plain(&mut program);
        if state.can_give_up() {
            let packed = state.weights().take(&mut start.graph);
            state.packed = packed;
        }
        state.graph = start.graph;
        let shapes: Vec<Vec<i64>> = layouts.into_iter().map(|layout| layout.shape).collect();
        if options.self_check {
            state.checked.insert(shapes.clone());
        }
        state.programs.push((shapes, program));
        Ok(state)
    }

    /// The program for the example, which passed the self check.
    fn first_program(&mut self, start: &Start) -> Result<Program> {
        match &start.check {
            None => self.compile(&start.graph, &start.shapes),
            Some(check) => self.compile_checked(&start.graph, &start.shapes, &check.inputs, |state, program| {
                state.mismatch(start, program, check)
            }),
        }
    }

    /// What the program returns in place of the module's outputs; for inputs that were traced at a smaller size, what another program
    /// with the same convolutions returns.
    fn mismatch(&self, start: &Start, program: &mut Program, check: &Check) -> Result<Option<ErrorKind>> {
        if !start.reduced {
            return check.mismatch(program, self.allowed);
        }
        let mut weights = self.weights().for_trial();
        let mut trial = self.compile_with(&start.graph, &start.traced_shapes, &mut weights)?;
        check.mismatch(&mut trial, self.allowed)
    }

    /// Whether plain weights can be made again from those of the kernels: bfloat16 has lost what they have.
    fn can_give_up(&self) -> bool {
        self.options.precision == Precision::F32
    }

    /// Does so for a program that was checked.
    fn give_up_plain(&self, program: &mut Program) {
        if self.can_give_up() {
            program.give_up_plain(&self.weights());
        }
    }

    /// A program for inputs for which the graph's values have these shapes.
    fn compile(&self, graph: &Graph, shapes: &Shapes) -> Result<Program> {
        self.compile_with(graph, shapes, &mut self.weights())
    }

    fn compile_with(&self, graph: &Graph, shapes: &Shapes, weights: &mut Weights) -> Result<Program> {
        let device = match self.examples.first() {
            Some(example) => example.device,
            None => Device::Cpu,
        };
        Program::new(graph, self.simplified, (shapes, device), &self.options, weights)
    }

    /// A program for which `mismatch` finds nothing, computed directly if Winograd's algorithm is why it found something.
    fn compile_checked(
        &mut self,
        graph: &Graph,
        shapes: &Shapes,
        inputs: &[Tensor],
        mismatch: impl Fn(&Self, &mut Program) -> Result<Option<ErrorKind>>,
    ) -> Result<Program> {
        loop {
            let mut program = self.compile(graph, shapes)?;
            let Some(mismatch) = mismatch(self, &mut program)? else { return Ok(program) };
            // Only once: then there is no such convolution any more.
            if !self.leave_winograd(&mismatch) {
                return Err(self.error(graph, inputs, mismatch));
            }
        }
    }

    /// Lets programs that are made from now on compute convolutions directly, if those of Winograd were chosen without being
    /// asked for and may be why the numbers differ; returns whether this is so.
    fn leave_winograd(&mut self, mismatch: &ErrorKind) -> bool {
        let is_choice = self.options.winograd == WinogradUse::Auto && self.weights().has_transformed();
        if !is_choice || !matches!(mismatch, ErrorKind::Differs { .. }) {
            return false;
        }
        self.options.winograd = WinogradUse::Never;
        self.weights().drop_transformed();
        let note = format!("all convolutions computed directly: with Winograd's algorithm, {mismatch}");
        log::info!("{note}");
        self.note = Some(note);
        true
    }

    /// The error of a program that returns other outputs, with the first module that differs.
    fn error(&self, graph: &Graph, inputs: &[Tensor], mismatch: ErrorKind) -> Error {
        match check::first_difference(graph, self.simplified, inputs, (&self.options, self.allowed)) {
            Ok(module) => Error::new(module, mismatch),
            Err(error) => error,
        }
    }

    /// The same with no programs yet, for another thread. The weights are shared.
    pub(crate) fn stream(&self) -> Self {
        Self {
            graph: self.graph.clone(),
            packed: self.packed.iter().map(Packed::shallow_clone).collect(),
            simplified: self.simplified,
            options: self.options.clone(),
            allowed: self.allowed,
            examples: self.examples.clone(),
            single: self.single,
            weights: self.weights.clone(),
            programs: Vec::new(),
            checked: self.checked.clone(),
            note: self.note.clone(),
        }
    }

    fn weights(&self) -> MutexGuard<'_, Weights> {
        self.weights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the program for inputs like the example.
    pub(crate) fn prepare_example(&mut self) -> Result<()> {
        let mut inputs = Vec::with_capacity(self.examples.len());
        for Example { shape, kind, device } in &self.examples {
            inputs.push(Tensor::f_empty(shape, (*kind, *device))?);
        }
        self.program(&inputs.iter().collect::<Vec<_>>())?;
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
        let mut program = self.make(inputs, shapes).map_err(|error| self.other_channels(shapes, error))?;
        program.log_notes();
        if self.checked.len() >= MOST_CHECKED {
            self.checked.clear();
        }
        self.checked.insert(shapes.to_vec());
        self.give_up_plain(&mut program);
        Ok(program)
    }

    fn make(&mut self, inputs: &[&Tensor], shapes: &[Vec<i64>]) -> Result<Program> {
        // What the module asked of its inputs is looked at first: if it has another answer, the operators may not even run.
        self.check_questions(inputs, self.graph.other_answer_of_inputs(inputs))?;
        let mut graph = self.graph.clone();
        for packed in &self.packed {
            packed.restore(&mut graph)?;
        }
        if self.options.self_check && !self.checked.contains(shapes) {
            return self.make_checked(&graph, inputs);
        }
        let layouts: Vec<Layout> = inputs.iter().map(|input| Layout::of(input)).collect();
        let shapes = match shapes::infer(&graph, &layouts) {
            Ok(inferred) => inferred.shapes,
            Err(error) => {
                log::debug!("the shapes are not inferred: {error}");
                shapes::run(&graph, &samples(inputs)?)?
            }
        };
        self.check_questions(inputs, self.graph.other_answer(&shapes))?;
        self.compile(&graph, &shapes)
    }

    /// A program for inputs like these whose outputs are those of the operators one by one.
    fn make_checked(&mut self, graph: &Graph, inputs: &[&Tensor]) -> Result<Program> {
        let samples = samples(inputs)?;
        let copies = sample::copies(&samples)?;
        let (shapes, expected) = Interpreter::new(graph)?.shapes(&copies.iter().collect::<Vec<_>>())?;
        self.check_questions(inputs, self.graph.other_answer(&shapes))?;
        self.compile_checked(graph, &shapes, &samples, |state, program| {
            check::mismatch(program, &samples, &expected, state.allowed)
        })
    }

    /// Returns an error if what the module asked has another answer now, unless these are like the example.
    fn check_questions(&self, inputs: &[&Tensor], question: Option<&Question>) -> Result<()> {
        let is_example = inputs.iter().zip(&self.examples).all(|(input, example)| input.size() == example.shape);
        match question {
            Some(question) if !is_example => Err(self.other_shape(inputs, question)),
            _ => Ok(()),
        }
    }

    fn other_shape(&self, inputs: &[&Tensor], question: &Question) -> Error {
        let kind = ErrorKind::Shape {
            expected: self.examples.iter().map(|example| example.shape.clone()).collect(),
            found: inputs.iter().map(|input| input.size()).collect(),
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

/// Inputs like these, of other numbers.
fn samples(inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let mut samples = Vec::with_capacity(inputs.len());
    for input in inputs {
        samples.push(sample::like(input, 2)?);
    }
    Ok(samples)
}
