//! [`fuse`] and what it gives, [`Fused`].

use std::any::Any;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mmcv_layers::{Module, ModuleExt, Output, no_options};
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::check::{self, Comparison};
use crate::error::{Error, Result};
use crate::ffi::plain;
use crate::graph::{Graph, Question};
use crate::interpreter::{Interpreter, Timing};
use crate::onednn::Weights;
use crate::options::FuseOptions;
use crate::program::Program;
use crate::trace::{Traced, trace};
use crate::{rewrite, sample};

/// The number of input shapes for which what was prepared is kept.
const KEPT: usize = 4;

/// The number of input shapes that are known to have been checked.
const MOST_CHECKED: usize = 1000;

/// A module rewritten for inference: the same numbers, faster.
///
/// It has copies of what it needs, so later changes of the module have no effect. It holds for evaluation only; no
/// gradients flow through it. It can be shared between threads, which then take turns.
///
/// Shapes: as of the module. The number of dimensions is that of the example. Other sizes work where the module calls the same
/// operators for them: what its forward pass asked of sizes (`Tensor::size`, or less by `mmcv_layers::observe::of_size`) has the
/// same answer. Otherwise they are an error that names the module which asked. What a size needs is prepared at its first use,
/// and compared with the operators run one by one.
///
/// Inputs with infinities, without numbers (NaN), or with numbers of 2^63 or more give what the module gives, at its speed, on
/// the CPU; see `docs/performance.md` for what is different where numbers overflow inside.
#[derive(Debug, Clone)]
pub struct Fused {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    graph: Graph,
    /// Whether the graph was simplified; if not, it is run as it is.
    simplified: bool,
    options: FuseOptions,
    examples: Vec<Example>,
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

/// Rewrites `module`, which takes one tensor of the shape `example_shape`, in evaluation mode (`train(false)`).
///
/// Batch norms become part of the convolutions before them, what depends on weights alone is computed once, activations and
/// shortcuts are done by the convolutions, weights are laid out as the kernels want them. What is not known stays as it
/// is. The module is not changed. Fusing what is fused already gives it again.
///
/// ```no_run
/// use mmcv_bricks::conv_module;
/// use mmcv_fuse::{FuseOptions, fuse};
/// use mmcv_layers::Module;
/// use mmcv_registry::dict;
///
/// let module = conv_module(3, 8, 3, dict! { norm_cfg: { type: "BN" } })?;
/// module.train(false);
/// let fused = fuse(&module, &[1, 3, 32, 32], &FuseOptions::default())?;
/// let output = fused.forward(&tch::Tensor::randn([1, 3, 32, 32], tch::kind::FLOAT_CPU))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Where a size is not positive, or there is no memory for the example; where the module does not run on it, is in training mode,
/// draws random numbers or decides by values; where the self check finds that the numbers are not the same: the error names
/// the first module that differs.
pub fn fuse(module: &dyn Module, example_shape: &[i64], options: &FuseOptions) -> Result<Fused> {
    let state = module.state_dict();
    let weight = state.iter().map(|(_, tensor)| tensor).find(|tensor| is_float(tensor));
    let (kind, device) = weight.map_or((Kind::Float, Device::Cpu), |weight| (weight.kind(), weight.device()));
    sample::check_size(example_shape, 1)?;
    let input = sample::normal(example_shape, 1, kind, device)?;
    fuse_call(module, &[&input], &Dict::new(), options)
}

/// As [`fuse`], for a module with any number of inputs, of which examples are given, and for options of its forward pass,
/// which the rewritten form then always has.
///
/// # Errors
/// As [`fuse`].
pub fn fuse_call(module: &dyn Module, inputs: &[&Tensor], arguments: &Dict, options: &FuseOptions) -> Result<Fused> {
    if let Some(fused) = (module as &dyn Any).downcast_ref::<Fused>() {
        return Ok(fused.clone());
    }
    let _guard = tch::no_grad_guard();
    let inputs: Vec<Tensor> = inputs.iter().map(|input| example(input)).collect::<Result<_>>()?;
    let Traced { mut graph, single } = trace(module, &copies(&inputs)?, arguments)?;
    let simplified = rewrite::simplify(&mut graph, &inputs)?;
    for constant in graph.constants.values_mut() {
        *constant = sample::copy(&constant.f_contiguous()?)?;
    }
    let examples =
        inputs.iter().map(|input| Example { shape: input.size(), kind: input.kind(), device: input.device() });
    let mut state = State {
        graph,
        simplified,
        options: options.clone(),
        examples: examples.collect(),
        single,
        weights: Weights::default(),
        programs: Vec::new(),
        checked: HashSet::new(),
    };
    let (program, _) = state.made(&inputs)?;
    let shapes: Vec<Vec<i64>> = inputs.iter().map(Tensor::size).collect();
    state.programs.push((shapes.clone(), program));
    if options.self_check {
        state.check(module, &inputs, arguments)?;
        state.checked.insert(shapes);
    }
    Ok(Fused { state: Arc::new(Mutex::new(state)) })
}

/// A copy of an example input, with its elements in memory.
fn example(input: &Tensor) -> Result<Tensor> {
    let made = plain(input)?;
    let input = made.as_ref().unwrap_or(input);
    Ok(sample::copy(&input.f_detach()?)?)
}

fn copies(inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    inputs.iter().map(|input| Ok(sample::copy(input)?)).collect()
}

fn is_float(tensor: &Tensor) -> bool {
    matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)
}

