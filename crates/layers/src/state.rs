//! The tensors of a module by name, its device and type, and the bridge to tch.

use std::cell::Cell;

use send_wrapper::SendWrapper;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

use crate::module::{ChildName, run_child};
use crate::{Error, Module, Parts, Result};

/// What can be done with every [`Module`].
///
/// The tensors that it gives out are handles on the module's own: what one changes, the other sees. They must stay on
/// the module's thread. tch would let them move, since it declares every tensor as `Send`, and a handle that is read on
/// one thread while the module is moved, converted, loaded or trained on another one reads memory that is gone. A
/// thread that needs values is given copies (`tensor.copy()`).
pub trait ModuleExt: Module {
    /// All parameters with their names from here, in the order of the reference's `named_parameters()`.
    fn named_parameters(&self) -> Vec<(String, Tensor)> {
        let mut found = Vec::new();
        walk(self, "", &mut |prefix, parts| add(&mut found, prefix, &parts.parameters));
        found
    }

    /// All buffers with their names from here, in the order of the reference's `named_buffers()`.
    fn named_buffers(&self) -> Vec<(String, Tensor)> {
        let mut found = Vec::new();
        walk(self, "", &mut |prefix, parts| add(&mut found, prefix, &parts.buffers));
        found
    }

    /// All parameters and buffers with their names from here, in the order of the reference's `state_dict()`: of each
    /// module first its parameters, then its buffers, then its children.
    fn state_dict(&self) -> Vec<(String, Tensor)> {
        let mut found = Vec::new();
        walk(self, "", &mut |prefix, parts| {
            add(&mut found, prefix, &parts.parameters);
            add(&mut found, prefix, &parts.buffers);
        });
        found
    }

    /// The forward pass of a child, whose errors then say that they come from it. The name is that of [`Module::parts`].
    ///
    /// A child that takes no memory, a struct without fields, is known by its type: of several, the first one is named.
    ///
    /// # Errors
    /// As [`Forward::forward`](crate::Forward::forward).
    fn run_child(&self, child: &dyn Module, input: &Tensor) -> Result<Tensor> {
        run_child(ChildName { parent: self.as_module(), child }, child, input)
    }

    /// The forward pass without gradients, on any thread: what a service calls. It holds libtorch's guard itself; the
    /// mode (`train(false)` for inference) is the module's.
    ///
    /// # Errors
    /// As [`Forward::forward`](crate::Forward::forward).
    fn predict(&self, input: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        self.forward(input)
    }

    /// The number of elements of all parameters.
    fn parameter_count(&self) -> usize {
        self.named_parameters().iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// Moves all parameters and buffers to `device`.
    ///
    /// # Errors
    /// Returns an error if the device is missing or its memory is full; tensors that were moved before stay moved.
    fn to_device(&self, device: Device) -> Result<()> {
        self.replace_data(|tensor| Ok(tensor.f_to_device(device)?))
    }

    /// Converts all floating-point parameters and buffers to `kind`.
    ///
    /// # Errors
    /// Returns an error if `kind` is not a floating-point type, or memory is full.
    fn to_kind(&self, kind: Kind) -> Result<()> {
        if !is_floating(kind) {
            return Err(Error::input("a floating-point type", format!("{kind:?}")));
        }
        self.replace_data(|tensor| {
            let converts = is_floating(tensor.f_kind()?);
            Ok(if converts { tensor.f_to_kind(kind)? } else { tensor.shallow_clone() })
        })
    }

    /// Lays out the weights of 2D and 3D convolutions with the channels innermost, as `module.to(memory_format=torch.channels_last)`
    /// does. With images in the same layout, [`channels_last`](crate::channels_last), convolutions need no other layouts inside, and training is
    /// faster: on the CPU by up to a sixth. Shapes stay as they are.
    ///
    /// # Errors
    /// Returns an error if memory is full.
    fn to_channels_last(&self) -> Result<()> {
        self.replace_data(channels_last)
    }

    /// Sets whether gradients are computed for all parameters.
    ///
    /// # Errors
    /// Returns an error if libtorch refuses.
    fn requires_grad(&self, requires_grad: bool) -> Result<()> {
        self.named_parameters().iter().try_for_each(|(_, tensor)| {
            let _ = tensor.f_set_requires_grad(requires_grad)?;
            Ok(())
        })
    }

    /// A [`VarStore`] that holds the same tensors (not copies), for tch's optimizers: what they change, the module
    /// sees. The parameters are its trainable variables. To move the module to another device, use
    /// [`Self::to_device`] before this. The store and the optimizer that is made from it must stay on the module's
    /// thread, although tch declares them as `Send`.
    fn var_store(&self) -> VarStore {
        let (parameters, buffers) = (self.named_parameters(), self.named_buffers());
        let device = parameters.iter().chain(&buffers).next().map_or(Device::Cpu, |(_, tensor)| tensor.device());
        let store = VarStore::new(device);
        // tch makes trainable variables only by itself, so they are made empty and then replaced.
        for position in 0..parameters.len() {
            let _ = store.root().zeros(&position.to_string(), &[0]);
        }
        let mut variables = store.variables_.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (variable, (_, tensor)) in variables.trainable_variables.iter_mut().zip(&parameters) {
            variable.tensor = tensor.shallow_clone();
        }
        variables.named_variables = parameters.into_iter().chain(buffers).collect();
        drop(variables);
        store
    }

    #[doc(hidden)]
    fn replace_data(&self, convert: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        let _guard = tch::no_grad_guard();
        self.state_dict().into_iter().try_for_each(|(name, mut tensor)| {
            let converted = convert(&tensor).map_err(|error| error.in_module(name))?;
            tensor.f_set_data(&converted)?;
            Ok(())
        })
    }
}

impl<M: Module + ?Sized> ModuleExt for M {}

/// The tensor, of shape `[N, C, H, W]` or `[N, C, D, H, W]`, with the channels of a pixel side by side in memory; others as they are.
/// Gradients flow through it. Reference: `tensor.to(memory_format=torch.channels_last)`.
///
/// # Errors
/// Returns an error if memory is full.
pub fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    Ok(match tensor.dim() {
        4 => tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?,
        5 => tensor.f_permute([0, 2, 3, 4, 1])?.f_contiguous()?.f_permute([0, 4, 1, 2, 3])?,
        _ => tensor.shallow_clone(),
    })
}

