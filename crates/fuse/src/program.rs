//! [`Program`]: a graph prepared for inputs of given shapes.

use tch::{Device, Tensor};

use crate::error::Result;
use crate::graph::Graph;
use crate::interpreter::{Interpreter, Timing};
use crate::onednn::{self, Weights};
use crate::options::{Backend, Dtype, FuseOptions};
use crate::rewrite::libtorch;

/// A graph prepared for inputs of given shapes.
#[derive(Debug)]
pub(crate) struct Program {
    interpreter: Interpreter,
    /// Whether the operators change their inputs, which are then copied.
    changes_inputs: bool,
}

impl Program {
    /// Prepares `graph` for inputs like these. Where it was not `simplified`, it is run as it is.
    pub(crate) fn new(
        graph: &Graph,
        simplified: bool,
        inputs: &[Tensor],
        options: &FuseOptions,
        weights: &mut Weights,
    ) -> Result<Self> {
        let mut interpreter = Interpreter::new(graph)?;
        let device = inputs.first().map_or(Device::Cpu, Tensor::device);
        if simplified {
            let shapes = interpreter.shapes(&inputs.iter().collect::<Vec<_>>())?;
            interpreter = if device == Device::Cpu && options.backend != Backend::Libtorch && usable(options.backend)? {
                let (graph, regions) = onednn::regions(graph, &shapes, options.dtype, weights)?;
                Interpreter::with_regions(&graph, regions)?
            } else {
                let mut graph = graph.clone();
                if options.dtype == Dtype::Bf16 {
                    libtorch::in_bfloat16(&mut graph, &shapes)?;
                }
                let shapes = Interpreter::new(&graph)?.shapes(&inputs.iter().collect::<Vec<_>>())?;
                libtorch::fuse(&mut graph, &shapes, device)?;
                Interpreter::new(&graph)?
            };
        }
        Ok(Self { interpreter, changes_inputs: !simplified })
    }

    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        if self.changes_inputs {
            let copies: Vec<Tensor> = inputs.iter().map(|input| input.copy()).collect();
            return self.interpreter.run(&copies.iter().collect::<Vec<_>>());
        }
        self.interpreter.run(inputs)
    }

    pub(crate) fn profile(&mut self, inputs: &[&Tensor]) -> Result<Vec<Timing>> {
        self.interpreter.profile(inputs)
    }

    pub(crate) fn summary(&self) -> String {
        let (operators, regions) = self.interpreter.counts();
        let regions = regions.iter().map(|(steps, reorders)| format!("{steps} steps of oneDNN ({reorders} reorders)"));
        let operators = Some(format!("{operators} operators of libtorch")).filter(|_| operators > 0);
        regions.chain(operators).collect::<Vec<_>>().join(", ")
    }
}

/// Whether oneDNN can be used; an error where it has to be and cannot.
fn usable(backend: Backend) -> Result<bool> {
    match onednn::onednn_version() {
        Ok(_) => Ok(true),
        Err(error) if backend == Backend::OneDnn => Err(error),
        Err(_) => Ok(false),
    }
}
