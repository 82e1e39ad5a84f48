//! [`trace`]: the operators that a module's forward pass calls, as a [`Graph`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use cxx::UniquePtr;
use mmcv_layers::observe::{self, Hooks, SamePart};
use mmcv_layers::{Module, ModuleExt, Output};
use mmcv_registry::Dict;
use tch::Tensor;

use crate::bridge::{self, Asked, QuestionKind, Tensors, adopt, plain, references, trace_part};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::{Arg, Graph, Node, Question, ValueId};

/// A forward pass.
pub(crate) struct Traced {
    pub(crate) graph: Graph,
    /// Whether the output is one tensor and not a list.
    pub(crate) single: bool,
    /// The sizes of the values that operators returned.
    pub(crate) sizes: HashMap<ValueId, Vec<i64>>,
}

thread_local! {
    /// What [`observe::of_size`] used of sizes, in order.
    static PARTS: RefCell<Vec<SamePart>> = const { RefCell::new(Vec::new()) };
}

/// Runs the module on `inputs` and notes its operators, and what it asks of sizes. The constants of the graph share their
/// memory with the module.
pub(crate) fn trace(module: &dyn Module, inputs: &[Tensor], arguments: &Dict) -> Result<Traced> {
    let _guard = tch::no_grad_guard();
    let state: Vec<Tensor> = module.state_dict().into_iter().map(|(_, tensor)| tensor).collect();
    drop(PARTS.take());
    let (tracing, standing) = Tracing::begin(inputs, &state)?;
    let standing: Vec<&Tensor> = standing.iter().collect();
    let watching = Hooks { scope: note_scope, size: unnoted_size, part: note_part };
    let output = observe::with_hooks(watching, || module.call(&standing, arguments)).map_err(ErrorKind::Module)?;
    let single = matches!(output, Output::Tensor(_));
    let mut builder = GraphBuilder { parts: PARTS.take().into(), ..GraphBuilder::default() };
    tracing.end(&output.into_vec(), &mut builder)?;
    let sizes = std::mem::take(&mut builder.sizes);
    let graph = builder.finish(inputs.len(), &state)?;
    Ok(Traced { graph, single, sizes })
}

/// A trace that is going on; dropped, it is abandoned.
struct Tracing(());

impl Tracing {
    /// Starts to note what this thread does with `inputs` and `state`. Returns tensors that stand for the inputs.
    fn begin(inputs: &[Tensor], state: &[Tensor]) -> Result<(Self, Vec<Tensor>)> {
        let mut standing = Tensors::default();
        bridge::trace_begin(&references(inputs.iter().chain(state)), inputs.len(), &mut standing)?;
        Ok((Self(()), standing.0))
    }

    /// Ends the trace, whose results are `outputs`.
    fn end(self, outputs: &[Tensor], builder: &mut GraphBuilder) -> Result<()> {
        Ok(bridge::trace_end(&references(outputs), builder)?)
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        bridge::trace_abandon();
    }
}

/// Notes that the module `name` starts (`Some`) or that the last one ends. A scope that cannot be set is missing in messages
/// only.
fn note_scope(name: Option<&str>) {
    let result = match name {
        Some(name) => bridge::trace_enter(name),
        None => bridge::trace_leave(),
    };
    if let Err(error) = result {
        log::debug!("trace: {error}");
    }
}

/// The size of `tensor`, without that being noted as a question.
fn unnoted_size(tensor: &Tensor) -> Vec<i64> {
    bridge::trace_pause(true);
    let size = tensor.size();
    bridge::trace_pause(false);
    size
}

/// Notes what a module asks by [`observe::of_size`].
fn note_part(tensor: &Tensor, same: SamePart) {
    if trace_part(tensor) {
        PARTS.with_borrow_mut(|parts| parts.push(same));
    }
}

/// Makes a graph from what the tracer reports.
#[derive(Default)]
pub(crate) struct GraphBuilder {
    nodes: Vec<Node>,
    args: HashMap<ValueId, Arg>,
    tensors: HashMap<ValueId, Tensor>,
    created: Vec<(ValueId, Tensor)>,
    sizes: HashMap<ValueId, Vec<i64>>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    questions: Vec<Question>,
    parts: VecDeque<SamePart>,
    next: ValueId,
    problem: Option<Error>,
}

