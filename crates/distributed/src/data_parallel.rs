//! [`DataParallel`]: one module on every rank, each with its share of a batch.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use cxx::UniquePtr;
use mmcv_layers::{Dict, Forward, Module, ModuleExt, Output};
use tch::Tensor;

use crate::bridge::{self, Reducer, ReducerOptions};
use crate::fingerprint::{Code, Fingerprint};
use crate::group::Inner;
use crate::{Error, ErrorKind, Group, Result};

/// Options of [`DataParallel`]; names and defaults are those of `torch.nn.parallel.DistributedDataParallel`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataParallelOptions {
    /// How many megabytes of gradients are averaged at once, while the backward pass computes the next ones.
    pub bucket_cap_mb: usize,
    /// Whether some parameters may get no gradient in some steps; costs a walk over the graph in each.
    pub find_unused_parameters: bool,
    /// Whether each forward pass in training begins with the buffers of rank 0, such as running statistics.
    pub broadcast_buffers: bool,
}

impl Default for DataParallelOptions {
    fn default() -> Self {
        Self { bucket_cap_mb: 25, find_unused_parameters: false, broadcast_buffers: true }
    }
}

impl DataParallelOptions {
    /// Sets how many megabytes of gradients are averaged at once.
    #[must_use]
    pub fn with_bucket_cap_mb(mut self, bucket_cap_mb: usize) -> Self {
        self.bucket_cap_mb = bucket_cap_mb;
        self
    }

    /// Sets whether some parameters may get no gradient.
    #[must_use]
    pub fn with_find_unused_parameters(mut self, find_unused_parameters: bool) -> Self {
        self.find_unused_parameters = find_unused_parameters;
        self
    }

    /// Sets whether forward passes begin with the buffers of rank 0.
    #[must_use]
    pub fn with_broadcast_buffers(mut self, broadcast_buffers: bool) -> Self {
        self.broadcast_buffers = broadcast_buffers;
        self
    }
}

/// A module in training on all ranks: each computes the gradients of its share of the batch, and all get their mean.
///
/// All ranks begin with the weights and buffers of rank 0. Gradients are averaged by libtorch's reducer, that of Python's
/// `DistributedDataParallel`, while the backward pass goes on. Parameters must not be replaced, moved to another device, or
/// frozen afterwards. Where shares have different sizes, weight the losses: with the sum over the share, divided by the size of
/// the whole batch and multiplied by the number of ranks, the result is that of one process with the whole batch.
///
/// ```
/// use std::time::Duration;
///
/// use mmcv_distributed::{Backend, DataParallel, DataParallelOptions, Group, Launch};
/// use mmcv_layers::{Forward, LayerConfig, LinearConfig};
/// use tch::{Kind, Tensor, kind::FLOAT_CPU};
///
/// let group = Group::init(&Launch::from_env()?, Backend::Gloo, Duration::from_secs(60))?;
/// let network = DataParallel::new(&group, LinearConfig::new(4, 2).build()?, &DataParallelOptions::default())?;
/// let loss = network.forward(&Tensor::ones([8, 4], FLOAT_CPU))?.mean(Kind::Float);
/// network.backward(&loss)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DataParallel<M> {
    module: M,
    options: DataParallelOptions,
    names: Vec<String>,
    engine: Option<Engine>,
    syncs: Cell<bool>,
}

/// What averages gradients in a group of more than one.
struct Engine {
    group: Arc<Inner>,
    reducer: RefCell<UniquePtr<Reducer>>,
    /// Whether the next backward pass averages gradients.
    prepared: Cell<bool>,
}

impl<M: Module> DataParallel<M> {
    /// Gives the module of each rank the weights and buffers of rank 0.
    ///
    /// # Errors
    /// Returns an error if no parameter needs a gradient, the ranks have different modules, or another rank fails.
    pub fn new(group: &Group, module: M, options: &DataParallelOptions) -> Result<Self> {
        let mut parameters = module.named_parameters();
        parameters.retain(|(_, tensor)| tensor.requires_grad());
        if parameters.is_empty() {
            let error = Error::argument("module", "without a parameter that needs a gradient", "at least one");
            return Err(error.on(group.rank()));
        }
        let (names, parameters): (Vec<String>, Vec<Tensor>) = parameters.into_iter().unzip();
        let engine = match group.inner() {
            Some(inner) => {
                check_same(group, &module).map_err(|error| error.on(group.rank()))?;
                Some(Engine::new(inner, &module, &names, &parameters, options)?)
            }
            None => None,
        };
        Ok(Self { module, options: options.clone(), names, engine, syncs: Cell::new(true) })
    }

