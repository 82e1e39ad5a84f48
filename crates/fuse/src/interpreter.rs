//! [`Interpreter`]: runs a graph operator by operator through libtorch's dispatcher.

use std::collections::HashMap;

use tch::Tensor;

use crate::error::{Error, Result};
use crate::ffi::{Call, storage};
use crate::graph::{Arg, Graph, Node, ValueId};
use crate::onednn::{Region, Shapes, shape_of};

/// A graph that is ready to run.
#[derive(Debug)]
pub(crate) struct Interpreter {
    steps: Vec<Step>,
    constants: HashMap<ValueId, Tensor>,
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
    /// The kernel, where oneDNN runs it: `brgconv:avx512_core`; else empty.
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
        let mut last = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            last.extend(node.inputs().chain(node.outputs.iter().copied()).map(|value| (value, index)));
        }
        for value in &graph.outputs {
            last.remove(value);
        }
        let mut dead: HashMap<usize, Vec<ValueId>> = HashMap::new();
        for (value, index) in last {
            dead.entry(index).or_default().push(value);
        }
        let steps = graph.nodes.iter().enumerate();
        let steps = steps.map(|(index, node)| {
            let dead = dead.remove(&index).unwrap_or_default();
            Step::new(node, regions.remove(&index), dead)
        });
        Ok(Self {
            steps: steps.collect::<Result<_>>()?,
            constants: graph.constants.iter().map(|(value, tensor)| (*value, tensor.shallow_clone())).collect(),
            inputs: graph.inputs.clone(),
            outputs: graph.outputs.clone(),
        })
    }

    /// The outputs for these inputs.
    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut values = self.start(inputs);
        for step in &mut self.steps {
            step.run(&mut values, &self.constants)?;
            for value in &step.dead {
                values.remove(value);
            }
        }
        self.given(&values)
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

    /// All values for these inputs.
    pub(crate) fn run_all(&mut self, inputs: &[&Tensor]) -> Result<Values> {
        let mut values = self.start(inputs);
        self.steps.iter_mut().try_for_each(|step| step.run(&mut values, &self.constants))?;
        Ok(values)
    }

    /// Whether an operator changes memory in which another value lies that is read later, or a constant.
    pub(crate) fn changes_what_is_read(&mut self, inputs: &[&Tensor]) -> Result<bool> {
        let mut values = self.start(inputs);
        for step in &mut self.steps {
            if let Some(target) = step.inputs.first().filter(|_| step.op.ends_with('_')) {
                let changed = storage(find(*target, &values, &self.constants)?);
                let read_later = values.iter().filter(|(value, _)| !step.dead.contains(value));
                if read_later.chain(&self.constants).any(|(_, tensor)| storage(tensor) == changed) {
                    return Ok(true);
                }
            }
            step.run(&mut values, &self.constants)?;
            for value in &step.dead {
                values.remove(value);
            }
        }
        Ok(false)
    }

    /// The shapes and types of all values for these inputs, and the outputs.
    pub(crate) fn shapes(&mut self, inputs: &[&Tensor]) -> Result<(Shapes, Vec<Tensor>)> {
        let mut values = self.start(inputs);
        let mut shapes: Shapes =
            self.constants.iter().chain(&values).map(|(value, tensor)| (*value, shape_of(tensor))).collect();
        for step in &mut self.steps {
            step.run(&mut values, &self.constants)?;
            let given = step.outputs.iter().filter_map(|value| Some((*value, shape_of(values.get(value)?))));
            shapes.extend(given);
            for value in &step.dead {
                values.remove(value);
            }
        }
        Ok((shapes, self.given(&values)?))
    }

    /// The outputs among these values.
    fn given(&self, values: &Values) -> Result<Vec<Tensor>> {
        self.outputs.iter().map(|value| Ok(find(*value, values, &self.constants)?.shallow_clone())).collect()
    }

    /// The number of operators of libtorch, and for each region its primitives and the reorders among them.
    pub(crate) fn counts(&self) -> (usize, Vec<(usize, usize)>) {
        let regions = self.steps.iter().filter_map(|step| match &step.runner {
            Runner::Call(_) => None,
            Runner::Region(region) => Some(region.counts()),
        });
        let regions: Vec<_> = regions.collect();
        (self.steps.len() - regions.len(), regions)
    }

    fn start(&self, inputs: &[&Tensor]) -> Values {
        self.inputs.iter().copied().zip(inputs.iter().map(|input| input.shallow_clone())).collect()
    }
}

