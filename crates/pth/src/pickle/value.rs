//! The values that a pickle describes. Containers refer to their parts by index, so that sharing and cycles are kept,
//! and nothing is ever dropped or compared recursively.

use crate::dtype::Dtype;
use crate::pickle::globals::Global;
use crate::pickle::numpy::ArrayType;
use crate::tensor::{StorageSlice, Tensor};

/// A small value, or a reference to a [`Node`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Node(u32),
}

/// A value with an identity of its own.
#[derive(Debug)]
pub(crate) enum Node {
    /// An integer beyond 64 bits, in decimal.
    BigInt(Box<str>),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    ByteArray(Box<[u8]>),
    Complex(f64, f64),
    List(Vec<Value>),
    /// A tuple or `torch.Size`.
    Tuple(Box<[Value]>),
    Set(Vec<Value>, SetKind),
    Mapping(Box<Mapping>),
    Dtype(Dtype),
    Device(Box<str>),
    /// A memory layout such as `sparse_coo`.
    Layout(&'static str),
    Global(Global),
    Storage(StorageSlice, Global),
    Tensor(Tensor),
    /// A byte string that stays in the file.
    FileBytes {
        start: u64,
        length: u64,
    },
    /// An array of numpy before it is filled.
    Array,
    /// A type of numpy.
    ArrayType(ArrayType),
    /// An object of an inert class; never looked into.
    Inert(Global),
    /// An object of a class that is on no list.
    Opaque(Box<Opaque>),
    /// An object of a TorchScript class, with the attributes that it was built with.
    Module(Option<Value>),
}

/// A record of an object of a class that is on no list: the name of the class, and what the object was made of.
#[derive(Debug)]
pub(crate) struct Opaque {
    pub(crate) class: Global,
    /// What the class was called with; keyword arguments are a mapping at the end.
    pub(crate) arguments: Vec<Value>,
    /// What BUILD gave it: its attributes, as a rule.
    pub(crate) state: Option<Value>,
    /// What it holds as a list.
    pub(crate) items: Vec<Value>,
    /// What it holds as a mapping.
    pub(crate) entries: Vec<(Value, Value)>,
}

impl Opaque {
    pub(crate) fn new(class: Global, arguments: Vec<Value>) -> Self {
        Self { class, arguments, state: None, items: Vec::new(), entries: Vec::new() }
    }
}

/// Which of Python's two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetKind {
    Set,
    Frozen,
}

/// A dict or one of its subclasses.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    /// In order; a key that is set twice stands here twice until the pickle is read.
    pub(crate) items: Vec<(Value, Value)>,
    pub(crate) ordered: bool,
    /// Python attributes, such as `_metadata`: no items.
    pub(crate) attributes: Option<Value>,
}

impl Node {
    /// The kind of value, for errors.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::BigInt(_) => "an int",
            Self::Text(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::ByteArray(_) => "a bytearray",
            Self::Complex(..) => "a complex number",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Set(..) => "a set",
            Self::Mapping(_) => "a mapping",
            Self::Dtype(_) => "a dtype",
            Self::Device(_) => "a device",
            Self::Layout(_) => "a layout",
            Self::Global(_) => "a class or function",
            Self::Storage(..) => "a storage",
            Self::Tensor(_) => "a tensor",
            Self::FileBytes { .. } => "a long byte string",
            Self::Array => "an array",
            Self::ArrayType(_) => "a type of numpy",
            Self::Inert(_) => "an inert object",
            Self::Opaque(_) => "an opaque object",
            Self::Module(_) => "a module",
        }
    }
}

/// All nodes of one pickle, and its result.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Value,
    /// Names of globals: `module.name`.
    pub(crate) names: Vec<Box<str>>,
}

impl Graph {
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), root: Value::None, names: Vec::new() }
    }

    /// The node that `value` refers to, unless it is a small value.
    pub(crate) fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(index) => self.nodes.get(index as usize),
            _ => None,
        }
    }

    pub(crate) fn node_mut(&mut self, value: Value) -> Option<&mut Node> {
        match value {
            Value::Node(index) => self.nodes.get_mut(index as usize),
            _ => None,
        }
    }

    /// The kind of value, for errors.
    pub(crate) fn kind(&self, value: Value) -> &'static str {
        match value {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an int",
            Value::Float(_) => "a float",
            Value::Node(_) => self.node(value).map_or("nothing", Node::kind),
        }
    }

    pub(crate) fn text(&self, value: Value) -> Option<&str> {
        match self.node(value) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The items of a tuple or `torch.Size`.
    pub(crate) fn tuple(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::Tuple(items)) => Some(items),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub(crate) fn sequence(&self, value: Value) -> Option<&[Value]> {
        match self.node(value) {
            Some(Node::List(items)) => Some(items),
            _ => self.tuple(value),
        }
    }

    pub(crate) fn mapping(&self, value: Value) -> Option<&Mapping> {
        match self.node(value) {
            Some(Node::Mapping(mapping)) => Some(mapping),
            _ => None,
        }
    }

    pub(crate) fn name(&self, global: Global) -> &str {
        self.names.get(global.name as usize).map_or("", |name| name)
    }
}
