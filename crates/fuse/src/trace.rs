//! [`trace`]: the operators that a module's forward pass calls, as a [`Graph`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use mmcv_layers::observe::{self, Hooks, SamePart};
use mmcv_layers::{Module, ModuleExt, Output};
use mmcv_registry::Dict;
use tch::Tensor;

use crate::error::{Error, Result};
use crate::ffi::{Asked, Tracing, Visit, plain};
use crate::graph::{Arg, Graph, Node, Question, ValueId};

/// A forward pass.
pub(crate) struct Traced {
    pub(crate) graph: Graph,
    /// Whether the outputs are one tensor and not a list.
    pub(crate) single: bool,
}

thread_local! {
    /// What [`observe::of_size`] used of sizes, in order.
    static PARTS: RefCell<Vec<SamePart>> = const { RefCell::new(Vec::new()) };
}

/// Is told what a module asks by [`observe::of_size`].
fn note_part(tensor: &Tensor, same: SamePart) {
    if Tracing::part(tensor) {
        PARTS.with_borrow_mut(|parts| parts.push(same));
    }
}

/// Runs the module on `inputs` and notes its operators, and what it asks of sizes. The constants of the graph share their
/// memory with the module.
pub(crate) fn trace(module: &dyn Module, inputs: &[Tensor], arguments: &Dict) -> Result<Traced> {
    let _guard = tch::no_grad_guard();
    let state: Vec<Tensor> = module.state_dict().into_iter().map(|(_, tensor)| tensor).collect();
    drop(PARTS.take());
    let (tracing, standing) = Tracing::begin(inputs, &state)?;
    let references: Vec<&Tensor> = standing.iter().collect();
    let watching = Hooks { scope: Tracing::scope, size: Tracing::unnoted_size, part: note_part };
    let output = observe::with_hooks(watching, || module.call(&references, arguments)).map_err(Error::Module)?;
    let single = matches!(output, Output::Tensor(_));
    let outputs = output.into_vec();
    let mut builder = Builder { parts: PARTS.take().into(), ..Builder::default() };
    tracing.end(&outputs, &mut builder)?;
    let graph = builder.finish(inputs.len(), &state)?;
    Ok(Traced { graph, single })
}

/// Makes a graph of what the tracer tells.
#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    args: HashMap<ValueId, Arg>,
    tensors: HashMap<ValueId, Tensor>,
    created: Vec<(ValueId, Tensor)>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    questions: Vec<Question>,
    parts: VecDeque<SamePart>,
    next: ValueId,
    problem: Option<Error>,
}

impl Visit for Builder {
    fn node(&mut self, op: &str, overload: &str, module: &str, inputs: &[ValueId], outputs: &[ValueId]) {
        self.next = outputs.iter().fold(self.next, |next, value| next.max(value + 1));
        let module = module.replace('/', ".");
        let args: Vec<Arg> = inputs.iter().map(|value| self.argument(*value)).collect();
        match (op, outputs) {
            ("prim::ListConstruct", [output]) => match list(&args) {
                Some(list) => drop(self.args.insert(*output, list)),
                None => self.refuse(&module, "it makes a list of what is neither numbers nor tensors"),
            },
            ("prim::ListUnpack", _) => {
                // The operator that gives the list gives its elements.
                let producer = self.nodes.iter_mut().rev().find(|node| node.outputs == inputs);
                match producer {
                    Some(producer) => producer.outputs = outputs.to_vec(),
                    None => self.refuse(&module, "it takes a list apart that is used twice"),
                }
            }
            // An operator that failed, or that only checks.
            (op, []) if op.starts_with("aten::") => {}
            (op, _) if op.starts_with("aten::") || !op.starts_with("prim::") => self.nodes.push(Node {
                op: op.to_owned(),
                overload: overload.to_owned(),
                args,
                outputs: outputs.to_vec(),
                module,
            }),
            (op, _) => self.refuse(&module, &format!("its forward pass needs {op}, which depends on values")),
        }
    }

    fn constant(&mut self, value: ValueId, constant: Arg) {
        self.next = self.next.max(value + 1);
        self.args.insert(value, constant);
    }

    fn tensor(&mut self, value: ValueId, tensor: Tensor) {
        self.next = self.next.max(value + 1);
        self.tensors.insert(value, tensor);
    }

    fn created(&mut self, value: ValueId, tensor: Tensor) {
        self.created.push((value, tensor));
    }