impl Step {
    fn new(node: &Node, region: Option<Region>, dead: Vec<ValueId>) -> Result<Self> {
        let inputs: Vec<ValueId> = node.inputs().collect();
        let runner = match region {
            Some(region) => Runner::Region(Box::new(region)),
            None => Runner::Call(call(node)?),
        };
        Ok(Self {
            runner,
            inputs,
            outputs: node.outputs.clone(),
            dead,
            op: node.op.clone(),
            module: node.module.clone(),
        })
    }

    fn run(&mut self, values: &mut Values, constants: &Values) -> Result<()> {
        let inputs = self.inputs.iter().map(|value| find(*value, values, constants)).collect::<Result<Vec<_>>>()?;
        let results = match &mut self.runner {
            Runner::Call(call) => call.run(&inputs),
            Runner::Region(region) => region.run(&inputs),
        };
        let results = results.map_err(|error| in_module(error, &self.module))?;
        if results.len() != self.outputs.len() {
            return Err(Error::unsupported(&self.module, "it gives lists of different lengths"));
        }
        values.extend(self.outputs.iter().copied().zip(results));
        Ok(())
    }
}

impl Step {
    fn profile(&mut self, values: &mut Values, constants: &Values, timings: &mut Vec<Timing>) -> Result<()> {
        if let Runner::Region(region) = &mut self.runner {
            let inputs = self.inputs.iter().map(|value| find(*value, values, constants)).collect::<Result<Vec<_>>>()?;
            let (results, steps) = region.profile(&inputs)?;
            timings.extend(steps.into_iter().map(|(label, milliseconds)| Timing {
                module: label.module,
                operator: label.operator.to_owned(),
                kernel: label.kernel,
                milliseconds,
            }));
            values.extend(self.outputs.iter().copied().zip(results));
            return Ok(());
        }
        let start = std::time::Instant::now();
        self.run(values, constants)?;
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        let operator = self.op.clone();
        timings.push(Timing { module: self.module.clone(), operator, kernel: String::new(), milliseconds });
        Ok(())
    }
}

/// The call that the node is.
fn call(node: &Node) -> Result<Call> {
    // The arguments refer to the tensors of the call by their position.
    let mut position = 0;
    let mut next = || {
        position += 1;
        position - 1
    };
    let args: Vec<Arg> = node
        .args
        .iter()
        .map(|arg| match arg {
            Arg::Value(_) => Arg::Value(next()),
            Arg::Values(values) => Arg::Values(values.iter().map(|value| value.map(|_| next())).collect()),
            other => other.clone(),
        })
        .collect();
    Call::new(&node.op, &node.overload, &args).map_err(|error| in_module(error, &node.module))
}

fn in_module(error: Error, module: &str) -> Error {
    match error {
        Error::Native { operator, message } if !module.is_empty() => {
            Error::Native { operator: format!("{module}: {operator}"), message }
        }
        other => other,
    }
}

fn find<'a>(value: ValueId, values: &'a Values, constants: &'a Values) -> Result<&'a Tensor> {
    let found = values.get(&value).or_else(|| constants.get(&value));
    found.ok_or_else(|| Error::unsupported("", format!("value {value} of the graph is missing")))
}

/// What the node gives, all of whose inputs are constants of `graph`.
pub(crate) fn evaluate(graph: &Graph, node: &Node) -> Result<Vec<Tensor>> {
    let constants = node.inputs().filter_map(|value| Some((value, graph.constants.get(&value)?.shallow_clone())));
    let one = Graph {
        nodes: vec![node.clone()],
        inputs: Vec::new(),
        outputs: node.outputs.clone(),
        constants: constants.collect(),
        questions: Vec::new(),
        next: graph.next,
    };
    Interpreter::new(&one)?.run(&[])
}