/// What the shim calls.
impl GraphBuilder {
    pub(crate) fn node(&mut self, op: &str, overload: &str, module: &str, inputs: &[ValueId], outputs: &[ValueId]) {
        self.see(outputs);
        let module = module.replace('/', ".");
        let args: Vec<Arg> = inputs.iter().map(|value| self.argument(*value)).collect();
        match (op, outputs) {
            ("prim::ListConstruct", [output]) => match list(&args) {
                Some(list) => drop(self.args.insert(*output, list)),
                None => self.refuse(&module, "it makes a list of something other than numbers or tensors"),
            },
            ("prim::ListUnpack", _) => {
                // The operator that returns the list then returns its elements.
                match self.nodes.iter_mut().rev().find(|node| node.outputs == inputs) {
                    Some(producer) => producer.outputs = outputs.to_vec(),
                    None => self.refuse(&module, "it takes a list apart that is used twice"),
                }
            }
            // An operator that failed, or that only checks.
            (op, []) if op.starts_with("aten::") => {}
            (op, _) if op.starts_with("aten::") || !op.starts_with("prim::") => {
                let mut node = Node::new(op, overload, args, outputs.to_vec());
                node.module = module;
                self.nodes.push(node);
            }
            (op, _) => self.refuse(&module, &format!("its forward pass needs {op}, which depends on values")),
        }
    }

    pub(crate) fn none(&mut self, value: ValueId) {
        self.constant(value, Arg::None);
    }

    pub(crate) fn integer(&mut self, value: ValueId, constant: i64) {
        self.constant(value, Arg::Int(constant));
    }

    pub(crate) fn real(&mut self, value: ValueId, constant: f64) {
        self.constant(value, Arg::Double(constant));
    }

    pub(crate) fn boolean(&mut self, value: ValueId, constant: bool) {
        self.constant(value, Arg::Bool(constant));
    }

    pub(crate) fn string(&mut self, value: ValueId, constant: &str) {
        self.constant(value, Arg::Str(constant.to_owned()));
    }

    pub(crate) fn device(&mut self, value: ValueId, constant: &str) {
        self.constant(value, Arg::Device(constant.to_owned()));
    }

    pub(crate) fn integers(&mut self, value: ValueId, constant: &[i64]) {
        self.constant(value, Arg::Ints(constant.to_vec()));
    }

    pub(crate) fn reals(&mut self, value: ValueId, constant: &[f64]) {
        self.constant(value, Arg::Doubles(constant.to_vec()));
    }

    pub(crate) fn booleans(&mut self, value: ValueId, constant: &[bool]) {
        self.constant(value, Arg::Bools(constant.to_vec()));
    }

    pub(crate) fn tensor(&mut self, value: ValueId, tensor: UniquePtr<bridge::Tensor>) {
        self.see(&[value]);
        if let Some(tensor) = adopt(tensor) {
            self.tensors.insert(value, tensor);
        }
    }

    /// A value that an operator made from nothing, as it is at the end.
    pub(crate) fn created(&mut self, value: ValueId, tensor: UniquePtr<bridge::Tensor>) {
        if let Some(tensor) = adopt(tensor) {
            self.created.push((value, tensor));
        }
    }

    pub(crate) fn size(&mut self, value: ValueId, size: &[i64]) {
        self.sizes.insert(value, size.to_vec());
    }

    /// A question of the program about a tensor that depends on an input.
    pub(crate) fn asked(&mut self, asked: Asked<'_>) {
        let module = asked.module.replace('/', ".");
        let size = asked.size.to_vec();
        let same: SamePart = match asked.kind {
            QuestionKind::Rank => Arc::new(move |other| other.len() == size.len()),
            QuestionKind::Size => Arc::new(move |other| other == size),
            QuestionKind::Part => match self.parts.pop_front() {
                Some(same) => same,
                None => Arc::new(|_| false),
            },
            // It went on in spite of the error, which another size may not cause.
            QuestionKind::Refused => Arc::new(|_| false),
            _ => {
                let what = format!("its forward pass reads values ({}), on which it may depend", asked.operation);
                return self.refuse(&module, &what);
            }
        };
        let value = if asked.has_value { Some(asked.value) } else { None };
        self.questions.push(Question { value, same, module });
    }

