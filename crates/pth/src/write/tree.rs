//! The values of an open checkpoint, pickled again.

use crate::dtype::Dtype;
use crate::error::ErrorKind;
use crate::json;
use crate::opaque::is_module;
use crate::pickle::opcode::*;
use crate::pickle::{Graph, Mapping, Node, SetKind, Value};
use crate::raw::RawTensor;
use crate::tensor::Tensor;
use crate::tree::{self, Budget, Holders};
use crate::write::TensorData;
use crate::write::pickle::{Pickler, check_depth};

/// A value of an open checkpoint that is to be written, and how a tensor of it is read.
pub(crate) struct Tree<'a, F> {
    pub(crate) graph: &'a Graph,
    pub(crate) holders: &'a Holders,
    pub(crate) root: Value,
    /// The type that floating-point tensors get.
    pub(crate) dtype: Option<Dtype>,
    /// The tensor of a node of the graph.
    pub(crate) raw: F,
}

/// What a file cannot hold: the path to it, and what it is in words.
pub(crate) type Loss = (String, String);

/// What is lost of an object of which only the tensors are written. A module is what its `state_dict()` has.
pub(crate) fn of_object(graph: &Graph, value: Value) -> Option<String> {
    match graph.node(value)? {
        Node::Opaque(object) if !is_module(graph, object) => {
            Some(format!("`{}`, of which only the tensors are kept", graph.name(object.class)))
        }
        _ => None,
    }
}

/// Why `value` cannot be written as it is; containers can, whatever is in them.
pub(crate) fn unwritable(graph: &Graph, value: Value) -> Option<String> {
    Some(match graph.node(value)? {
        Node::Tensor(Tensor::Unsupported(word)) => format!("a tensor that is {word}"),
        Node::Set(_, SetKind::Frozen) => "a frozenset".to_owned(),
        Node::BigInt(digits) if digits.parse::<i128>().is_err() => "an integer of over 128 bits".to_owned(),
        _ => return opaque(graph, value),
    })
}

/// What `value` is, where no more than that is known of it.
pub(crate) fn opaque(graph: &Graph, value: Value) -> Option<String> {
    Some(match graph.node(value)? {
        &(Node::Inert(global) | Node::Global(global)) => {
            format!("`{}`, which is never looked into", graph.name(global))
        }
        Node::Opaque(object) => format!("`{}`, which is never looked into", graph.name(object.class)),
        Node::Storage(..) => "a bare storage".to_owned(),
        Node::Array => "an array of a type that torch does not have".to_owned(),
        Node::ArrayType(_) => "a type of numpy".to_owned(),
        Node::FileBytes { .. } => "a long byte string".to_owned(),
        Node::Layout(_) => "a memory layout".to_owned(),
        _ => return None,
    })
}

/// Pickles a tree, and notes what of it cannot be written: mappings lack it, and in other containers `None` stands there.
pub(super) struct TreePickler<'a, 'p, F> {
    pub(super) pickler: &'p mut Pickler<'a>,
    pub(super) tree: &'p Tree<'a, F>,
    pub(super) losses: Vec<Loss>,
    budget: Budget,
    path: Vec<String>,
}

