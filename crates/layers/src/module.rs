//! [`Module`]: what every layer, brick and network is.

use std::any::Any;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Debug, Display};
use std::marker::PhantomData;

use mmcv_registry::Dict;
use tch::Tensor;

use crate::conv::Convolution;
use crate::{Error, InitCfg, KeyMapping, Result, observe};

/// What computes outputs from inputs: every [`Module`], and its fused form.
pub trait Forward: Debug {
    /// The forward pass of a module with one input and one output.
    ///
    /// # Errors
    /// Returns an error if the input does not fit, or the module takes several inputs or returns several outputs: see
    /// [`Self::call`].
    fn forward(&self, input: &Tensor) -> Result<Tensor>;

    /// The forward pass with any number of inputs and outputs, and with options by name.
    ///
    /// # Errors
    /// As [`Self::forward`], and where the number of inputs or an option is not the module's.
    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        self.forward(single_input(inputs, options)?).map(Output::Tensor)
    }
}

/// A layer, a brick or a network: parameters, buffers and children with names, and a fallible forward pass.
///
/// Tensors are handles on shared memory, so parameters are initialized, loaded and trained through `&self`, as in
/// Python; the training mode is a [`Cell`].
///
/// A module stays on the thread that made it: another thread could hold handles on its tensors, and use them while the
/// module changes what they stand for. A worker thread builds its own module (a [`Config`](enum@mmcv_registry::Config) can
/// be sent), or is given a fused form (`mmcv_fuse::Fused`), which shares nothing and can be sent and shared. A type of your
/// own that holds tensors itself holds a [`NotSend`] too.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig, Linear, LinearConfig, Module, ModuleExt, Result};
/// use tch::Tensor;
///
/// /// Two linear layers. State: `fc1.*`, `fc2.*`.
/// #[derive(Debug, Module)]
/// struct Mlp {
///     #[module(child)]
///     fc1: Linear,
///     #[module(child)]
///     fc2: Linear,
/// }
///
/// impl Forward for Mlp {
///     fn forward(&self, input: &Tensor) -> Result<Tensor> {
///         let hidden = self.run_child(&self.fc1, input)?.f_relu()?;
///         self.run_child(&self.fc2, &hidden)
///     }
/// }
///
/// let mlp = Mlp { fc1: LinearConfig::new(4, 8).build()?, fc2: LinearConfig::new(9, 2).build()? };
/// assert_eq!(mlp.named_parameters()[0].0, "fc1.weight");
/// let error = mlp.forward(&Tensor::ones([1, 4], tch::kind::FLOAT_CPU)).unwrap_err();
/// assert!(error.to_string().starts_with("fc2: in_features is 9"));
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
///
/// ```compile_fail,E0277
/// let relu = mmcv_layers::build_activation_layer(&mmcv_registry::config! { type: "ReLU" })?;
/// std::thread::spawn(move || println!("{}", relu.name()));
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
///
/// Reference: `torch.nn.Module`.
pub trait Module: Forward + AsModule + Any {
    /// The reference's class name, and after it the names of its direct base classes: rules of `init_cfg` match both.
    fn class(&self) -> &'static [&'static str];

    /// Lists the module's own parameters and buffers, and its children, in the order of registration in the reference.
    fn parts<'a>(&'a self, _parts: &mut Parts<'a>) {}

    /// Sets training mode (`true`) or evaluation mode (`false`), here and in all children.
    fn train(&self, training: bool) {
        let parts = Parts::of(self);
        if let Some(switch) = parts.training {
            switch.set(training);
        }
        for (_, child) in parts.children {
            child.train(training);
        }
        self.after_train(training);
    }

    /// Called at the end of [`Self::train`]: networks freeze here what they do not train.
    fn after_train(&self, _training: bool) {}

    /// Initializes the weights again, as the reference's `init_weights()`: by the rules of [`Parts::init_cfg`]. A layer
    /// without rules does nothing: its parent initializes it.
    ///
    /// # Errors
    /// Returns an error if libtorch fails, or a rule of `init_cfg` is wrong.
    fn init_weights(&self) -> Result<()> {
        match self.init_cfg() {
            Some(rules) => rules.init_weights(self.as_module()),
            None => Ok(()),
        }
    }

    /// The rules of initialization, of modules that have them.
    fn init_cfg(&self) -> Option<&InitCfg> {
        Parts::of(self).init_cfg
    }

    /// Whether the reference's class has a method `init_weights`.
    fn has_init_weights(&self) -> bool {
        self.init_cfg().is_some()
    }

    /// The module that the reference's class has as an attribute of that name: a child, or a property such as `norm1`
    /// of a block whose norm is called `bn1`.
    fn attribute(&self, name: &str) -> Option<&dyn Module> {
        Parts::of(self).find_child(name)
    }

    /// The convolution, if the module is one or wraps one: batch norms are folded into it.
    fn as_convolution(&self) -> Option<&dyn Convolution> {
        None
    }

    /// Divides the weight by its largest singular value from now on, and draws the vectors that approximate it.
    ///
    /// Reference: `torch.nn.utils.spectral_norm`; Miyato et al., Spectral Normalization for GANs (2018).
    ///
    /// # Errors
    /// Returns an error if the module has no spectral norm, which is the default, or libtorch fails.
    fn add_spectral_norm(&mut self) -> Result<()> {
        let name = self.name();
        Err(Error::unsupported(format!("{name} cannot have spectral norm: set with_spectral_norm to false")))
    }

    /// For an attention: the size of the vectors that it takes and returns.
    fn embed_dims(&self) -> Option<i64> {
        None
    }

    /// The arguments as Python's `repr` shows them: `3, 8, kernel_size=(3, 3), stride=(1, 1)`.
    fn extra_repr(&self) -> String {
        String::new()
    }

    /// The multiply-adds of one forward pass with inputs and outputs of these shapes, without those of the children. What
    /// does one operation for each element counts as one.
    fn multiply_adds(&self, _inputs: &[Vec<i64>], _outputs: &[Vec<i64>]) -> u64 {
        0
    }

    /// Whether a checkpoint may lack the module's own parameter or buffer of that name, see [`Self::after_load`].
    fn may_be_absent(&self, _name: &str) -> bool {
        false
    }

    /// Is called after the module's own tensors were loaded, with the names of those that the checkpoint lacks.
    ///
    /// # Errors
    /// Returns an error if libtorch fails.
    fn after_load(&self, _absent: &[&str]) -> Result<()> {
        Ok(())
    }

    /// The names that other libraries give to the tensors in checkpoints of this network.
    fn key_mappings(&self) -> Vec<KeyMapping> {
        Vec::new()
    }

    /// The module in a box; a box stays as it is.
    fn boxed(self) -> Box<dyn Module>
    where
        Self: Sized,
    {
        Box::new(self)
    }

    /// The module in the box, if this is a box.
    #[doc(hidden)]
    fn unboxed(&self) -> Option<&dyn Module> {
        None
    }

    /// The class name: the first of [`Self::class`].
    fn name(&self) -> &'static str {
        self.class().first().copied().unwrap_or_default()
    }
}

