//! [`Program`]: a graph prepared for inputs of given shapes.

use tch::{Device, Tensor};

use crate::error::Result;
use crate::ffi::is_moderate;
use crate::graph::Graph;
use crate::interpreter::{Interpreter, Timing};
use crate::onednn::{self, Shapes, Weights};
use crate::options::{Backend, Dtype, FuseOptions};
use crate::rewrite::libtorch;
use crate::sample;

/// A graph prepared for inputs of given shapes.
#[derive(Debug)]
pub(crate) struct Program {
    interpreter: Interpreter,
    /// The operators as they were, for inputs that the fused ones of libtorch do not compute as they do.
    plain: Option<Interpreter>,
    /// Whether the operators change their inputs, which are then copied.
    changes_inputs: bool,
    /// Why oneDNN is not used.
    without: Option<String>,
}

impl Program {
    /// Prepares `graph` for inputs for which its values have the given shapes. Where it was not `simplified`, it is run as it
    /// is.
    pub(crate) fn new(
        graph: &Graph,
        simplified: bool,
        (shapes, device): (&Shapes, Device),
        options: &FuseOptions,
        weights: &mut Weights,
    ) -> Result<Self> {
        let mut graph = graph.clone();
        graph.questions.clear();
        graph.sweep();
        let mut program =
            Self { interpreter: Interpreter::new(&graph)?, plain: None, changes_inputs: !simplified, without: None };
        if !simplified {
            return Ok(program);
        }
        if device == Device::Cpu && options.backend != Backend::Libtorch {
            program.without = why_not(options.backend)?;
            if program.without.is_none() {
                let (graph, regions) = onednn::regions(&graph, shapes, options.dtype, weights)?;
                program.interpreter = Interpreter::with_regions(&graph, regions)?;
                return Ok(program);
            }
        }
        if device == Device::Cpu {
            program.plain = Some(program.interpreter);
        }
        let mut shapes = shapes.clone();
        if options.dtype == Dtype::Bf16 {
            libtorch::in_bfloat16(&mut graph, &mut shapes)?;
        }
        libtorch::fuse(&mut graph, &shapes, device)?;
        program.interpreter = Interpreter::new(&graph)?;
        Ok(program)
    }

    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        if self.changes_inputs {
            let copies: Vec<Tensor> = inputs.iter().map(|input| sample::copy(input)).collect::<Result<_, _>>()?;
            return self.interpreter.run(&copies.iter().collect::<Vec<_>>());
        }
        if let Some(plain) = &mut self.plain {
            for input in inputs {
                if !is_moderate(&input.f_contiguous()?) {
                    return plain.run(inputs);
                }
            }
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
        let without = self.without.as_ref().map(|why| format!("without oneDNN: {why}"));
        regions.chain(operators).chain(without).collect::<Vec<_>>().join(", ")
    }
}

/// Why oneDNN cannot be used, if it cannot; an error where it has to be: the user asks for it, or names a library.
fn why_not(backend: Backend) -> Result<Option<String>> {
    let Err(error) = onednn::onednn_version() else { return Ok(None) };
    let named = std::env::var_os("MMCV_ONEDNN").is_some_and(|name| !name.is_empty());
    if backend == Backend::OneDnn || named {
        return Err(error);
    }
    log::warn!("libtorch's own operators are used, since oneDNN's functions cannot be found: {error}");
    Ok(Some(error.to_string()))
}
