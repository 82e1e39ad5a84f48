//! Pickles the values of an open checkpoint again.

use crate::checkpoint::FileCheckpoint;
use crate::error::ErrorKind;
use crate::tensor::{Dtype, TensorDesc};
use crate::tree::{self, Budget};
use crate::unpickler::opcode::*;
use crate::unpickler::{Graph, Mapping, Node, SetKind, Value};
use crate::write::TensorData;
use crate::write::pickler::{Pickler, check_depth};

/// A value of an open checkpoint to be written.
pub(crate) struct Tree<'a> {
    pub(crate) file: &'a FileCheckpoint,
    pub(crate) root: Value,
    /// The type to which floating-point tensors are cast.
    pub(crate) dtype: Option<Dtype>,
}

/// A value that a format cannot hold: its path and its description.
pub(crate) type Loss = (String, String);

/// Describes an object of which only the tensors can be written. Nothing is lost of a module, which is its `state_dict()`.
pub(crate) fn describe_lossy_object(graph: &Graph, value: Value) -> Option<String> {
    match graph.node(value)? {
        Node::Opaque(object) if !tree::is_module(graph, object) => {
            Some(format!("`{}`, of which only the tensors are kept", graph.name(object.class)))
        }
        _ => None,
    }
}

/// Describes `value` if it cannot be pickled. Containers always can, whatever they hold.
fn describe_unwritable(graph: &Graph, value: Value) -> Option<String> {
    Some(match graph.node(value)? {
        Node::Tensor(TensorDesc::Unsupported(kind)) => format!("a tensor that is {kind}"),
        Node::Set(_, SetKind::Frozen) => "a frozenset".to_owned(),
        Node::BigInt(digits) if digits.parse::<i128>().is_err() => "an integer of over 128 bits".to_owned(),
        _ => return describe_opaque(graph, value),
    })
}

/// Describes `value` if nothing but its type is known.
pub(crate) fn describe_opaque(graph: &Graph, value: Value) -> Option<String> {
    Some(match graph.node(value)? {
        &(Node::Inert(global) | Node::Global(global)) => {
            format!("`{}`, which is never inspected", graph.name(global))
        }
        Node::Opaque(object) => format!("`{}`, which is never inspected", graph.name(object.class)),
        Node::Storage(..) => "a bare storage".to_owned(),
        Node::Array => "an array of a type that torch lacks".to_owned(),
        Node::ArrayType(_) => "a NumPy type".to_owned(),
        Node::FileBytes { .. } => "a long byte string".to_owned(),
        Node::Layout(_) => "a memory layout".to_owned(),
        _ => return None,
    })
}

/// Pickles a tree and collects the values that cannot be pickled. Mappings omit them, other containers hold `None` instead.
pub(super) struct TreePickler<'a, 'p> {
    pickler: &'p mut Pickler<'a>,
    tree: &'p Tree<'a>,
    graph: &'a Graph,
    pub(super) losses: Vec<Loss>,
    budget: Budget,
    path: Vec<String>,
}

impl<'a, 'p> TreePickler<'a, 'p> {
    pub(super) fn new(pickler: &'p mut Pickler<'a>, tree: &'p Tree<'a>) -> Self {
        let graph = tree.file.graph();
        Self { pickler, tree, graph, losses: Vec::new(), budget: Budget::default(), path: Vec::new() }
    }

    /// Recursion is as deep as the tree, whose depth was checked when it was read.
    pub(super) fn value(&mut self, value: Value) -> Result<(), ErrorKind> {
        // A value that is reached by several paths is written for each of them.
        self.budget.values(1)?;
        check_depth(self.path.len() as u32)?;
        if let Some(reason) = self.describe_unwritable(value) {
            self.add_loss(reason);
            self.push(&[NONE]);
            return Ok(());
        }
        match value {
            Value::None => self.push(&[NONE]),
            Value::Bool(true) => self.push(&[NEWTRUE]),
            Value::Bool(false) => self.push(&[NEWFALSE]),
            Value::Int(value) => self.pickler.int(value.into()),
            Value::Float(value) => self.pickler.float(value),
            Value::Node(index) => self.node(index, value)?,
        }
        Ok(())
    }

