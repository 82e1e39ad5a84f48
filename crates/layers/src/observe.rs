//! [`observe`]: what happens while modules are built, initialised and run.
//!
//! The work itself is not changed by being observed: the same numbers are drawn and computed. Everything is noted for the
//! thread that calls [`observe`].

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mmcv_registry::KeyPath;
use tch::Tensor;

use crate::{Error, Module, Output, Result, join, size};

/// What was noted.
#[derive(Debug, Default)]
pub struct Log {
    origins: HashMap<(usize, &'static str), Origin>,
    initial: HashMap<usize, Initial>,
    reasons: Vec<String>,
    running: Vec<Running>,
    /// The forward passes of modules, parents before their children.
    pub calls: Vec<Call>,
    /// Rules of `init_cfg` that matched no module, in words.
    pub unmatched_rules: Vec<String>,
}

/// Where a module comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The key path of the dict from which it was built.
    pub path: KeyPath,
    /// The registered type.
    pub type_name: &'static str,
}

/// The [`Initial::values`] of a tensor that came from a checkpoint.
pub const LOADED: &str = "loaded";

/// How a tensor got its initial values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initial {
    /// The operation, such as `normal(0, 0.01)`.
    pub values: String,
    /// The rule of `init_cfg`, or the module whose own initialisation it is; empty for the layer itself.
    pub by: String,
}

/// The forward pass of one module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// The module's name from the one that was called first.
    pub module: String,
    /// The shapes of the inputs.
    pub inputs: Vec<Vec<i64>>,
    /// The shapes of the outputs; empty where it failed.
    pub outputs: Vec<Vec<i64>>,
    /// The module's own multiply-adds, see [`Module::multiply_adds`].
    pub multiply_adds: u64,
    /// How long it took, children included; on a GPU, how long it took to start it.
    pub time: Duration,
    /// The same without the children.
    pub own_time: Duration,
}

/// A module whose forward pass has begun.
#[derive(Debug)]
struct Running {
    name: String,
    /// The time of the children that have ended.
    inside: Duration,
}

impl Log {
    /// Where `module` comes from; `None` where it was made by its parent and not from a dict of its own.
    #[must_use]
    pub fn origin(&self, module: &dyn Module) -> Option<&Origin> {
        self.origins.get(&identity(module)?)
    }

    /// How `tensor` got its values; `None` where that was not by a function of [`crate::init`].
    #[must_use]
    pub fn initial(&self, tensor: &Tensor) -> Option<&Initial> {
        self.initial.get(&address(tensor)?)
    }
}

/// Who watches forward passes.
#[derive(Debug, Clone, Copy)]
pub struct Watch {
    /// Is told the name of a child before its forward pass, and `None` after it.
    pub scope: fn(Option<&str>),
    /// Gives the size of a tensor, of which [`of_size`] uses a part.
    pub size: fn(&Tensor) -> Vec<i64>,
    /// Is told what [`of_size`] used of the tensor's size: the function says whether another size has the same in its place.
    pub part: fn(&Tensor, SamePart),
}

/// Says whether a size gives what another one gave.
pub type SamePart = Arc<dyn Fn(&[i64]) -> bool + Send + Sync>;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static WATCH: Cell<Option<Watch>> = const { Cell::new(None) };
    static LOG: RefCell<Log> = RefCell::default();
}

/// Does `work`, and returns what was noted with what it gave.
pub fn observe<T>(work: impl FnOnce() -> T) -> (T, Log) {
    let outer = (LOG.take(), ACTIVE.replace(true));
    let given = work();
    ACTIVE.set(outer.1);
    (given, LOG.replace(outer.0))
}

/// What `part` makes of the tensor's size.
///
/// A forward pass that asks for sizes this way, and not by [`Tensor::size`], can be seen to depend on nothing but what `part`
/// gives: its fused form then works for all sizes that give the same.
///
/// # Errors
/// Where the tensor is undefined.
pub fn of_size<T>(tensor: &Tensor, part: impl Fn(&[i64]) -> T + Send + Sync + 'static) -> Result<T>
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    let Some(watch) = WATCH.get() else { return Ok(part(&size::of(tensor)?)) };
    if !tensor.defined() {
        return Err(Error::input("a tensor", "an undefined tensor"));
    }
    let found = part(&(watch.size)(tensor));
    let kept = found.clone();
    (watch.part)(tensor, Arc::new(move |size| part(size) == kept));
    Ok(found)
}

