//! [`observe`]: records how modules are built, initialized and run.
//!
//! Recording does not change the work: the same numbers are drawn and computed. It covers the thread that calls
//! [`observe`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mmcv_registry::KeyPath;
use tch::Tensor;

use crate::{Error, Module, Output, Result, join_path, size};

/// The record of [`observe`].
#[derive(Debug, Default)]
pub struct Trace {
    origins: HashMap<(usize, &'static str), Origin>,
    initial: HashMap<usize, Initial>,
    reasons: Vec<String>,
    running: Vec<Running>,
    /// The forward passes of modules, parents before their children.
    pub calls: Vec<Call>,
    /// Messages about `init_cfg` rules that matched no module.
    pub unmatched_rules: Vec<String>,
}

/// The origin of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The key path of the dict that it was built from.
    pub path: KeyPath,
    /// The registered type.
    pub type_name: &'static str,
}

/// The [`Initial::values`] of a tensor from a checkpoint.
pub const LOADED: &str = "loaded";

/// The initial values of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initial {
    /// The operation, such as `normal(0, 0.01)`.
    pub values: String,
    /// The `init_cfg` rule or the module's `init_weights` that set them; empty for the layer's constructor.
    pub by: String,
}

/// The forward pass of one module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The module's name from the outermost module.
    pub module: String,
    /// The shapes of the inputs.
    pub inputs: Vec<Vec<i64>>,
    /// The shapes of the outputs; empty if it failed.
    pub outputs: Vec<Vec<i64>>,
    /// The module's own multiply-adds, see [`Module::multiply_adds`].
    pub multiply_adds: u64,
    /// The time, including children; on a GPU, the time to launch it.
    pub time: Duration,
    /// The time without the children.
    pub own_time: Duration,
}

/// A module whose forward pass is running.
#[derive(Debug)]
struct Running {
    name: String,
    /// The time of the children that have finished.
    inside: Duration,
}

impl Trace {
    /// The origin of `module`; `None` if its parent created it without a dict.
    #[must_use]
    pub fn origin(&self, module: &dyn Module) -> Option<&Origin> {
        self.origins.get(&identity(module)?)
    }

    /// The initial values of `tensor`; `None` if no function of [`crate::init`] set them.
    #[must_use]
    pub fn initial(&self, tensor: &Tensor) -> Option<&Initial> {
        self.initial.get(&address(tensor)?)
    }
}

/// Callbacks during forward passes.
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    /// Called with `Some(name)` before a child's forward pass, and with `None` after it.
    pub scope: fn(Option<&str>),
    /// Returns the size of a tensor, of which [`of_size`] uses a part.
    pub size: fn(&Tensor) -> Vec<i64>,
    /// Called with a tensor and the part of its size that [`of_size`] used, as a predicate on other sizes.
    pub part: fn(&Tensor, SamePart),
}

/// Whether the part of a size that was used is the same in another size.
pub type SamePart = Arc<dyn Fn(&[i64]) -> bool + Send + Sync>;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static HOOKS: Cell<Option<Hooks>> = const { Cell::new(None) };
    static TRACE: RefCell<Trace> = RefCell::default();
}

/// Runs `work` and returns its result with the record.
pub fn observe<T>(work: impl FnOnce() -> T) -> (T, Trace) {
    let outer = (TRACE.take(), ACTIVE.replace(true));
    let result = work();
    ACTIVE.set(outer.1);
    (result, TRACE.replace(outer.0))
}

/// Applies `part` to the tensor's size.
///
/// A forward pass that reads sizes with this function instead of [`Tensor::size`] depends only on the results of
/// `part`. Its fused form is then valid for all sizes with the same results.
///
/// # Errors
/// Returns an error if the tensor is undefined.
pub fn of_size<T>(tensor: &Tensor, part: impl Fn(&[i64]) -> T + Send + Sync + 'static) -> Result<T>
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    let Some(hooks) = HOOKS.get() else { return Ok(part(&size::of(tensor)?)) };
    if !tensor.defined() {
        return Err(Error::input("a tensor", "an undefined tensor"));
    }
    let result = part(&(hooks.size)(tensor));
    let expected = result.clone();
    (hooks.part)(tensor, Arc::new(move |size| part(size) == expected));
    Ok(result)
}