    fn node(&mut self, index: u32, value: Value) -> Result<(), ErrorKind> {
        match self.graph.node(value) {
            Some(Node::BigInt(digits)) => self.pickler.int(digits.parse().unwrap_or_default()),
            Some(Node::Text(text)) => {
                self.budget.text(text.len() as u64)?;
                self.pickler.text(text)?;
            }
            Some(Node::Bytes(bytes)) => self.latin1("_codecs", "encode", bytes, "latin1")?,
            Some(Node::ByteArray(bytes)) => self.latin1("builtins", "bytearray", bytes, "latin-1")?,
            Some(&Node::Complex(real, imaginary)) => {
                self.start_call("builtins", "complex");
                self.pickler.float(real);
                self.pickler.float(imaginary);
                self.push(&[TUPLE, REDUCE]);
            }
            Some(Node::List(items)) => self.items(&[EMPTY_LIST, MARK], items, &[APPENDS])?,
            Some(Node::Tuple(items)) => self.items(&[MARK], items, &[TUPLE])?,
            Some(Node::Set(items, _)) => {
                self.pickler.global("builtins", "set");
                self.items(&[MARK, EMPTY_LIST, MARK], items, &[APPENDS, TUPLE, REDUCE])?;
            }
            Some(Node::Mapping(mapping)) => self.mapping(mapping)?,
            Some(Node::Dtype(dtype)) => self.pickler.global("torch", dtype.name()),
            Some(Node::Device(device)) => {
                self.start_call("torch", "device");
                self.pickler.text(device)?;
                self.push(&[TUPLE, REDUCE]);
            }
            Some(Node::Tensor(_)) => {
                let mut tensor = TensorData::of_file(&self.tree.file.raw_tensor("".into(), index))?;
                if let Some(dtype) = self.tree.dtype {
                    tensor = tensor.cast(dtype)?;
                }
                self.pickler.tensor(&tensor)?;
            }
            Some(Node::Opaque(_)) => self.object(value)?,
            // A module is represented by its attributes.
            Some(&Node::Module(Some(attributes))) => self.value(attributes)?,
            _ => self.push(&[NONE]),
        }
        Ok(())
    }

    /// Describes `value` if it cannot be pickled. An object that holds tensors can.
    fn describe_unwritable(&self, value: Value) -> Option<String> {
        match self.graph.node(value) {
            Some(Node::Opaque(_)) if self.tree.file.holders().holds_tensor(value) => None,
            _ => describe_unwritable(self.graph, value),
        }
    }

    fn add_loss(&mut self, reason: String) {
        self.losses.push((self.path.join("."), reason));
    }

    /// Writes the tensors of an object by their keys, as a state dict.
    fn object(&mut self, value: Value) -> Result<(), ErrorKind> {
        if let Some(reason) = describe_lossy_object(self.graph, value) {
            self.add_loss(reason);
        }
        self.pickler.ordered_dict();
        self.push(&[MARK]);
        for found in tree::flatten(self.graph, self.tree.file.holders(), value, &mut self.budget)? {
            let tensor = Value::Node(found.node);
            if let Some(reason) = describe_unwritable(self.graph, tensor) {
                self.losses.push((format!("{}.{}", self.path.join("."), found.key), reason));
                continue;
            }
            self.pickler.text(&found.key)?;
            self.value(tensor)?;
        }
        self.push(&[SETITEMS]);
        Ok(())
    }

    fn push(&mut self, opcodes: &[u8]) {
        self.pickler.out.extend(opcodes);
    }

    fn items(&mut self, start: &[u8], items: &[Value], end: &[u8]) -> Result<(), ErrorKind> {
        self.push(start);
        for (index, &item) in items.iter().enumerate() {
            self.path.push(index.to_string());
            self.value(item)?;
            self.path.pop();
        }
        self.push(end);
        Ok(())
    }

    fn mapping(&mut self, mapping: &Mapping) -> Result<(), ErrorKind> {
        if mapping.ordered {
            self.pickler.ordered_dict();
        } else {
            self.push(&[EMPTY_DICT]);
        }
        self.push(&[MARK]);
        for &(key, value) in &mapping.items {
            self.path.push(tree::key_text(self.graph, key, &mut self.budget)?.into_owned());
            if let Some(reason) = describe_unwritable(self.graph, key) {
                self.add_loss(reason);
            } else if let Some(reason) = self.describe_unwritable(value) {
                self.add_loss(reason);
            } else {
                self.value(key)?;
                self.value(value)?;
            }
            self.path.pop();
        }
        self.push(&[SETITEMS]);
        if let Some(attributes) = mapping.attributes
            && mapping.ordered
        {
            self.value(attributes)?;
            self.push(&[BUILD]);
        }
        Ok(())
    }

    /// Writes bytes as a call with a string of the characters with these numbers, as protocol 2 does.
    fn latin1(&mut self, module: &str, name: &str, bytes: &[u8], encoding: &str) -> Result<(), ErrorKind> {
        self.budget.text(2 * bytes.len() as u64)?;
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        self.start_call(module, name);
        self.pickler.text(&text)?;
        self.pickler.text(encoding)?;
        self.push(&[TUPLE, REDUCE]);
        Ok(())
    }

    /// Starts a call; the arguments and TUPLE, REDUCE follow.
    fn start_call(&mut self, module: &str, name: &str) {
        self.pickler.global(module, name);
        self.push(&[MARK]);
    }
}