    fn asked(&mut self, what: Asked, value: Option<ValueId>, module: &str) {
        let module = module.replace('/', ".");
        let same: SamePart = match what {
            Asked::Rank(rank) => Arc::new(move |size| size.len() == rank),
            Asked::Size(asked) => Arc::new(move |size| size == asked),
            Asked::Part => match self.parts.pop_front() {
                Some(same) => same,
                None => Arc::new(|_| false),
            },
            // It went on in spite of the error, which another size may not give.
            Asked::Refused => Arc::new(|_| false),
            Asked::Values(operator) => {
                return self
                    .refuse(&module, &format!("its forward pass reads values ({operator}), on which it may depend"));
            }
        };
        self.questions.push(Question { value, same, module });
    }

    fn ends(&mut self, inputs: &[ValueId], outputs: &[ValueId]) {
        self.inputs = inputs.to_vec();
        self.outputs = outputs.to_vec();
        self.next = inputs.iter().fold(self.next, |next, value| next.max(value + 1));
    }
}

impl Builder {
    fn argument(&self, value: ValueId) -> Arg {
        self.args.get(&value).cloned().unwrap_or(Arg::Value(value))
    }

    fn refuse(&mut self, module: &str, what: &str) {
        self.problem.get_or_insert_with(|| Error::unsupported(module, what));
    }

    /// The graph; the first `inputs` of its inputs are the module's, and the others are `state`.
    fn finish(self, inputs: usize, state: &[Tensor]) -> Result<Graph> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let mut graph = Graph {
            nodes: self.nodes,
            outputs: self.outputs,
            questions: self.questions,
            next: self.next,
            ..Graph::default()
        };
        let (own, parameters) = self.inputs.split_at(inputs.min(self.inputs.len()));
        graph.inputs = own.to_vec();
        for (value, tensor) in self.created {
            // It may be what is inside of another operator; what operators wrote into it is in the graph. Otherwise it is as
            // the program left it.
            let from_nothing = |node: &Node| node.outputs.contains(&value) && node.inputs().next().is_none();
            if graph.nodes.iter().any(from_nothing) && !is_changed(&graph, value) {
                graph.nodes.retain(|node| !node.outputs.contains(&value));
                graph.constants.insert(value, tensor.f_detach()?);
            }
        }
        let read = graph.uses();
        let parameters = parameters.iter().copied().zip(state.iter().map(Tensor::shallow_clone));
        for (value, tensor) in parameters.chain(self.tensors).filter(|(value, _)| read.contains_key(value)) {
            let tensor = tensor.f_detach()?;
            let plain = plain(&tensor)?;
            graph.constants.insert(value, plain.unwrap_or(tensor));
        }
        Ok(graph)
    }
}

/// Whether an operator changes the value, or what is made of it, which may be a view.
fn is_changed(graph: &Graph, value: ValueId) -> bool {
    let mut derived = HashSet::from([value]);
    for node in &graph.nodes {
        if node.inputs().any(|input| derived.contains(&input)) {
            derived.extend(&node.outputs);
            if node.changes() && node.value(0).is_some_and(|target| derived.contains(&target)) {
                return true;
            }
        }
    }
    false
}

/// The list of these elements.
fn list(elements: &[Arg]) -> Option<Arg> {
    let ints = || {
        elements.iter().map(|arg| if let Arg::Int(int) = arg { Some(*int) } else { None }).collect::<Option<Vec<_>>>()
    };
    let bools = || {
        elements
            .iter()
            .map(|arg| if let Arg::Bool(bool) = arg { Some(*bool) } else { None })
            .collect::<Option<Vec<_>>>()
    };
    let doubles = || {
        let double = |arg: &Arg| match arg {
            Arg::Double(double) => Some(*double),
            Arg::Int(int) => Some(*int as f64),
            _ => None,
        };
        elements.iter().map(double).collect::<Option<Vec<_>>>()
    };
    let values = || {
        let value = |arg: &Arg| match arg {
            Arg::Value(value) => Some(Some(*value)),
            Arg::None => Some(None),
            _ => None,
        };
        elements.iter().map(value).collect::<Option<Vec<_>>>()
    };
    ints()
        .map(Arg::Ints)
        .or_else(|| bools().map(Arg::Bools))
        .or_else(|| doubles().map(Arg::Doubles))
        .or_else(|| values().map(Arg::Values))
}
