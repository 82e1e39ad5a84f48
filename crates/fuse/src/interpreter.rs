//! [`Interpreter`]: runs a graph operator by operator through libtorch's dispatcher.

use std::collections::HashMap;

use tch::Tensor;

use crate::bridge::storage;
use crate::call::Call;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Arg, Graph, Node, Shapes, ValueId};
use crate::onednn::{Region, Weights};

/// A graph that is ready to run.
#[derive(Debug)]
pub(crate) struct Interpreter {
    steps: Vec<Step>,
    constants: Values,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

/// One operator.
#[derive(Debug)]
struct Step {
    runner: Runner,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    /// The values that nothing reads after this step.
    dead: Vec<ValueId>,
    op: String,
    module: String,
}

/// What a step does.
#[derive(Debug)]
enum Runner {
    Call(Call),
    Region(Box<Region>),
}

/// The time that an operator of a fused module took.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Timing {
    /// The module whose forward pass it is part of, from the one that was fused.
    pub module: String,
    /// The operator: `convolution`, or libtorch's name.
    pub operator: String,
    /// The kernel, if oneDNN runs it: `brgconv:avx512_core`; else empty.
    pub kernel: String,
    /// The time in milliseconds.
    pub milliseconds: f64,
}

/// The values of a run.
pub(crate) type Values = HashMap<ValueId, Tensor>;

impl Interpreter {
    /// Prepares the operators of `graph`.
    pub(crate) fn new(graph: &Graph) -> Result<Self> {
        Self::with_regions(graph, HashMap::new())
    }

    /// Prepares the operators of `graph`, some of which are regions.
    pub(crate) fn with_regions(graph: &Graph, mut regions: HashMap<usize, Region>) -> Result<Self> {
        let mut dead = dead_after(graph);
        let mut steps = Vec::with_capacity(graph.nodes.len());
        for (index, node) in graph.nodes.iter().enumerate() {
            let dead = dead.remove(&index).unwrap_or_default();
            steps.push(Step::new(node, regions.remove(&index), dead)?);
        }
        // Others may be large, and are not kept alive.
        let read = graph.uses();
        let constants = graph.constants.iter().filter(|(value, _)| read.contains_key(value));
        Ok(Self {
            steps,
            constants: constants.map(|(value, tensor)| (*value, tensor.shallow_clone())).collect(),
            inputs: graph.inputs.clone(),
            outputs: graph.outputs.clone(),
        })
    }

