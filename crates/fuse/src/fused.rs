//! [`fuse`] and its result, [`Fused`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mmcv_layers::{Forward, Module, Output, no_options};
use mmcv_registry::Dict;
use tch::Tensor;

use crate::error::Result;
use crate::interpreter::Timing;
use crate::options::FuseOptions;
use crate::sample;
use crate::start::{Examples, Held};
use crate::state::State;
use crate::trace::checked_plain;

/// A module rewritten for inference: the same numbers, faster.
///
/// It has copies of what it needs, so later changes of the module have no effect. It is for evaluation only; no
/// gradients flow through it. It can be shared between threads, which then take turns; [`Streams`](crate::Streams) runs several at the
/// same time.
///
/// Shapes: those of the module. The number of dimensions is that of the example. Other sizes work if the module calls the same
/// operators for them: what its forward pass asked of sizes (`Tensor::size`, or less by `mmcv_layers::observe::of_size`) has the
/// same answer. Otherwise they are an error that names the module which asked. What a size needs is prepared at its first use,
/// and compared with the operators run one by one.
///
/// For inputs with infinities, without numbers (NaN), or with numbers of 2^63 or more, the outputs are those of the module, at its
/// speed, on the CPU; `docs/performance.md` explains what is different if numbers overflow inside.
///
/// ```
/// use mmcv_fuse::{FuseOptions, fuse};
/// use mmcv_layers::{Builder, Forward, MODELS, Module};
/// use mmcv_registry::{Config, config};
/// use tch::{Device, Kind, Tensor};
///
/// let conv = config! { type: "Conv2d", in_channels: 3, out_channels: 8, kernel_size: 3 };
/// let network = Builder::new(&MODELS).model(&Config::List(vec![conv, config! { type: "ReLU" }]))?;
/// network.train(false);
/// let fused = fuse(&*network, &[1, 3, 16, 16], &FuseOptions::default())?;
/// let output = fused.forward(&Tensor::zeros([1, 3, 16, 16], (Kind::Float, Device::Cpu)))?;
/// assert_eq!(output.size(), [1, 8, 14, 14]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fused {
    state: Arc<Mutex<State>>,
}

/// Rewrites `module`, which takes one tensor of the shape `example_shape`, in evaluation mode (`train(false)`).
///
/// Batch norms become part of the convolutions before them, what depends on weights alone is computed once, activations and
/// shortcuts are done by the convolutions, weights are laid out for the kernels. What is not known stays as it
/// is. The module is not changed.
///
/// ```no_run
/// use mmcv_bricks::conv_module;
/// use mmcv_fuse::{FuseOptions, fuse};
/// use mmcv_layers::{Forward, Module};
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
/// Returns an error if a size is not positive, or there is no memory for the example; if the module does not run on it, is in
/// training mode, draws random numbers or decides by values; if the self check finds that the numbers are not the same: the error
/// names the first module that differs.
pub fn fuse(module: &dyn Module, example_shape: &[i64], options: &FuseOptions) -> Result<Fused> {
    fuse_held(Held::Borrowed(module), example_shape, options)
}

/// [`fuse`] for a module that is not needed any more: it takes less memory and time, because its weights are changed in place and
/// not copied. Tensors that share their memory change too.
///
/// # Errors
/// As for [`fuse`].
pub fn fuse_owned(module: Box<dyn Module>, example_shape: &[i64], options: &FuseOptions) -> Result<Fused> {
    fuse_held(Held::Owned(module), example_shape, options)
}

fn fuse_held(held: Held<'_>, example_shape: &[i64], options: &FuseOptions) -> Result<Fused> {
    let (kind, device) = sample::kind_and_device(held.module());
    sample::check_size(example_shape, 1)?;
    fused(held, &Examples::Drawn { shape: example_shape.to_vec(), kind, device }, &Dict::new(), options)
}

/// Like [`fuse`], for a module with any number of inputs, of which `inputs` are examples, and for options of its forward pass,
/// which the rewritten form then always has.
///
/// # Errors
/// As for [`fuse`].
pub fn fuse_call(module: &dyn Module, inputs: &[&Tensor], arguments: &Dict, options: &FuseOptions) -> Result<Fused> {
    let mut examples = Vec::with_capacity(inputs.len());
    for input in inputs {
        examples.push(example(input)?);
    }
    fused(Held::Borrowed(module), &Examples::Given(examples), arguments, options)
}

/// A copy of an example input, with its elements in memory.
fn example(input: &Tensor) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    let plain = checked_plain(input)?;
    Ok(sample::copy(&plain.as_ref().unwrap_or(input).f_detach()?)?)
}

fn fused(held: Held<'_>, examples: &Examples, arguments: &Dict, options: &FuseOptions) -> Result<Fused> {
    let _guard = tch::no_grad_guard();
    let state = State::new(held, examples, arguments, options)?;
    Ok(Fused { state: Arc::new(Mutex::new(state)) })
}

impl Fused {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs the operators: how many of them, and where; and what is not as the options say, such as operators in f32 if
    /// there are no bfloat16 kernels.
    #[must_use]
    pub fn summary(&self) -> String {
        self.state().summary()
    }

    /// What each operator takes for these inputs, in order, in one run.
    ///
    /// # Errors
    /// As for the forward pass.
    pub fn profile(&self, inputs: &[&Tensor]) -> Result<Vec<Timing>> {
        let _guard = tch::no_grad_guard();
        self.state().profile(inputs)
    }

    /// The same without programs, for a thread of its own.
    pub(crate) fn stream(&self) -> State {
        self.state().stream()
    }

    /// The outputs for these inputs: one tensor, or a list.
    fn run(&self, inputs: &[&Tensor]) -> Result<Output> {
        let _guard = tch::no_grad_guard();
        self.state().run_checked(inputs)
    }
}

impl Forward for Fused {
    fn forward(&self, input: &Tensor) -> mmcv_layers::Result<Tensor> {
        self.call(&[input], &Dict::new())?.single()
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> mmcv_layers::Result<Output> {
        no_options(options)?;
        Ok(self.run(inputs)?)
    }
}