/// Does `work`, and tells `watch` of the forward passes of all children.
pub fn watch<T>(watch: Watch, work: impl FnOnce() -> T) -> T {
    let outer = WATCH.replace(Some(watch));
    let given = work();
    WATCH.set(outer);
    given
}

/// Whether something is noted or watched at present.
pub(crate) fn is_active() -> bool {
    ACTIVE.get() || WATCH.get().is_some()
}

fn note(change: impl FnOnce(&mut Log)) {
    if ACTIVE.get() {
        LOG.with_borrow_mut(change);
    }
}

/// Notes that `module` was built.
pub(crate) fn built(module: &dyn Module, path: &KeyPath, type_name: &'static str) {
    note(|log| {
        if let Some(identity) = identity(module) {
            log.origins.insert(identity, Origin { path: path.clone(), type_name });
        }
    });
}

/// Notes that `tensor` was filled; an initializer that does not use the functions of [`crate::init`] calls it.
pub fn initialised(tensor: &Tensor, values: impl FnOnce() -> String) {
    note(|log| {
        let by = log.reasons.last().cloned().unwrap_or_default();
        if let Some(address) = address(tensor) {
            log.initial.insert(address, Initial { values: values(), by });
        }
    });
}

/// Notes that what `work` initialises is initialised because of `reason`: a rule, or a module's own initialisation.
pub fn because<T>(reason: impl FnOnce() -> String, work: impl FnOnce() -> T) -> T {
    note(|log| log.reasons.push(reason()));
    let given = work();
    note(|log| drop(log.reasons.pop()));
    given
}

/// Notes a rule that matched nothing.
pub(crate) fn unmatched(rule: &str) {
    note(|log| log.unmatched_rules.push(rule.to_owned()));
}

/// Runs `module`, which its parent calls `name`, for those who watch it, or note shapes and times.
pub(crate) fn run(
    name: &dyn std::fmt::Display,
    module: &dyn Module,
    inputs: &[&Tensor],
    forward: impl FnOnce() -> Result<Output>,
) -> Result<Output> {
    let watch = WATCH.get();
    if let Some(watch) = watch {
        (watch.scope)(Some(&name.to_string()));
    }
    let output = if ACTIVE.get() { noted(name, module, inputs, forward) } else { forward() };
    if let Some(watch) = watch {
        (watch.scope)(None);
    }
    output
}

/// Runs `module` and notes the shapes.
fn noted(
    name: &dyn std::fmt::Display,
    module: &dyn Module,
    inputs: &[&Tensor],
    forward: impl FnOnce() -> Result<Output>,
) -> Result<Output> {
    let inputs: Vec<Vec<i64>> = inputs.iter().map(|input| input.size()).collect();
    let index = LOG.with_borrow_mut(|log| {
        let parent = log.running.last().map_or("", |running| &running.name);
        let module = join(parent, &name.to_string());
        log.running.push(Running { name: module.clone(), inside: Duration::ZERO });
        log.calls.push(Call { module, inputs: inputs.clone(), ..Call::default() });
        log.calls.len() - 1
    });
    let start = Instant::now();
    let output = forward();
    let time = start.elapsed();
    let outputs = output.as_ref().map_or_else(|_| Vec::new(), Output::shapes);
    let multiply_adds = if output.is_ok() { module.multiply_adds(&inputs, &outputs) } else { 0 };
    LOG.with_borrow_mut(|log| {
        let inside = log.running.pop().map_or(Duration::ZERO, |running| running.inside);
        if let Some(parent) = log.running.last_mut() {
            parent.inside += time;
        }
        if let Some(call) = log.calls.get_mut(index) {
            *call =
                Call { outputs, multiply_adds, time, own_time: time.saturating_sub(inside), ..std::mem::take(call) };
        }
    });
    output
}

/// The module's address and class; `None` where it has no size, since such modules share one address.
fn identity(module: &dyn Module) -> Option<(usize, &'static str)> {
    if let Some(module) = module.unboxed() {
        return identity(module);
    }
    (size_of_val(module) > 0).then(|| (std::ptr::from_ref(module).addr(), module.name()))
}

/// The address of the tensor's values; `None` where it has none.
fn address(tensor: &Tensor) -> Option<usize> {
    (tensor.numel() > 0).then(|| tensor.data_ptr().addr())
}