    /// The outputs for these inputs.
    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut values = self.start(inputs);
        for step in &mut self.steps {
            step.run(&mut values, &self.constants)?;
            step.drop_dead(&mut values);
        }
        self.results(&values)
    }

    /// What each operator took for these inputs.
    pub(crate) fn profile(&mut self, inputs: &[&Tensor]) -> Result<Vec<Timing>> {
        let mut values = self.start(inputs);
        let mut timings = Vec::new();
        for step in &mut self.steps {
            step.profile(&mut values, &self.constants, &mut timings)?;
        }
        Ok(timings)
    }

    /// The outputs for these inputs; `visit` sees each input and each value once it is computed, and may replace it.
    pub(crate) fn run_visiting(
        &mut self,
        inputs: &[&Tensor],
        mut visit: impl FnMut(ValueId, &mut Tensor) -> Result<()>,
    ) -> Result<Vec<Tensor>> {
        let mut values = self.start(inputs);
        for (value, tensor) in &mut values {
            visit(*value, tensor)?;
        }
        for step in &mut self.steps {
            step.run(&mut values, &self.constants)?;
            for value in &step.outputs {
                if let Some(tensor) = values.get_mut(value) {
                    visit(*value, tensor)?;
                }
            }
            step.drop_dead(&mut values);
        }
        self.results(&values)
    }

    /// All values for these inputs.
    pub(crate) fn run_all(&mut self, inputs: &[&Tensor]) -> Result<Values> {
        let mut values = self.start(inputs);
        for step in &mut self.steps {
            step.run(&mut values, &self.constants)?;
        }
        Ok(values)
    }

    /// Whether an operator changes memory that another value shares that is read later, or a constant.
    pub(crate) fn changes_what_is_read(&mut self, inputs: &[&Tensor]) -> Result<bool> {
        let mut values = self.start(inputs);
        for step in &mut self.steps {
            if step.changes_what_is_read(&values, &self.constants)? {
                return Ok(true);
            }
            step.run(&mut values, &self.constants)?;
            step.drop_dead(&mut values);
        }
        Ok(false)
    }

    /// The shapes and types of all values for these inputs, and the outputs.
    pub(crate) fn shapes(&mut self, inputs: &[&Tensor]) -> Result<(Shapes, Vec<Tensor>)> {
        let mut values = self.start(inputs);
        let mut shapes = Shapes::new();
        for (value, tensor) in self.constants.iter().chain(&values) {
            shapes.insert(*value, (tensor.size(), tensor.kind()));
        }
        for step in &mut self.steps {
            step.run(&mut values, &self.constants)?;
            for value in &step.outputs {
                if let Some(tensor) = values.get(value) {
                    shapes.insert(*value, (tensor.size(), tensor.kind()));
                }
            }
            step.drop_dead(&mut values);
        }
        Ok((shapes, self.results(&values)?))
    }

    /// [`Region::give_up_plain`] for all regions.
    pub(crate) fn give_up_plain(&mut self, weights: &Weights) {
        for step in &mut self.steps {
            if let Runner::Region(region) = &mut step.runner {
                region.give_up_plain(weights);
            }
        }
    }

    /// The outputs among these values.
    fn results(&self, values: &Values) -> Result<Vec<Tensor>> {
        let mut results = Vec::with_capacity(self.outputs.len());
        for value in &self.outputs {
            results.push(find(*value, values, &self.constants)?.shallow_clone());
        }
        Ok(results)
    }

    /// The number of operators of libtorch, and for each region its primitives and the reorders among them.
    pub(crate) fn counts(&self) -> (usize, Vec<(usize, usize)>) {
        let mut regions = Vec::new();
        for step in &self.steps {
            if let Runner::Region(region) = &step.runner {
                regions.push(region.counts());
            }
        }
        (self.steps.len() - regions.len(), regions)
    }

    fn start(&self, inputs: &[&Tensor]) -> Values {
        let mut values = Values::with_capacity(inputs.len());
        for (value, input) in self.inputs.iter().zip(inputs) {
            values.insert(*value, input.shallow_clone());
        }
        values
    }
}

/// For each node, the values that nothing reads after it.
pub(crate) fn dead_after(graph: &Graph) -> HashMap<usize, Vec<ValueId>> {
    let mut last = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        for value in node.inputs().chain(node.outputs.iter().copied()) {
            last.insert(value, index);
        }
    }
    for value in &graph.outputs {
        last.remove(value);
    }
    let mut dead: HashMap<usize, Vec<ValueId>> = HashMap::new();
    for (value, index) in last {
        dead.entry(index).or_default().push(value);
    }
    dead
}

impl Step {
    fn new(node: &Node, region: Option<Region>, dead: Vec<ValueId>) -> Result<Self> {
        let runner = match region {
            Some(region) => Runner::Region(Box::new(region)),
            None => Runner::Call(call(node)?),
        };
        Ok(Self {
            runner,
            inputs: node.inputs().collect(),
            outputs: node.outputs.clone(),
            dead,
            op: node.op.clone(),
            module: node.module.clone(),
        })
    }