    /// The module.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// The module, without the averaging of gradients.
    pub fn into_module(self) -> M {
        self.module
    }

    /// Until the guard is dropped, backward passes add up gradients on each rank, and nothing is exchanged: for all but the last of
    /// the passes whose gradients are accumulated. It covers forward and backward pass.
    #[must_use = "gradients are averaged again once the guard is dropped"]
    pub fn no_sync(&self) -> NoSync<'_> {
        NoSync { syncs: &self.syncs, before: self.syncs.replace(false) }
    }

    /// Computes the gradients of the loss, averaged over the ranks.
    ///
    /// # Errors
    /// Returns an error if libtorch fails, a parameter gets no gradient and `find_unused_parameters` is not set, or another rank
    /// fails.
    pub fn backward(&self, loss: &Tensor) -> Result<()> {
        let Some(engine) = &self.engine else { return Ok(loss.f_backward()?) };
        engine.group.enter("DataParallel::backward")?;
        loss.f_backward().map_err(|error| engine.explain("DataParallel::backward", &error.to_string(), &self.names))?;
        if engine.prepared.replace(false) {
            let finished = engine.reducer.borrow_mut().pin_mut().check_finished();
            finished.map_err(|error| engine.explain("DataParallel::backward", error.what(), &self.names))?;
        }
        engine.group.leave();
        Ok(())
    }

    fn before_forward(&self, engine: &Engine) -> Result<()> {
        let call = "DataParallel::forward";
        engine.group.enter(call)?;
        let prepared = engine.reducer.borrow_mut().pin_mut().prepare_forward();
        prepared.map_err(|error| engine.explain(call, error.what(), &self.names))?;
        engine.group.leave();
        if !self.options.broadcast_buffers {
            return Ok(());
        }
        let buffers: Vec<Tensor> = self.module.named_buffers().into_iter().map(|(_, tensor)| tensor).collect();
        if buffers.is_empty() {
            return Ok(());
        }
        engine.group.collective(Fingerprint::new(Code::Forward), None, |group| {
            group.broadcast_all(&bridge::references(&buffers), 0)
        })
    }

    fn after_forward(&self, engine: &Engine, output: &Output) -> Result<()> {
        let tensors = match output {
            Output::Tensor(tensor) => std::slice::from_ref(tensor),
            Output::Tensors(tensors) => tensors.as_slice(),
        };
        let prepared = engine.reducer.borrow_mut().pin_mut().prepare_backward(&bridge::references(tensors));
        prepared.map_err(|error| engine.explain("DataParallel::forward", error.what(), &self.names))?;
        engine.prepared.set(true);
        Ok(())
    }
}

impl<M: Module> Forward for DataParallel<M> {
    fn forward(&self, input: &Tensor) -> mmcv_layers::Result<Tensor> {
        self.call(&[input], &Dict::new())?.single()
    }

    fn call(&self, inputs: &[&Tensor], options: &Dict) -> mmcv_layers::Result<Output> {
        let engine = self.engine.as_ref().filter(|_| self.syncs.get() && bridge::grad_is_enabled());
        let Some(engine) = engine else { return self.module.call(inputs, options) };
        self.before_forward(engine)?;
        let output = self.module.call(inputs, options)?;
        self.after_forward(engine, &output)?;
        Ok(output)
    }
}

