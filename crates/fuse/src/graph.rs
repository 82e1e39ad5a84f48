//! [`Graph`]: a forward pass as a list of operators.

use std::collections::{HashMap, HashSet};

use mmcv_layers::observe::SamePart;
use tch::Tensor;

use crate::onednn::Shapes;

/// The number of a value: of a tensor that an operator gives.
pub(crate) type ValueId = usize;

/// An argument of an operator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    None,
    Int(i64),
    Double(f64),
    Bool(bool),
    Str(String),
    Ints(Vec<i64>),
    Doubles(Vec<f64>),
    Bools(Vec<bool>),
    Device(String),
    Value(ValueId),
    Values(Vec<Option<ValueId>>),
}

/// One operator and its arguments, in the order of its schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// `aten::relu`
    pub(crate) op: String,
    /// `Tensor` of `aten::add.Tensor`; often empty.
    pub(crate) overload: String,
    pub(crate) args: Vec<Arg>,
    pub(crate) outputs: Vec<ValueId>,
    /// The module whose forward pass calls it: `layer1.0.conv1`.
    pub(crate) module: String,
}

/// What a module asked of the size of a value, or of its rank: what it did after that may depend on the answer.
#[derive(Clone)]
pub(crate) struct Question {
    /// The value; `None` where it is not known, so that nothing but the example gives the same answer for sure.
    pub(crate) value: Option<ValueId>,
    /// Whether a value of this size gives the same answer.
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
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
    /// Values that do not depend on the input.
    pub(crate) constants: HashMap<ValueId, Tensor>,
    /// What the module asked of sizes meanwhile.
    pub(crate) questions: Vec<Question>,
    /// The lowest number that no value has.
    pub(crate) next: ValueId,
}

impl Arg {
    /// The values that the argument holds.
    pub(crate) fn values(&self) -> impl Iterator<Item = ValueId> + '_ {
        let (one, many) = match self {
            Self::Value(value) => (Some(*value), [].as_slice()),
            Self::Values(values) => (None, values.as_slice()),
            _ => (None, [].as_slice()),
        };
        one.into_iter().chain(many.iter().flatten().copied())
    }

    /// The same argument with other values.
    pub(crate) fn replace(&mut self, from: ValueId, to: ValueId) {
        match self {
            Self::Value(value) if *value == from => *value = to,
            Self::Values(values) => {
                for value in values.iter_mut().filter(|value| **value == Some(from)) {
                    *value = Some(to);
                }
            }
            _ => {}
        }
    }
}

impl Node {
    pub(crate) fn inputs(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.args.iter().flat_map(Arg::values)
    }

    /// The value of argument `index`.
    pub(crate) fn value(&self, index: usize) -> Option<ValueId> {
        match self.args.get(index)? {
            Arg::Value(value) => Some(*value),
            _ => None,
        }
    }

    /// The integers of argument `index`; one integer counts as a list.
    pub(crate) fn ints(&self, index: usize) -> Option<Vec<i64>> {
        match self.args.get(index)? {
            Arg::Ints(ints) => Some(ints.clone()),
            Arg::Int(int) => Some(vec![*int]),
            _ => None,
        }
    }

    pub(crate) fn int(&self, index: usize) -> Option<i64> {
        match self.args.get(index)? {
            Arg::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// The number of argument `index`.
    pub(crate) fn number(&self, index: usize) -> Option<f64> {
        match self.args.get(index)? {
            Arg::Int(int) => Some(*int as f64),
            Arg::Double(double) => Some(*double),
            _ => None,
        }
    }

    pub(crate) fn bool(&self, index: usize) -> Option<bool> {
        match self.args.get(index)? {
            Arg::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// The only result.
    pub(crate) fn output(&self) -> Option<ValueId> {
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
    pub(crate) fn name(&self) -> &str {
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
    /// The question whose answer is another one for inputs of these sizes.
    pub(crate) fn other_answer_of_inputs(&self, inputs: &[Tensor]) -> Option<&Question> {
        let sizes: HashMap<ValueId, Vec<i64>> =
            self.inputs.iter().copied().zip(inputs.iter().map(Tensor::size)).collect();
        let other = |question: &&Question| {
            let size = question.value.and_then(|value| sizes.get(&value));
            size.is_some_and(|size| !(question.same)(size))
        };
        self.questions.iter().find(other)
    }

    /// The question whose answer is another one for values of these sizes.
    pub(crate) fn other_answer(&self, shapes: &Shapes) -> Option<&Question> {
        let other = |question: &&Question| {
            let shape = question.value.and_then(|value| shapes.get(&value));
            !shape.is_some_and(|(shape, _)| (question.same)(shape))
        };
        self.questions.iter().find(other)
    }

    /// A value that nothing has yet.
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

    /// How often each value is read, by nodes and as an output.
    pub(crate) fn uses(&self) -> HashMap<ValueId, usize> {
        let mut uses = HashMap::new();
        for value in self.nodes.iter().flat_map(Node::inputs).chain(self.outputs.iter().copied()) {
            *uses.entry(value).or_default() += 1;
        }
        uses
    }

    /// Which node gives each value.
    pub(crate) fn producers(&self) -> HashMap<ValueId, usize> {
        let numbered = self.nodes.iter().enumerate();
        numbered.flat_map(|(index, node)| node.outputs.iter().map(move |value| (*value, index))).collect()
    }

    /// Lets everything that reads `from` read `to`.
    pub(crate) fn replace(&mut self, from: ValueId, to: ValueId) {
        for node in &mut self.nodes {
            for arg in &mut node.args {
                arg.replace(from, to);
            }
        }
        for output in self.outputs.iter_mut().filter(|output| **output == from) {
            *output = to;
        }
        for question in self.questions.iter_mut().filter(|question| question.value == Some(from)) {
            question.value = Some(to);
        }
    }

    /// Drops the nodes whose results nothing reads, and constants likewise. Operators that change tensors stay, and what
    /// questions were about.
    pub(crate) fn sweep(&mut self) {
        let asked = self.questions.iter().filter_map(|question| question.value);
        let mut read: HashSet<ValueId> = self.outputs.iter().copied().chain(asked).collect();
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