    fn inputs<'a>(&self, values: &'a Values, constants: &'a Values) -> Result<Vec<&'a Tensor>> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for value in &self.inputs {
            inputs.push(find(*value, values, constants)?);
        }
        Ok(inputs)
    }

    fn run(&mut self, values: &mut Values, constants: &Values) -> Result<()> {
        let inputs = self.inputs(values, constants)?;
        let results = match &mut self.runner {
            Runner::Call(call) => call.run(&inputs),
            Runner::Region(region) => region.run(&inputs),
        };
        self.store(results.map_err(|error| in_module(error, &self.module))?, values)
    }

    fn store(&self, results: Vec<Tensor>, values: &mut Values) -> Result<()> {
        if results.len() != self.outputs.len() {
            return Err(Error::unsupported(&self.module, "it returns lists of different lengths"));
        }
        values.extend(self.outputs.iter().copied().zip(results));
        Ok(())
    }

    fn drop_dead(&self, values: &mut Values) {
        for value in &self.dead {
            values.remove(value);
        }
    }

    fn changes_what_is_read(&self, values: &Values, constants: &Values) -> Result<bool> {
        let Some(target) = self.inputs.first() else { return Ok(false) };
        if !self.op.ends_with('_') {
            return Ok(false);
        }
        let changed = storage(find(*target, values, constants)?);
        for (value, tensor) in values {
            if !self.dead.contains(value) && storage(tensor) == changed {
                return Ok(true);
            }
        }
        Ok(constants.values().any(|tensor| storage(tensor) == changed))
    }

    fn profile(&mut self, values: &mut Values, constants: &Values, timings: &mut Vec<Timing>) -> Result<()> {
        let inputs = self.inputs(values, constants)?;
        if let Runner::Region(region) = &mut self.runner {
            let (results, steps) = region.profile(&inputs)?;
            for (label, milliseconds) in steps {
                let operator = label.operator.to_owned();
                timings.push(Timing { module: label.module, operator, kernel: label.kernel, milliseconds });
            }
            return self.store(results, values);
        }
        let start = std::time::Instant::now();
        self.run(values, constants)?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        let operator = self.op.clone();
        timings.push(Timing { module: self.module.clone(), operator, kernel: String::new(), milliseconds });
        Ok(())
    }
}

/// The call that the node stands for: its arguments refer to the tensors of the call by their position.
pub(crate) fn call(node: &Node) -> Result<Call> {
    let mut position = 0;
    let mut args = Vec::with_capacity(node.args.len());
    for arg in &node.args {
        args.push(match arg {
            Arg::Value(_) => Arg::Value(take(&mut position)),
            Arg::Values(values) => Arg::Values(values.iter().map(|value| value.map(|_| take(&mut position))).collect()),
            other => other.clone(),
        });
    }
    Call::new(&node.op, &node.overload, &args).map_err(|error| in_module(error, &node.module))
}

fn take(position: &mut usize) -> usize {
    *position += 1;
    *position - 1
}

/// The error of an operator of this module.
fn in_module(mut error: Error, module: &str) -> Error {
    if matches!(*error.kind, ErrorKind::Native { .. }) {
        module.clone_into(&mut error.module);
    }
    error
}

fn find<'a>(value: ValueId, values: &'a Values, constants: &'a Values) -> Result<&'a Tensor> {
    if let Some(tensor) = values.get(&value) {
        return Ok(tensor);
    }
    match constants.get(&value) {
        Some(tensor) => Ok(tensor),
        None => Err(Error::unsupported("", format!("value {value} of the graph is missing"))),
    }
}

/// What the node returns, all of whose inputs are constants of `graph`.
pub(crate) fn evaluate(graph: &Graph, node: &Node) -> Result<Vec<Tensor>> {
    let mut one =
        Graph { nodes: vec![node.clone()], outputs: node.outputs.clone(), next: graph.next, ..Graph::default() };
    for value in node.inputs() {
        if let Some(constant) = graph.constants.get(&value) {
            one.constants.insert(value, constant.shallow_clone());
        }
    }
    Interpreter::new(&one)?.run(&[])
}
