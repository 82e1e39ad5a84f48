//! [`fuse`] and what it gives, [`Fused`].

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mmcv_layers::{Module, ModuleExt, Output, no_options};
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::check::{self, Comparison};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::interpreter::Timing;
use crate::onednn::Weights;
use crate::options::FuseOptions;
use crate::program::Program;
use crate::trace::{Traced, trace};
use crate::{rewrite, sample};

/// The number of input shapes for which what was prepared is kept.
const KEPT: usize = 4;

/// A module rewritten for inference: the same numbers, faster.
///
/// It has copies of what it needs, so later changes of the module have no effect. It holds for evaluation only; no
/// gradients flow through it. It can be shared between threads, which then take turns.
///
/// Shapes: as of the module. The number of dimensions is that of the example; other sizes work where the module's forward
/// pass does not depend on them, and what they need is prepared at their first use.
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
    shapes: Vec<Vec<i64>>,
    sizes: Sizes,
    single: bool,
    weights: Weights,
    /// For each input shape, the last used at the end.
    programs: Vec<(Vec<Vec<i64>>, Program)>,
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
/// Where the module does not run on the example, is in training mode or draws random numbers, or the self check finds that
/// the numbers are not the same: the error names the first module that differs.
pub fn fuse(module: &dyn Module, example_shape: &[i64], options: &FuseOptions) -> Result<Fused> {
    let state = module.state_dict();
    let weight = state.iter().map(|(_, tensor)| tensor).find(|tensor| is_float(tensor));
    let (kind, device) = weight.map_or((Kind::Float, Device::Cpu), |weight| (weight.kind(), weight.device()));
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
    let copies: Vec<Tensor> = inputs.iter().map(|input| input.detach().copy()).collect();
    let Traced { mut graph, single } = trace(module, &copies, arguments)?;
    let copies: Vec<Tensor> = inputs.iter().map(|input| input.detach().copy()).collect();
    let sizes = Sizes::of(module, &copies, arguments, &graph);
    let simplified = rewrite::simplify(&mut graph, &copies)?;
    for constant in graph.constants.values_mut() {
        *constant = constant.f_contiguous()?.copy();
    }
    let shapes: Vec<Vec<i64>> = copies.iter().map(Tensor::size).collect();
    let mut state = State {
        graph,
        simplified,
        options: options.clone(),
        shapes,
        sizes,
        single,
        weights: Weights::default(),
        programs: Vec::new(),
    };
    let program = Program::new(&state.graph, simplified, &copies, options, &mut state.weights)?;
    state.programs.push((state.shapes.clone(), program));
    if options.self_check {
        state.check(module, &copies, arguments)?;
    }
    Ok(Fused { state: Arc::new(Mutex::new(state)) })
}

/// Which sizes other than those of the example are known to give the same operators.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Other numbers of images: of the first axis.
    batch: bool,
    /// Other heights and widths: of the axes after the second.
    spatial: bool,
}

impl Sizes {
    /// Tries an input with one more image, and a larger one. What does not run is not known.
    fn of(module: &dyn Module, inputs: &[Tensor], arguments: &Dict, graph: &Graph) -> Self {
        let same = |change: &dyn Fn(usize, i64) -> i64| -> Option<bool> {
            let inputs = inputs.iter().map(|input| {
                let sizes = input.size().into_iter().enumerate();
                let shape: Vec<i64> = sizes.map(|(axis, size)| change(axis, size)).collect();
                sample::normal(&shape, 2, input.kind(), input.device())
            });
            let other = trace(module, &inputs.collect::<Result<Vec<_>>>().ok()?, arguments).ok()?;
            Some(other.graph.same_as(graph))
        };
        // A small map is doubled at most: attention takes memory with the square of its elements.
        let larger = |size: i64| size + size.clamp(1, 32);
        Self {
            batch: same(&|axis, size| if axis == 0 { size + 1 } else { size }) == Some(true),
            spatial: same(&|axis, size| if axis >= 2 { larger(size) } else { size }) == Some(true),
        }
    }

    /// Whether inputs of these shapes are known to give the same operators as the example's.
    fn allow(self, example: &[Vec<i64>], shapes: &[Vec<i64>]) -> bool {
        let sizes =
            |shape: &[i64]| (shape.first().copied(), shape.get(1).copied(), shape.get(2..).map(<[i64]>::to_vec));
        example.iter().zip(shapes).all(|(example, shape)| {
            let ((batch, channels, spatial), (other_batch, other_channels, other_spatial)) =
                (sizes(example), sizes(shape));
            (self.batch || batch == other_batch)
                && channels == other_channels
                && (self.spatial || spatial == other_spatial)
        })
    }
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
            self.prepare(inputs, shapes)?;
        }
        let program = self.programs.last_mut().map(|(_, program)| program);
        program.ok_or_else(|| Error::unsupported("", "no program was prepared"))
    }

    fn prepare(&mut self, inputs: &[&Tensor], shapes: Vec<Vec<i64>>) -> Result<()> {
        let ranks = |shapes: &[Vec<i64>]| shapes.iter().map(Vec::len).collect::<Vec<_>>();
        if ranks(&shapes) != ranks(&self.shapes) {
            let wanted = format!("{} inputs with {:?} dimensions", self.shapes.len(), ranks(&self.shapes));
            return Err(Error::input(wanted, format!("{shapes:?}")));
        }
        if !self.sizes.allow(&self.shapes, &shapes) {
            return Err(Error::Shape { expected: self.shapes.clone(), found: shapes });
        }
        let inputs: Vec<Tensor> = inputs.iter().map(|input| input.copy()).collect();
        let program = Program::new(&self.graph, self.simplified, &inputs, &self.options, &mut self.weights)?;
        if self.programs.len() >= KEPT {
            self.programs.remove(0);
        }
        self.programs.push((shapes, program));
        Ok(())
    }

    /// Compares with the module on another input.
    fn check(&mut self, module: &dyn Module, examples: &[Tensor], arguments: &Dict) -> Result<()> {
        let other = examples.iter().map(|input| {
            if is_float(input) {
                sample::normal(&input.size(), 3, input.kind(), input.device())
            } else {
                Ok(input.copy())
            }
        });
        let inputs: Vec<Tensor> = other.collect::<Result<_>>()?;
        let copies: Vec<Tensor> = inputs.iter().map(Tensor::copy).collect();
        let expected = module.call(&copies.iter().collect::<Vec<_>>(), arguments).map_err(Error::Module)?.into_vec();
        let found = self.run(&inputs.iter().collect::<Vec<_>>())?;
        let comparison = Comparison::of(&found, &expected, &self.options)?;
        if comparison.fits() {
            return Ok(());
        }
        let module = check::first_difference(&self.graph, self.simplified, &inputs, &self.options)?;
        Err(Error::Differs { module, difference: comparison.difference, tolerance: self.options.allowed() })
    }
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
        self.state().program(inputs)?.profile(inputs)
    }

    /// The outputs for these inputs, in a list.
    fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        self.state().run(inputs)
    }
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
