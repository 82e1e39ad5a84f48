//! [`Interpreter`]: runs a graph operator by operator through libtorch's dispatcher.

use std::collections::HashMap;

use tch::Tensor;

use crate::error::{Error, Result};
use crate::ffi::Call;
use crate::graph::{Arg, Graph, Node, ValueId};

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
    call: Call,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    /// The values that nothing reads after this step.
    dead: Vec<ValueId>,
    module: String,
}

/// The values of a run.
pub(crate) type Values = HashMap<ValueId, Tensor>;

impl Interpreter {
    /// Prepares the operators of `graph`.
    pub(crate) fn new(graph: &Graph) -> Result<Self> {
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
        let steps = steps.map(|(index, node)| Step::new(node, dead.remove(&index).unwrap_or_default()));
        Ok(Self {
            steps: steps.collect::<Result<_>>()?,
            constants: graph.constants.iter().map(|(value, tensor)| (*value, tensor.shallow_clone())).collect(),
            inputs: graph.inputs.clone(),
            outputs: graph.outputs.clone(),
        })
    }

    /// The outputs for these inputs.
    pub(crate) fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut values = self.start(inputs);
        for step in &self.steps {
            step.run(&mut values, &self.constants)?;
            for value in &step.dead {
                values.remove(value);
            }
        }
        self.outputs.iter().map(|value| Ok(find(*value, &values, &self.constants)?.shallow_clone())).collect()
    }

    /// All values for these inputs.
    pub(crate) fn run_all(&self, inputs: &[&Tensor]) -> Result<Values> {
        let mut values = self.start(inputs);
        self.steps.iter().try_for_each(|step| step.run(&mut values, &self.constants))?;
        Ok(values)
    }

    /// The number of operators.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    fn start(&self, inputs: &[&Tensor]) -> Values {
        self.inputs.iter().copied().zip(inputs.iter().map(|input| input.shallow_clone())).collect()
    }
}

impl Step {
    fn new(node: &Node, dead: Vec<ValueId>) -> Result<Self> {
        let inputs: Vec<ValueId> = node.inputs().collect();
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
        let call = Call::new(&node.op, &node.overload, &args).map_err(|error| in_module(error, &node.module))?;
        Ok(Self { call, inputs, outputs: node.outputs.clone(), dead, module: node.module.clone() })
    }

    fn run(&self, values: &mut Values, constants: &Values) -> Result<()> {
        let inputs = self.inputs.iter().map(|value| find(*value, values, constants)).collect::<Result<Vec<_>>>()?;
        let results = self.call.run(&inputs).map_err(|error| in_module(error, &self.module))?;
        if results.len() != self.outputs.len() {
            return Err(Error::unsupported(&self.module, "it gives lists of different lengths"));
        }
        values.extend(self.outputs.iter().copied().zip(results));
        Ok(())
    }
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