impl Engine {
    fn new<M: Module>(
        group: &Arc<Inner>,
        module: &M,
        names: &Vec<String>,
        parameters: &[Tensor],
        options: &DataParallelOptions,
    ) -> Result<Self> {
        let native_options = ReducerOptions {
            bucket_bytes: i64::try_from(options.bucket_cap_mb).unwrap_or(i64::MAX >> 20).saturating_mul(1 << 20).max(1),
            first_bucket_bytes: 1 << 20,
            find_unused_parameters: options.find_unused_parameters,
        };
        let mut state: Vec<Tensor> = module.named_parameters().into_iter().map(|(_, tensor)| tensor).collect();
        state.extend(module.named_buffers().into_iter().map(|(_, tensor)| tensor));
        // The order of Python's, which may be another rank.
        let reducer = group.collective(Fingerprint::new(Code::Modules), None, |native| {
            let parameters = bridge::references(parameters);
            bridge::verify_parameters(native, &parameters)?;
            native.broadcast_all(&bridge::references(&state), 0)?;
            bridge::new_reducer(native, &parameters, names, &native_options)
        })?;
        Ok(Self { group: Arc::clone(group), reducer: RefCell::new(reducer), prepared: Cell::new(false) })
    }

    fn explain(&self, call: &str, message: &str, names: &[String]) -> Error {
        let unused = unused(message, names);
        if unused.is_empty() {
            return self.group.fail(call, message, self.group.timeout());
        }
        Error::from(ErrorKind::Unused { names: unused }).on(self.group.rank)
    }
}

/// Compares names, types and shapes of all parameters and buffers between the ranks.
fn check_same<M: Module>(group: &Group, module: &M) -> Result<()> {
    if !group.inner().is_some_and(|inner| inner.compares()) {
        return Ok(());
    }
    let mut state = Vec::new();
    for (name, tensor) in module.named_parameters() {
        let frozen = if tensor.requires_grad() { "" } else { ", frozen" };
        state.push(format!("{name} ({:?} {:?}{frozen})", tensor.f_kind()?, tensor.size()));
    }
    for (name, tensor) in module.named_buffers() {
        state.push(format!("{name} ({:?} {:?}, a buffer)", tensor.f_kind()?, tensor.size()));
    }
    let lines = state.join("\n");
    for (other, bytes) in group.gather_bytes(lines.as_bytes())?.iter().enumerate() {
        let text = String::from_utf8_lossy(bytes);
        if text == lines {
            continue;
        }
        let there: Vec<&str> = text.lines().collect();
        let position = (0..).find(|position| state.get(*position).map(String::as_str) != there.get(*position).copied());
        let position = position.unwrap_or(0);
        let here = state.get(position).cloned().unwrap_or_else(|| "(none)".to_owned());
        let there = there.get(position).map_or_else(|| "(none)".to_owned(), |text| (*text).to_owned());
        return Err(ErrorKind::Modules { here, other, there }.into());
    }
    Ok(())
}

/// The parameters that a message of the reducer lists.
fn unused(message: &str, names: &[String]) -> Vec<String> {
    let Some((_, list)) = message.split_once("did not receive grad for rank ") else { return Vec::new() };
    let Some((_, list)) = list.split_once(':') else { return Vec::new() };
    let list = list.lines().next().unwrap_or_default();
    let mut found = Vec::new();
    for word in list.split([' ', ',']).filter(|word| !word.is_empty()) {
        match word.parse::<usize>() {
            Ok(index) => found.extend(names.get(index).cloned()),
            Err(_) if names.iter().any(|name| name == word) => found.push(word.to_owned()),
            Err(_) => {}
        }
    }
    found
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("group", &self.group).finish_non_exhaustive()
    }
}

/// Keeps gradients on each rank; see [`DataParallel::no_sync`].
#[derive(Debug)]
pub struct NoSync<'a> {
    syncs: &'a Cell<bool>,
    before: bool,
}

impl Drop for NoSync<'_> {
    fn drop(&mut self) {
        self.syncs.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::unused;

    #[test]
    fn unused_parameters_have_names() {
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let message = "Expected ...\nParameter indices which did not receive grad for rank 0: 0 2\n In addition, 1";
        assert_eq!(unused(message, &names), ["a", "c"]);
        assert_eq!(unused("Parameters which did not receive grad for rank 1: b, c\n", &names), ["b", "c"]);
        assert!(unused("something else", &names).is_empty());
    }
}