/// All modules with their names from here, `module` itself (with the empty name) first.
#[must_use]
pub fn named_modules(module: &dyn Module) -> Vec<(String, &dyn Module)> {
    let mut found = vec![(String::new(), module)];
    for (name, child) in Parts::of(module).children {
        found.extend(named_modules(child).into_iter().map(|(inner, module)| (join_path(&name, &inner), module)));
    }
    found
}

/// The name of what is called `name` in the module `prefix`; either may be empty.
#[must_use]
pub fn join_path(prefix: &str, name: &str) -> String {
    if prefix.is_empty() || name.is_empty() { format!("{prefix}{name}") } else { format!("{prefix}.{name}") }
}

/// A [`Module`] as a [`tch::nn::ModuleT`], for code that is written for tch's modules.
///
/// Its forward pass panics where the module's returns an error, since tch's trait has no errors.
///
/// tch's trait asks for `Send`. A module is not, so this one can be moved to another thread, but used only on the one
/// that made it: on others [`Self::module`] and the forward pass panic, and dropping it there leaks the module.
#[derive(Debug)]
pub struct TchModule {
    /// `None` only while it is dropped.
    module: Option<SendWrapper<Box<dyn Module>>>,
    training: Cell<Option<bool>>,
}

impl TchModule {
    /// Wraps `module`.
    #[must_use]
    pub fn new(module: Box<dyn Module>) -> Self {
        Self { module: Some(SendWrapper::new(module)), training: Cell::new(None) }
    }

    /// The module itself.
    ///
    /// # Panics
    /// On another thread than the one that made it.
    #[must_use]
    #[allow(clippy::panic)]
    pub fn module(&self) -> &dyn Module {
        match &self.module {
            Some(module) if module.valid() => &***module,
            _ => panic!("a TchModule is used on another thread than the one that made it: make one on each thread"),
        }
    }
}

impl Drop for TchModule {
    fn drop(&mut self) {
        match self.module.take() {
            Some(module) if !module.valid() => std::mem::forget(module),
            _ => {}
        }
    }
}

impl ModuleT for TchModule {
    #[allow(clippy::panic)]
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        if self.training.replace(Some(train)) != Some(train) {
            self.module().train(train);
        }
        match self.module().forward(input) {
            Ok(output) => output,
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_floating(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16 | Kind::Float | Kind::Double)
}

fn walk<'a, M: Module + ?Sized>(module: &'a M, prefix: &str, visit: &mut dyn FnMut(&str, &Parts<'a>)) {
    let parts = Parts::of(module);
    visit(prefix, &parts);
    for (name, child) in &parts.children {
        walk(*child, &join_path(prefix, name), visit);
    }
}

fn add(found: &mut Vec<(String, Tensor)>, prefix: &str, tensors: &[(std::borrow::Cow<'_, str>, &Tensor)]) {
    found.extend(tensors.iter().map(|(name, tensor)| (join_path(prefix, name), tensor.shallow_clone())));
}