impl State {
    /// The outputs for `inputs`.
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
        let program = self.programs.last_mut().map(|(_, program)| program);
        program.ok_or_else(|| Error::unsupported("", "no program was prepared"))
    }

    /// The inputs with their elements in memory, where they are like the examples but for their sizes.
    fn checked_inputs(&self, inputs: &[&Tensor]) -> Result<Vec<Option<Tensor>>> {
        if inputs.len() != self.examples.len() {
            return Err(Error::input(format!("{} inputs", self.examples.len()), format!("{} inputs", inputs.len())));
        }
        let mut made = Vec::with_capacity(inputs.len());
        for (example, input) in self.examples.iter().zip(inputs) {
            made.push(plain(input)?);
            let (kind, device) = (input.kind(), input.device());
            if kind != example.kind || device != example.device {
                let expected = format!("an input of type {:?} on {:?}", example.kind, example.device);
                return Err(Error::input(expected, format!("{kind:?} on {device:?}, of shape {:?}", input.size())));
            }
            if input.dim() != example.shape.len() {
                let expected =
                    format!("{}D input, as in the example of shape {:?}", example.shape.len(), example.shape);
                return Err(Error::input(expected, format!("{}D input {:?}", input.dim(), input.size())));
            }
        }
        Ok(made)
    }

    /// The program for inputs of other sizes than those that are known.
    ///
    /// The module need not be there: it would call the same operators, unless something that it asked of sizes has another
    /// answer now.
    fn prepare(&mut self, inputs: &[&Tensor], shapes: &[Vec<i64>]) -> Result<Program> {
        let mut samples = Vec::with_capacity(inputs.len());
        for input in inputs {
            samples.push(self.sample(input, 2)?);
        }
        let (mut program, expected) = self.made(&samples).map_err(|error| self.other_channels(shapes, error))?;
        if self.options.self_check && !self.checked.contains(shapes) {
            let found = program.run(&samples.iter().collect::<Vec<_>>())?;
            self.compare(&found, &expected, &samples)?;
            if self.checked.len() >= MOST_CHECKED {
                self.checked.clear();
            }
            self.checked.insert(shapes.to_vec());
        }
        Ok(program)
    }

    /// A program for inputs like these, and what the operators one by one give for them.
    fn made(&mut self, inputs: &[Tensor]) -> Result<(Program, Vec<Tensor>)> {
        let traced = inputs.iter().zip(&self.examples).all(|(input, example)| input.size() == example.shape);
        // What was asked of inputs is looked at first: then the operators may not even run.
        if let Some(question) = self.graph.other_answer_of_inputs(inputs).filter(|_| !traced) {
            return Err(self.other_shape(inputs, question));
        }
        let mut interpreter = Interpreter::new(&self.graph)?;
        let (shapes, outputs) = interpreter.shapes(&copies(inputs)?.iter().collect::<Vec<_>>())?;
        if let Some(question) = self.graph.other_answer(&shapes).filter(|_| !traced) {
            return Err(self.other_shape(inputs, question));
        }
        let device = inputs.first().map_or(Device::Cpu, Tensor::device);
        let program = Program::new(&self.graph, self.simplified, (&shapes, device), &self.options, &mut self.weights)?;
        Ok((program, outputs))
    }

    fn other_shape(&self, inputs: &[Tensor], question: &Question) -> Error {
        Error::Shape {
            expected: self.examples.iter().map(|example| example.shape.clone()).collect(),
            found: inputs.iter().map(Tensor::size).collect(),
            module: question.module.clone(),
        }
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

    /// Other numbers for an input, where it has numbers that are not counted.
    fn sample(&self, input: &Tensor, seed: u64) -> Result<Tensor> {
        if is_float(input) {
            return sample::normal(&input.size(), seed, input.kind(), input.device());
        }
        Ok(sample::copy(input)?)
    }

    /// Compares with the module on another input, and on one that is broken.
    fn check(&mut self, module: &dyn Module, examples: &[Tensor], arguments: &Dict) -> Result<()> {
        let inputs: Vec<Tensor> = examples.iter().map(|input| self.sample(input, 3)).collect::<Result<_>>()?;
        let expected = call(module, &inputs, arguments).map_err(Error::Module)?;
        let found = self.run(&inputs.iter().collect::<Vec<_>>())?;
        self.compare(&found, &expected, &inputs)?;
        // To look at all numbers of each input would make the CPU wait for the GPU.
        if inputs.iter().any(|input| input.device() != Device::Cpu) {
            return Ok(());
        }
        let mut broken = Vec::with_capacity(inputs.len());
        for input in inputs {
            broken.push(if is_float(&input) { sample::broken(&input)? } else { input });
        }
        // A module may refuse what is no number.
        let Ok(expected) = call(module, &broken, arguments) else { return Ok(()) };
        let found = self.run(&broken.iter().collect::<Vec<_>>())?;
        check::same_numbers_missing(&found, &expected)
    }

    fn compare(&self, found: &[Tensor], expected: &[Tensor], inputs: &[Tensor]) -> Result<()> {
        let comparison = Comparison::of(found, expected, &self.options)?;
        if comparison.fits() {
            return Ok(());
        }
        let module = check::first_difference(&self.graph, self.simplified, inputs, &self.options)?;
        if let Some((found, expected)) = comparison.other {
            return Err(Error::Output { module, expected, found });
        }
        Err(Error::Differs { module, difference: comparison.difference, tolerance: self.options.allowed() })
    }
}