/// Runs `work` with callbacks for the forward passes of all children.
pub fn with_hooks<T>(hooks: Hooks, work: impl FnOnce() -> T) -> T {
    let outer = HOOKS.replace(Some(hooks));
    let result = work();
    HOOKS.set(outer);
    result
}

/// Whether forward passes are recorded or have callbacks at present.
pub(crate) fn is_active() -> bool {
    ACTIVE.get() || HOOKS.get().is_some()
}

fn record(change: impl FnOnce(&mut Trace)) {
    if ACTIVE.get() {
        TRACE.with_borrow_mut(change);
    }
}

/// Records that `module` was built.
pub(crate) fn built(module: &dyn Module, path: &KeyPath, type_name: &'static str) {
    record(|trace| {
        if let Some(identity) = identity(module) {
            trace.origins.insert(identity, Origin { path: path.clone(), type_name });
        }
    });
}

/// Records that `tensor` was filled. Initializers that do not use the functions of [`crate::init`] call it.
pub fn initialized(tensor: &Tensor, values: impl FnOnce() -> String) {
    record(|trace| {
        let by = trace.reasons.last().cloned().unwrap_or_default();
        if let Some(address) = address(tensor) {
            trace.initial.insert(address, Initial { values: values(), by });
        }
    });
}

/// Runs `work` and records `reason`, an `init_cfg` rule or a module's `init_weights`, for all tensors that it fills.
pub fn because<T>(reason: impl FnOnce() -> String, work: impl FnOnce() -> T) -> T {
    record(|trace| trace.reasons.push(reason()));
    let result = work();
    record(|trace| drop(trace.reasons.pop()));
    result
}

/// Records a rule that matched no module.
pub(crate) fn unmatched(rule: &str) {
    record(|trace| trace.unmatched_rules.push(rule.to_owned()));
}

/// Runs `module`, which its parent calls `name`, with callbacks and recording.
pub(crate) fn run(
    name: &dyn std::fmt::Display,
    module: &dyn Module,
    inputs: &[&Tensor],
    forward: impl FnOnce() -> Result<Output>,
) -> Result<Output> {
    let hooks = HOOKS.get();
    if let Some(hooks) = hooks {
        (hooks.scope)(Some(&name.to_string()));
    }
    let output = if ACTIVE.get() { recorded(name, module, inputs, forward) } else { forward() };
    if let Some(hooks) = hooks {
        (hooks.scope)(None);
    }
    output
}

/// Runs `module` and records shapes and times.
fn recorded(
    name: &dyn std::fmt::Display,
    module: &dyn Module,
    inputs: &[&Tensor],
    forward: impl FnOnce() -> Result<Output>,
) -> Result<Output> {
    let inputs: Vec<Vec<i64>> = inputs.iter().map(|input| input.size()).collect();
    let index = TRACE.with_borrow_mut(|trace| {
        let module = match trace.running.last() {
            Some(parent) => join_path(&parent.name, &name.to_string()),
            None => name.to_string(),
        };
        trace.running.push(Running { name: module.clone(), inside: Duration::ZERO });
        trace.calls.push(Call { module, inputs: inputs.clone(), ..Call::default() });
        trace.calls.len() - 1
    });
    let start = Instant::now();
    let output = forward();
    let time = start.elapsed();
    let (mut outputs, mut multiply_adds) = (Vec::new(), 0);
    if let Ok(output) = &output {
        outputs = output.shapes();
        multiply_adds = module.multiply_adds(&inputs, &outputs);
    }
    TRACE.with_borrow_mut(|trace| {
        let inside = match trace.running.pop() {
            Some(running) => running.inside,
            None => Duration::ZERO,
        };
        if let Some(parent) = trace.running.last_mut() {
            parent.inside += time;
        }
        if let Some(call) = trace.calls.get_mut(index) {
            *call =
                Call { outputs, multiply_adds, time, own_time: time.saturating_sub(inside), ..std::mem::take(call) };
        }
    });
    output
}

/// The module's address and class; `None` for modules without a size, which share one address.
fn identity(module: &dyn Module) -> Option<(usize, &'static str)> {
    if let Some(module) = module.unboxed() {
        return identity(module);
    }
    if size_of_val(module) == 0 {
        return None;
    }
    Some((std::ptr::from_ref(module).addr(), module.name()))
}

/// The address of the tensor's values; `None` if it is empty.
fn address(tensor: &Tensor) -> Option<usize> {
    if tensor.numel() == 0 {
        return None;
    }
    Some(tensor.data_ptr().addr())
}