impl dyn Module {
    /// The module as the concrete type `M`, if it is one; a box counts as the module in it.
    #[must_use]
    pub fn downcast_ref<M: Module>(&self) -> Option<&M> {
        match self.unboxed() {
            Some(module) => module.downcast_ref(),
            None => (self as &dyn Any).downcast_ref(),
        }
    }
}

/// A module as a trait object; every module is one.
pub trait AsModule {
    /// The module itself.
    fn as_module(&self) -> &dyn Module;
}

impl<M: Module> AsModule for M {
    fn as_module(&self) -> &dyn Module {
        self
    }
}

/// The name of a child, looked up when it is needed: in an error, or in a recording.
pub(crate) struct ChildName<'a> {
    pub parent: &'a dyn Module,
    pub child: &'a dyn Module,
}

impl Display for ChildName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, module) in Parts::of(self.parent).children {
            if is_same(module, self.child) {
                return f.write_str(&name);
            }
        }
        f.write_str(self.child.name())
    }
}

/// Whether both are the same module; a box counts as the module in it.
fn is_same(left: &dyn Module, right: &dyn Module) -> bool {
    match (left.unboxed(), right.unboxed()) {
        (Some(left), _) => is_same(left, right),
        (None, Some(right)) => is_same(left, right),
        // Types are compared as well because a struct and its first field have one address.
        (None, None) => std::ptr::addr_eq(left, right) && (left as &dyn Any).type_id() == (right as &dyn Any).type_id(),
    }
}