impl<'a, 'p, F: Fn(u32) -> RawTensor<'a>> TreePickler<'a, 'p, F> {
    pub(super) fn new(pickler: &'p mut Pickler<'a>, tree: &'p Tree<'a, F>) -> Self {
        Self { pickler, tree, losses: Vec::new(), budget: Budget::default(), path: Vec::new() }
    }

    /// Recursion is as deep as the tree, which was limited when it was read.
    pub(super) fn value(&mut self, value: Value) -> Result<(), ErrorKind> {
        // A value to which many paths lead is written for each of them.
        self.budget.values(1)?;
        check_depth(self.path.len() as u32)?;
        let graph = self.tree.graph;
        if let Some(reason) = self.unwritable(value) {
            self.losses.push((self.path.join("."), reason));
            self.pickler.out.push(NONE);
            return Ok(());
        }
        let index = match value {
            Value::None => return self.literal(&[NONE]),
            Value::Bool(true) => return self.literal(&[NEWTRUE]),
            Value::Bool(false) => return self.literal(&[NEWFALSE]),
            Value::Int(value) => {
                self.pickler.int(value.into());
                return Ok(());
            }
            Value::Float(value) => {
                self.pickler.float(value);
                return Ok(());
            }
            Value::Node(index) => index,
        };
        match graph.node(value) {
            Some(Node::BigInt(digits)) => self.pickler.int(digits.parse().unwrap_or_default()),
            Some(Node::Text(text)) => {
                self.budget.text(text.len() as u64)?;
                self.pickler.text(text)?;
            }
            Some(Node::Bytes(bytes)) => self.latin1(("_codecs", "encode"), bytes, "latin1")?,
            Some(Node::ByteArray(bytes)) => self.latin1(("builtins", "bytearray"), bytes, "latin-1")?,
            Some(&Node::Complex(real, imaginary)) => self.call("builtins", "complex", |pickler| {
                pickler.float(real);
                pickler.float(imaginary);
                Ok(())
            })?,
            Some(Node::List(items)) => self.items(&[EMPTY_LIST, MARK], items, APPENDS)?,
            Some(Node::Tuple(items)) => self.items(&[MARK], items, TUPLE)?,
            Some(Node::Set(items, _)) => {
                self.pickler.global("builtins", "set");
                self.items(&[MARK, EMPTY_LIST, MARK], items, APPENDS)?;
                self.pickler.out.extend([TUPLE, REDUCE]);
            }
            Some(Node::Mapping(mapping)) => self.mapping(mapping)?,
            Some(Node::Dtype(dtype)) => self.pickler.global("torch", dtype.name()),
            Some(Node::Device(device)) => self.call("torch", "device", |pickler| pickler.text(device))?,
            Some(Node::Tensor(_)) => {
                let tensor = TensorData::of_file(&(self.tree.raw)(index))?;
                let tensor = self.tree.dtype.map_or(Ok(tensor.clone()), |dtype| tensor.cast(dtype))?;
                self.pickler.tensor(&tensor)?;
            }
            Some(Node::Opaque(_)) => self.object(value)?,
            // The attributes of a module are the module.
            Some(&Node::Module(Some(attributes))) => self.value(attributes)?,
            _ => self.literal(&[NONE])?,
        }
        Ok(())
    }

    /// As the function of this name; an object with tensors in it is written as them.
    fn unwritable(&self, value: Value) -> Option<String> {
        match self.tree.graph.node(value) {
            Some(Node::Opaque(_)) if self.tree.holders.holds_tensor(value) => None,
            _ => unwritable(self.tree.graph, value),
        }
    }

    /// The tensors of an object by their keys, as a state dict.
    fn object(&mut self, value: Value) -> Result<(), ErrorKind> {
        let graph = self.tree.graph;
        self.losses.extend(of_object(graph, value).map(|reason| (self.path.join("."), reason)));
        self.pickler.ordered_dict();
        self.pickler.out.push(MARK);
        for found in tree::flatten(graph, self.tree.holders, value, &mut self.budget)? {
            let tensor = Value::Node(found.node);
            match unwritable(graph, tensor) {
                Some(reason) => self.losses.push((format!("{}.{}", self.path.join("."), found.key), reason)),
                None => {
                    self.pickler.text(&found.key)?;
                    self.value(tensor)?;
                }
            }
        }
        self.literal(&[SETITEMS])
    }

    fn literal(&mut self, opcodes: &[u8]) -> Result<(), ErrorKind> {
        self.pickler.out.extend(opcodes);
        Ok(())
    }

    fn items(&mut self, start: &[u8], items: &[Value], end: u8) -> Result<(), ErrorKind> {
        self.pickler.out.extend(start);
        for (index, &item) in items.iter().enumerate() {
            self.path.push(index.to_string());
            self.value(item)?;
            self.path.pop();
        }
        self.literal(&[end])
    }

    fn mapping(&mut self, mapping: &Mapping) -> Result<(), ErrorKind> {
        let graph = self.tree.graph;
        match mapping.ordered {
            true => self.pickler.ordered_dict(),
            false => self.pickler.out.push(EMPTY_DICT),
        }
        self.pickler.out.push(MARK);
        for &(key, value) in &mapping.items {
            self.path.push(json::key_text(graph, key, &mut self.budget)?.into_owned());
            match unwritable(graph, key).or_else(|| self.unwritable(value)) {
                Some(reason) => self.losses.push((self.path.join("."), reason)),
                None => {
                    self.value(key)?;
                    self.value(value)?;
                }
            }
            self.path.pop();
        }
        self.pickler.out.push(SETITEMS);
        let Some(attributes) = mapping.attributes.filter(|_| mapping.ordered) else { return Ok(()) };
        self.value(attributes)?;
        self.literal(&[BUILD])
    }

    /// Bytes as a text of the characters with their numbers, as protocol 2 has it.
    fn latin1(&mut self, (module, name): (&str, &str), bytes: &[u8], encoding: &str) -> Result<(), ErrorKind> {
        self.budget.text(2 * bytes.len() as u64)?;
        let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        self.call(module, name, |pickler| {
            pickler.text(&text)?;
            pickler.text(encoding)
        })
    }

    fn call(
        &mut self,
        module: &str,
        name: &str,
        arguments: impl FnOnce(&mut Pickler<'a>) -> Result<(), ErrorKind>,
    ) -> Result<(), ErrorKind> {
        self.pickler.global(module, name);
        self.pickler.out.push(MARK);
        arguments(self.pickler)?;
        self.literal(&[TUPLE, REDUCE])
    }
}
