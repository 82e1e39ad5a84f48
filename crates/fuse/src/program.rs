//! [`Program`]: a graph prepared for inputs of fixed shapes.

use tch::{Device, Tensor};

use crate::bridge::is_moderate;
use crate::error::Result;
use crate::graph::{Graph, Node, Shapes};
use crate::interpreter::{Interpreter, Timing};
use crate::onednn::{self, Weights};
use crate::options::{Backend, FuseOptions, Precision};
use crate::rewrite::libtorch;
use crate::sample;

/// A graph prepared for inputs of fixed shapes.
#[derive(Debug)]
pub(crate) struct Program {
    interpreter: Interpreter,
    /// The operators as they were, for inputs for which the fused ones of libtorch return other numbers.
    plain: Option<Interpreter>,
    /// Whether the operators change their inputs, which are then copied.
    changes_inputs: bool,
    /// What is not as the options say, for the summary.
    notes: Vec<String>,
}

impl Program {
    /// Prepares `graph` for inputs for which its values have these shapes. A graph that is not `simplified` is run as it is.
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
        let mut program = Self {
            interpreter: Interpreter::new(&graph)?,
            plain: None,
            changes_inputs: !simplified,
            notes: Vec::new(),
        };
        if !simplified {
            program.note_f32(&graph, &graph, options.precision);
            return Ok(program);
        }
        if device == Device::Cpu && options.backend != Backend::Libtorch {
            match why_not_onednn(options.backend)? {
                None => {
                    let (mut rewritten, mut regions) = onednn::regions(&graph, shapes, options, weights);
                    if program.note_f32(&graph, &rewritten, options.precision) {
                        let options = FuseOptions { precision: Precision::F32, ..options.clone() };
                        (rewritten, regions) = onednn::regions(&graph, shapes, &options, weights);
                    }
                    program.interpreter = Interpreter::with_regions(&rewritten, regions)?;
                    return Ok(program);
                }
                Some(why) => program.notes.push(format!("without oneDNN, whose functions cannot be found: {why}")),
            }
        }
        if device == Device::Cpu {
            program.plain = Some(program.interpreter);
        }
        let mut shapes = shapes.clone();
        if options.precision == Precision::Bf16 {
            libtorch::in_bfloat16(&mut graph, &mut shapes)?;
        }
        libtorch::fuse(&mut graph, &shapes, device)?;
        program.interpreter = Interpreter::new(&graph)?;
        Ok(program)
    }

    /// Notes how much of `graph` does not run in bfloat16, though it should: what `rewritten` leaves to libtorch. Returns whether this
    /// is everything that takes time.
    fn note_f32(&mut self, graph: &Graph, rewritten: &Graph, precision: Precision) -> bool {
        let (left, all) = (heavy_operators(rewritten), heavy_operators(graph));
        if precision != Precision::Bf16 || left == 0 {
            return false;
        }
        let note = format!(
            "{left} of {all} convolutions and linear layers in f32 instead of bf16: there are no bf16 kernels for them on this CPU"
        );
        self.notes.push(note);
        left == all
    }

    pub(crate) fn run(&mut self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        if self.changes_inputs {
            let mut copies = Vec::with_capacity(inputs.len());
            for input in inputs {
                copies.push(sample::copy(input)?);
            }
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

    /// Gives up plain weights that can be made again from those of the kernels.
    pub(crate) fn give_up_plain(&mut self, weights: &Weights) {
        self.interpreter.give_up_plain(weights);
    }

    /// Warns of what is not as the options say.
    pub(crate) fn log_notes(&self) {
        for note in &self.notes {
            log::warn!("{note}");
        }
    }

    /// What runs the operators, and the notes.
    pub(crate) fn summary(&self) -> String {
        let (operators, regions) = self.interpreter.counts();
        let mut parts = Vec::new();
        for (steps, reorders) in regions {
            parts.push(format!("{steps} steps of oneDNN ({reorders} reorders)"));
        }
        if operators > 0 {
            parts.push(format!("{operators} operators of libtorch"));
        }
        parts.extend_from_slice(&self.notes);
        parts.join(", ")
    }
}

/// The number of convolutions and linear layers, which take most of the time.
fn heavy_operators(graph: &Graph) -> usize {
    graph.nodes.iter().map(|node| usize::from(is_heavy(node))).sum()
}

fn is_heavy(node: &Node) -> bool {
    matches!(node.name(), "_convolution" | "convolution" | "linear")
}

/// Why oneDNN cannot be used, if it cannot; an error if it has to be: the user asks for it, or names a library.
fn why_not_onednn(backend: Backend) -> Result<Option<String>> {
    let Err(error) = onednn::onednn_version() else { return Ok(None) };
    let is_named = match std::env::var_os("MMCV_ONEDNN") {
        Some(name) => !name.is_empty(),
        None => false,
    };
    if backend == Backend::OneDnn || is_named {
        return Err(error);
    }
    Ok(Some(error.to_string()))
}