/// The forward pass of the child `name`, whose errors then say that they come from it.
///
/// # Errors
/// As [`Forward::forward`].
pub fn run_child(name: impl Display, child: &dyn Module, input: &Tensor) -> Result<Tensor> {
    run_child_with(name, child, &[input], || child.forward(input))
}

/// As [`run_child`], where the child is run by `forward`, a method of its own.
///
/// # Errors
/// Those of `forward`.
pub fn run_child_with(
    name: impl Display,
    child: &dyn Module,
    inputs: &[&Tensor],
    forward: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    let output = if observe::is_active() {
        observe::run(&name, child, inputs, || forward().map(Output::Tensor)).and_then(Output::single)
    } else {
        forward()
    };
    output.map_err(|error| error.in_module(name.to_string()))
}

/// As [`run_child`], with any number of inputs and outputs.
///
/// # Errors
/// As [`Forward::call`].
pub fn call_child(name: impl Display, child: &dyn Module, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
    let output = if observe::is_active() {
        observe::run(&name, child, inputs, || child.call(inputs, options))
    } else {
        child.call(inputs, options)
    };
    output.map_err(|error| error.in_module(name.to_string()))
}

/// The input of a module that takes one input and no options.
///
/// # Errors
/// Returns an error unless there is one input and no option.
pub fn single_input<'a>(inputs: &[&'a Tensor], options: &Dict) -> Result<&'a Tensor> {
    let [input] = inputs else {
        return Err(Error::input("one input", format!("{} inputs", inputs.len())));
    };
    no_options(options)?;
    Ok(input)
}

/// Checks that a forward pass that takes no options is given none.
///
/// # Errors
/// Returns an error if there is one; the error names it.
pub fn no_options(options: &Dict) -> Result<()> {
    match options.keys().next() {
        Some(option) => Err(Error::argument(option, "it", "this forward pass takes no options")),
        None => Ok(()),
    }
}

/// What a forward pass gives.
#[derive(Debug)]
pub enum Output {
    /// One tensor.
    Tensor(Tensor),
    /// Several tensors, such as the stages of a backbone.
    Tensors(Vec<Tensor>),
}

impl Output {
    /// The only tensor.
    ///
    /// # Errors
    /// Returns an error if there are several, or none.
    pub fn single(self) -> Result<Tensor> {
        match self {
            Self::Tensor(tensor) => Ok(tensor),
            Self::Tensors(tensors) => {
                let found = format!("{} outputs", tensors.len());
                <[Tensor; 1]>::try_from(tensors).map(|[tensor]| tensor).map_err(|_| Error::input("one output", found))
            }
        }
    }

    /// The shapes of all tensors.
    #[must_use]
    pub fn shapes(&self) -> Vec<Vec<i64>> {
        match self {
            Self::Tensor(tensor) => vec![tensor.size()],
            Self::Tensors(tensors) => tensors.iter().map(Tensor::size).collect(),
        }
    }

    /// All tensors, in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<Tensor> {
        match self {
            Self::Tensor(tensor) => vec![tensor],
            Self::Tensors(tensors) => tensors,
        }
    }
}

