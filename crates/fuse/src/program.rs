//! [`Program`]: a graph prepared for inputs of given shapes.

use tch::Tensor;

use crate::error::Result;
use crate::graph::Graph;
use crate::interpreter::Interpreter;
use crate::options::FuseOptions;

/// A graph prepared for inputs of given shapes.
#[derive(Debug)]
pub(crate) struct Program {
    interpreter: Interpreter,
    /// Whether the operators change their inputs, which are then copied.
    changes_inputs: bool,
}

impl Program {
    pub(crate) fn new(graph: &Graph, simplified: bool, _inputs: &[Tensor], _options: &FuseOptions) -> Result<Self> {
        Ok(Self { interpreter: Interpreter::new(graph)?, changes_inputs: !simplified })
    }

    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        if self.changes_inputs {
            let copies: Vec<Tensor> = inputs.iter().map(|input| input.copy()).collect();
            return self.interpreter.run(&copies.iter().collect::<Vec<_>>());
        }
        self.interpreter.run(inputs)
    }

    pub(crate) fn summary(&self) -> String {
        format!("{} operators of libtorch", self.interpreter.len())
    }
}