    pub(crate) fn ends(&mut self, inputs: &[ValueId], outputs: &[ValueId]) {
        self.inputs = inputs.to_vec();
        self.outputs = outputs.to_vec();
        self.see(inputs);
    }
}

impl GraphBuilder {
    fn constant(&mut self, value: ValueId, constant: Arg) {
        self.see(&[value]);
        self.args.insert(value, constant);
    }

    /// Takes care that `next` is above all values.
    fn see(&mut self, values: &[ValueId]) {
        for value in values {
            self.next = self.next.max(value + 1);
        }
    }

    fn argument(&self, value: ValueId) -> Arg {
        match self.args.get(&value) {
            Some(constant) => constant.clone(),
            None => Arg::Value(value),
        }
    }

    fn refuse(&mut self, module: &str, what: &str) {
        if self.problem.is_none() {
            self.problem = Some(Error::unsupported(module, what));
        }
    }

    /// The graph; the first `inputs` of its inputs are the module's, and the others are `state`.
    fn finish(self, inputs: usize, state: &[Tensor]) -> Result<Graph> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let (inputs, parameters) = self.inputs.split_at(inputs.min(self.inputs.len()));
        let mut graph = Graph {
            nodes: self.nodes,
            inputs: inputs.to_vec(),
            outputs: self.outputs,
            questions: self.questions,
            next: self.next,
            ..Graph::default()
        };
        for (value, tensor) in self.created {
            // It may be inside of another operator; what operators wrote into it is in the graph. Otherwise it is as the program
            // left it.
            if is_made_from_nothing(&graph, value) && !is_changed(&graph, value) {
                graph.nodes.retain(|node| !node.outputs.contains(&value));
                graph.constants.insert(value, tensor.f_detach()?);
            }
        }
        let read = graph.uses();
        let mut constants = self.tensors;
        for (value, tensor) in parameters.iter().zip(state) {
            constants.entry(*value).or_insert_with(|| tensor.shallow_clone());
        }
        for (value, tensor) in constants {
            if read.contains_key(&value) {
                let tensor = tensor.f_detach()?;
                let plain = checked_plain(&tensor)?;
                graph.constants.insert(value, plain.unwrap_or(tensor));
            }
        }
        Ok(graph)
    }
}

/// [`plain`], with an error that says what is expected.
pub(crate) fn checked_plain(tensor: &Tensor) -> Result<Option<Tensor>> {
    match plain(tensor) {
        Ok(made) => Ok(made),
        Err(error) => {
            let found = error.what().lines().next().unwrap_or_default();
            Err(Error::input("a dense tensor with its elements in memory", found))
        }
    }
}

fn is_made_from_nothing(graph: &Graph, value: ValueId) -> bool {
    graph.nodes.iter().any(|node| node.outputs.contains(&value) && node.inputs().next().is_none())
}

/// Whether an operator changes the value, or what is made from it, which may be a view.
fn is_changed(graph: &Graph, value: ValueId) -> bool {
    let mut derived = HashSet::from([value]);
    for node in &graph.nodes {
        if !node.inputs().any(|input| derived.contains(&input)) {
            continue;
        }
        derived.extend(&node.outputs);
        if let (true, Some(target)) = (node.changes(), node.value(0))
            && derived.contains(&target)
        {
            return true;
        }
    }
    false
}

/// The list of these elements: of integers, of bools, of numbers, or of tensors that may be missing.
fn list(elements: &[Arg]) -> Option<Arg> {
    let (mut ints, mut bools, mut doubles, mut values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for element in elements {
        match element {
            Arg::Int(int) => {
                ints.push(*int);
                doubles.push(*int as f64);
            }
            Arg::Double(double) => doubles.push(*double),
            Arg::Bool(bool) => bools.push(*bool),
            Arg::Value(value) => values.push(Some(*value)),
            Arg::None => values.push(None),
            _ => return None,
        }
    }
    let count = elements.len();
    if ints.len() == count {
        Some(Arg::Ints(ints))
    } else if bools.len() == count {
        Some(Arg::Bools(bools))
    } else if doubles.len() == count {
        Some(Arg::Doubles(doubles))
    } else if values.len() == count {
        Some(Arg::Values(values))
    } else {
        None
    }
}