/// The parameters, buffers and children of one module, in order, and what else it has.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// The module's own parameters.
    pub parameters: Vec<(Cow<'a, str>, &'a Tensor)>,
    /// The module's own buffers: state that is saved and not trained.
    pub buffers: Vec<(Cow<'a, str>, &'a Tensor)>,
    /// The children.
    pub children: Vec<(Cow<'a, str>, &'a dyn Module)>,
    /// Children under other names: the reference's properties, such as `norm1` for `bn1`.
    pub properties: Vec<(Cow<'a, str>, &'a dyn Module)>,
    /// The module's own switch between training and evaluation.
    pub training: Option<&'a Training>,
    /// The rules by which the module initializes itself.
    pub init_cfg: Option<&'a InitCfg>,
}

impl<'a> Parts<'a> {
    /// The parts of `module`.
    pub fn of<M: Module + ?Sized>(module: &'a M) -> Self {
        let mut parts = Self::default();
        module.parts(&mut parts);
        parts
    }

    /// Adds a parameter, where there is one.
    pub fn parameter(&mut self, name: &'static str, tensor: impl Into<Option<&'a Tensor>>) {
        self.parameters.extend(tensor.into().map(|tensor| (name.into(), tensor)));
    }

    /// Adds a buffer, where there is one.
    pub fn buffer(&mut self, name: &'static str, tensor: impl Into<Option<&'a Tensor>>) {
        self.buffers.extend(tensor.into().map(|tensor| (name.into(), tensor)));
    }

    /// Adds a child.
    pub fn child(&mut self, name: impl Into<Cow<'a, str>>, module: &'a dyn Module) {
        self.children.push((name.into(), module));
    }

    /// Adds another name for a child.
    pub fn property(&mut self, name: impl Into<Cow<'a, str>>, module: &'a dyn Module) {
        self.properties.push((name.into(), module));
    }

    /// Adds the switch between training and evaluation.
    pub fn training(&mut self, training: &'a Training) {
        self.training = Some(training);
    }

    /// Adds the rules of initialization.
    pub fn init_cfg(&mut self, init_cfg: &'a InitCfg) {
        self.init_cfg = Some(init_cfg);
    }

    /// The child or property of that name.
    #[must_use]
    pub fn find_child(&self, name: &str) -> Option<&'a dyn Module> {
        for (child, module) in self.children.iter().chain(&self.properties) {
            if child == name {
                return Some(*module);
            }
        }
        None
    }

    /// The module's own parameter of that name.
    #[must_use]
    pub fn find_parameter(&self, name: &str) -> Option<&'a Tensor> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, tensor)| *tensor)
    }
}

/// Keeps what holds it on the thread that made it: for layers that hold tensors.
///
/// tch declares a tensor as `Send`, and a tensor is a handle that others may share. While one thread moves or converts what
/// it stands for, another one that reads it would read memory that is gone; so no layer moves to another thread.
///
/// ```compile_fail,E0277
/// use mmcv_layers::{Linear, LinearConfig, Module, ModuleExt};
///
/// let linear = Linear::new(&LinearConfig::new(2, 2))?;
/// let handles = linear.state_dict();
/// std::thread::spawn(move || linear.to_kind(tch::Kind::Double)); // beside `handles`, which share its memory
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotSend(PhantomData<*const ()>);

/// Training or evaluation mode of one layer; a new layer is in training mode. Like [`NotSend`], it keeps the layer on its
/// thread.
#[derive(Debug, Clone)]
pub struct Training(Cell<bool>, NotSend);

impl Training {
    /// Whether the layer is in training mode.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.get()
    }

    /// Sets the mode.
    pub fn set(&self, training: bool) {
        self.0.set(training);
    }
}

impl Default for Training {
    fn default() -> Self {
        Self(Cell::new(true), NotSend::default())
    }
}