/// What the module gives for copies of the inputs.
fn call(module: &dyn Module, inputs: &[Tensor], arguments: &Dict) -> mmcv_layers::Result<Vec<Tensor>> {
    let copies: Vec<Tensor> = inputs.iter().map(sample::copy).collect::<Result<_, _>>()?;
    Ok(module.call(&copies.iter().collect::<Vec<_>>(), arguments)?.into_vec())
}

impl Fused {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs the operators: how many of them, and where.
    #[must_use]
    pub fn summary(&self) -> String {
        self.state().programs.last().map(|(_, program)| program.summary()).unwrap_or_default()
    }

    /// What each operator takes for these inputs, in order, in one run.
    ///
    /// # Errors
    /// As of the forward pass.
    pub fn profile(&self, inputs: &[&Tensor]) -> Result<Vec<Timing>> {
        let _guard = tch::no_grad_guard();
        let mut state = self.state();
        let made = state.checked_inputs(inputs)?;
        let inputs = either(&made, inputs);
        state.program(&inputs)?.profile(&inputs)
    }

    /// The outputs for these inputs, in a list.
    fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        let mut state = self.state();
        let made = state.checked_inputs(inputs)?;
        state.run(&either(&made, inputs))
    }
}

/// What was made of the inputs, or they themselves.
fn either<'a>(made: &'a [Option<Tensor>], inputs: &[&'a Tensor]) -> Vec<&'a Tensor> {
    made.iter().zip(inputs).map(|(made, input)| made.as_ref().unwrap_or(input)).collect()
}

impl Module for Fused {
    fn class(&self) -> &'static [&'static str] {
        &["Fused", "Module"]
    }

    fn forward(&self, input: &Tensor) -> mmcv_layers::Result<Tensor> {
        self.call(&[input], &Dict::new())?.single()
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> mmcv_layers::Result<Output> {
        no_options(self.name(), options)?;
        let mut outputs = self.run(inputs)?;
        Ok(match (self.state().single, outputs.len()) {
            (true, 1) => Output::Tensor(outputs.remove(0)),
            _ => Output::Tensors(outputs),
        })
    }
}
