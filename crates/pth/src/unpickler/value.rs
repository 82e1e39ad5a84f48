//! The values described by a pickle. Containers refer to their parts by index, so sharing and cycles are preserved, and
//! nothing is ever dropped or compared recursively.

use crate::tensor::{Dtype, StorageSlice, TensorDesc};
use crate::unpickler::array_type::ArrayType;
use crate::unpickler::globals::Global;

/// A small value, or a reference to a [`Node`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Node(u32),
}

/// A value that several containers may refer to.
#[derive(Debug)]
pub(crate) enum Node {
    /// An integer of more than 64 bits, in decimal.
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
    Tensor(TensorDesc),
    /// A byte string that stays in the file.
    FileBytes {
        start: u64,
        length: u64,
    },
    /// A NumPy array before it is filled, or one of a type that torch lacks.
    Array,
    /// A NumPy type.
    ArrayType(ArrayType),
    /// An object of an inert class, which is never inspected.
    Inert(Global),
    /// An object of a class that is on no list.
    Opaque(Box<Opaque>),
    /// An object of a TorchScript class, and its attributes.
    Module(Option<Value>),
}

/// A record of an object whose class is on no list: the name of the class, and everything that the pickle passed to the
/// object.
#[derive(Debug)]
pub(crate) struct Opaque {
    pub(crate) class: Global,
    /// The arguments of the class. Keyword arguments are a mapping at the end.
    pub(crate) arguments: Vec<Value>,
    /// The operand of BUILD, usually the attributes.
    pub(crate) state: Option<Value>,
    /// The items, if the object was used as a list.
    pub(crate) items: Vec<Value>,
    /// The entries, if the object was used as a mapping.
    pub(crate) entries: Vec<(Value, Value)>,
}

impl Opaque {
    pub(crate) fn new(class: Global, arguments: Vec<Value>) -> Self {
        Self { class, arguments, state: None, items: Vec::new(), entries: Vec::new() }
    }
}

/// Python's two types of sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetKind {
    Set,
    Frozen,
}

/// A dict or one of its subclasses.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    /// The entries in order. Until the whole pickle is read, a key may occur several times.
    pub(crate) items: Vec<(Value, Value)>,
    pub(crate) ordered: bool,
    /// Python attributes such as `_metadata`, which are not items.
    pub(crate) attributes: Option<Value>,
}

impl Mapping {
    /// The value of the string key `name`.
    pub(crate) fn get(&self, graph: &Graph, name: &str) -> Option<Value> {
        let (_, value) = self.items.iter().find(|(key, _)| graph.text(*key) == Some(name))?;
        Some(*value)
    }
}

impl Node {
    /// The type of the value, for errors.
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
            Self::ArrayType(_) => "a NumPy type",
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

    /// The node that `value` refers to; `None` for a small value.
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

    /// The type of the value, for errors.
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
