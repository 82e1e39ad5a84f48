//! A forward pass as a list of libtorch's operators: what [`fuse`](crate::fuse) rewrites, for programs that translate it.
//!
//! [`trace`] makes it from a module.

use std::collections::{HashMap, HashSet};

use mmcv_layers::observe::SamePart;
use tch::{Kind, Tensor};

pub use crate::recorded::{Trace, TraceOptions, example, trace};

/// The number of a value: of a tensor that an operator returns.
pub type ValueId = usize;

/// Shapes and types of all values.
pub type Shapes = HashMap<ValueId, (Vec<i64>, Kind)>;

/// An argument of an operator.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// Nothing is given.
    None,
    /// An integer, or the number of a type or layout.
    Int(i64),
    /// A number.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Str(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Doubles(Vec<f64>),
    /// True or false, several times.
    Bools(Vec<bool>),
    /// The name of a device.
    Device(String),
    /// A tensor.
    Value(ValueId),
    /// Tensors, some of which may be missing.
    Values(Vec<Option<ValueId>>),
}

/// One operator and its arguments, in the order of its schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// `aten::relu`
    pub op: String,
    /// `Tensor` of `aten::add.Tensor`; often empty.
    pub overload: String,
    /// The arguments.
    pub args: Vec<Arg>,
    /// The results.
    pub outputs: Vec<ValueId>,
    /// The module whose forward pass calls it: `layer1.0.conv1`.
    pub module: String,
}

/// What a module asked about the size of a value, or about its rank: what it did after that may depend on the answer.
#[derive(Clone)]
pub(crate) struct Question {
    /// The value; `None` if it is not known, so that only the example is sure to have the same answer.
    pub(crate) value: Option<ValueId>,
    /// Whether a value of this size has the same answer.
    pub(crate) same: SamePart,
    /// The module that asked.
    pub(crate) module: String,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("value", &self.value).field("module", &self.module).finish_non_exhaustive()
    }
}

/// A forward pass: the operators in order.
#[derive(Debug, Default)]
pub struct Graph {
    /// The operators in order.
    pub nodes: Vec<Node>,
    /// The inputs of the module.
    pub inputs: Vec<ValueId>,
    /// What the module returns.
    pub outputs: Vec<ValueId>,
    /// Values that do not depend on the input.
    pub constants: HashMap<ValueId, Tensor>,
    /// What the module asked about sizes.
    pub(crate) questions: Vec<Question>,
    /// The lowest number that no value has.
    pub(crate) next: ValueId,
}

impl Arg {
    /// The values that the argument holds.
    pub fn values(&self) -> impl Iterator<Item = ValueId> + '_ {
        let (one, many) = match self {
            Self::Value(value) => (Some(*value), [].as_slice()),
            Self::Values(values) => (None, values.as_slice()),
            _ => (None, [].as_slice()),
        };
        one.into_iter().chain(many.iter().flatten().copied())
    }

    /// Replaces the value `from` by `to`.
    pub(crate) fn replace(&mut self, from: ValueId, to: ValueId) {
        match self {
            Self::Value(value) if *value == from => *value = to,
            Self::Values(values) => {
                for value in values {
                    if *value == Some(from) {
                        *value = Some(to);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Node {
    /// A node that is part of no module.
    pub(crate) fn new(op: &str, overload: &str, args: Vec<Arg>, outputs: Vec<ValueId>) -> Self {
        Self { op: op.to_owned(), overload: overload.to_owned(), args, outputs, module: String::new() }
    }

    /// The values that it reads.
    pub fn inputs(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.args.iter().flat_map(Arg::values)
    }

    /// The value of argument `index`.
    pub fn value(&self, index: usize) -> Option<ValueId> {
        match self.args.get(index)? {
            Arg::Value(value) => Some(*value),
            _ => None,
        }
    }

    /// The integers of argument `index`; one integer counts as a list.
    pub fn ints(&self, index: usize) -> Option<Vec<i64>> {
        match self.args.get(index)? {
            Arg::Ints(ints) => Some(ints.clone()),
            Arg::Int(int) => Some(vec![*int]),
            _ => None,
        }
    }

    /// The integer of argument `index`.
    #[must_use]
    pub fn int(&self, index: usize) -> Option<i64> {
        match self.args.get(index)? {
            Arg::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// The number of argument `index`.
    pub fn number(&self, index: usize) -> Option<f64> {
        match self.args.get(index)? {
            Arg::Int(int) => Some(*int as f64),
            Arg::Double(double) => Some(*double),
            _ => None,
        }
    }

    /// The truth of argument `index`.
    #[must_use]
    pub fn bool(&self, index: usize) -> Option<bool> {
        match self.args.get(index)? {
            Arg::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// The only result.
    pub fn output(&self) -> Option<ValueId> {
        match self.outputs.as_slice() {
            [output] => Some(*output),
            _ => None,
        }
    }

    /// Whether the operator changes its first argument.
    pub(crate) fn changes(&self) -> bool {
        self.op.ends_with('_') && !self.op.ends_with("__")
    }

    /// The operator's name without its namespace.
    pub fn name(&self) -> &str {
        self.op.strip_prefix("aten::").unwrap_or(&self.op)
    }
}

impl Clone for Graph {
    /// The constants share their memory.
    fn clone(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            constants: self.constants.iter().map(|(value, tensor)| (*value, tensor.shallow_clone())).collect(),
            questions: self.questions.clone(),
            next: self.next,
        }
    }
}

impl Graph {
    /// The first question about an input that has another answer for inputs of these sizes.
    pub(crate) fn other_answer_of_inputs(&self, inputs: &[&Tensor]) -> Option<&Question> {
        for question in &self.questions {
            let position = self.inputs.iter().position(|input| question.value == Some(*input));
            if let Some(position) = position
                && let Some(input) = inputs.get(position)
                && !(question.same)(&input.size())
            {
                return Some(question);
            }
        }
        None
    }

    /// The first question that has another answer, or none that is known, for values of these sizes.
    pub(crate) fn other_answer(&self, shapes: &Shapes) -> Option<&Question> {
        for question in &self.questions {
            let Some(value) = question.value else { return Some(question) };
            match shapes.get(&value) {
                Some((shape, _)) if (question.same)(shape) => {}
                _ => return Some(question),
            }
        }
        None
    }

    /// A new value.
    pub(crate) fn fresh(&mut self) -> ValueId {
        self.next += 1;
        self.next - 1
    }

    /// Adds a constant.
    pub(crate) fn constant(&mut self, tensor: Tensor) -> ValueId {
        let value = self.fresh();
        self.constants.insert(value, tensor);
        value
    }

    pub(crate) fn is_constant(&self, value: ValueId) -> bool {
        self.constants.contains_key(&value)
    }

    /// How often each value is read, by nodes and as an output.
    #[must_use]
    pub fn uses(&self) -> HashMap<ValueId, usize> {
        let mut uses = HashMap::new();
        for value in self.nodes.iter().flat_map(Node::inputs).chain(self.outputs.iter().copied()) {
            *uses.entry(value).or_default() += 1;
        }
        uses
    }

    /// Which node returns each value.
    pub(crate) fn producers(&self) -> HashMap<ValueId, usize> {
        let mut producers = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for value in &node.outputs {
                producers.insert(*value, index);
            }
        }
        producers
    }

    /// Lets everything that reads `from` read `to`.
    pub(crate) fn replace(&mut self, from: ValueId, to: ValueId) {
        for node in &mut self.nodes {
            for arg in &mut node.args {
                arg.replace(from, to);
            }
        }
        for output in &mut self.outputs {
            if *output == from {
                *output = to;
            }
        }
        for question in &mut self.questions {
            if question.value == Some(from) {
                question.value = Some(to);
            }
        }
    }

    /// Drops the nodes whose results nothing reads, and constants likewise. Operators that change tensors stay, and what
    /// questions were about.
    pub(crate) fn sweep(&mut self) {
        let mut read: HashSet<ValueId> = self.outputs.iter().copied().collect();
        for question in &self.questions {
            read.extend(question.value);
        }
        let mut kept = Vec::new();
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if node.changes() || node.outputs.iter().any(|value| read.contains(value)) {
                read.extend(node.inputs());
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        self.constants.retain(|value, _| read.contains(value));
    }
}
