//! Calls of listed classes and functions.

use crate::error::PickleProblem;
use crate::unpickler::Unpickler;
use crate::unpickler::containers::KEYED_BYTES;
use crate::unpickler::fault::Fault;
use crate::unpickler::globals::{Function, Global, GlobalKind};
use crate::unpickler::value::{Mapping, Node, Opaque, SetKind, Value};

const LAYOUTS: &[&str] =
    &["strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "_mkldnn", "jagged"];

impl Unpickler<'_> {
    /// Returns the value of `global(*arguments)`.
    pub(super) fn call(&mut self, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        // Many calls may share one argument list.
        self.charge(8 * arguments.len() as u64)?;
        match global.kind {
            GlobalKind::Function(function) => self.call_function(function, global, arguments),
            GlobalKind::Inert(_) => self.node(Node::Inert(global), 0),
            GlobalKind::TorchScriptClass => self.call_torchscript_class(arguments),
            GlobalKind::Opaque => self.opaque(global, arguments),
            GlobalKind::Dtype(_) | GlobalKind::QuantizationScheme | GlobalKind::Storage(_) => {
                Err(self.wrong_arguments(global))
            }
        }
    }

    fn call_function(&mut self, function: Function, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        use Function as F;
        let value = match function {
            F::RebuildTensor
            | F::RebuildTensorV2
            | F::RebuildTensorV3
            | F::RebuildQuantized
            | F::RebuildSparse
            | F::RebuildNested
            | F::RebuildMeta => return self.rebuild(function, global, arguments),
            F::RebuildParameter | F::RebuildParameterWithState => return self.rebuild_parameter(global, arguments),
            F::RebuildFromType => return self.rebuild_from_type(global, arguments),
            F::TensorClass | F::Parameter => return self.tensor_class(function, global, arguments),
            F::OrderedDict | F::DefaultDict | F::Counter | F::Dict => self.mapping(function, arguments)?,
            F::List | F::Tuple | F::Set | F::FrozenSet | F::Size => self.collection(function, arguments)?,
            F::Bytes | F::ByteArray | F::Encode => self.byte_string(function, arguments)?,
            F::Int | F::Float | F::Bool | F::Str | F::Complex => self.scalar(function, arguments)?,
            F::Device => self.device(arguments)?,
            F::GetLayout => self.layout(arguments)?,
            F::GetAttribute => self.get_attribute(global, arguments)?,
            F::ArrayReconstruct => self.reconstruct_array(arguments)?,
            F::ArrayFromBuffer => self.array_from_buffer(arguments)?,
            F::ArrayType => self.array_type(arguments)?,
            F::TorchVersion => self.scalar(F::Str, arguments)?,
            F::Reconstruct => self.reconstruct(arguments)?,
            F::NewObject => self.call_new_object(arguments)?,
            F::NewObjectEx => self.call_new_object_ex(arguments)?,
            F::TypedList => match arguments {
                &[list] if matches!(self.graph.node(list), Some(Node::List(_))) => Some(list),
                _ => None,
            },
            F::RestoreTypeTag => match arguments {
                &[value, tag] if self.graph.text(tag).is_some() => Some(value),
                _ => None,
            },
        };
        value.ok_or_else(|| self.wrong_arguments(global))
    }

    fn call_torchscript_class(&mut self, arguments: &[Value]) -> Result<Value, Fault> {
        let attributes = match arguments {
            [] => None,
            _ => Some(self.sequence_node(arguments.to_vec(), |items| Node::Tuple(items.into()))?),
        };
        self.node(Node::Module(attributes), 0)
    }

    /// `OrderedDict([items])`, `dict([items])`, `Counter([mapping])`, `defaultdict([factory[, items]])`.
    fn mapping(&mut self, function: Function, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let arguments = match (function, arguments) {
            (Function::DefaultDict, [factory, rest @ ..]) => {
                let is_callable = matches!(self.graph.node(*factory), Some(Node::Global(_) | Node::Opaque(_)));
                if !is_callable && *factory != Value::None {
                    return Ok(None);
                }
                rest
            }
            _ => arguments,
        };
        let items = match arguments {
            [] => Vec::new(),
            &[source] => match (self.graph.mapping(source), self.graph.sequence(source)) {
                (Some(mapping), _) => mapping.items.clone(),
                (None, Some(pairs)) if function != Function::Counter => {
                    let mut items = Vec::with_capacity(pairs.len());
                    for &pair in pairs {
                        let Some(&[key, value]) = self.graph.sequence(pair) else { return Ok(None) };
                        items.push((key, value));
                    }
                    items
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let extra = size_of::<Mapping>() + KEYED_BYTES * items.len();
        let mapping = Mapping { items, ordered: function == Function::OrderedDict, attributes: None };
        self.node(Node::Mapping(Box::new(mapping)), extra).map(Some)
    }

    /// `list`, `tuple`, `set`, `frozenset` and `torch.Size` without arguments or of another collection.
    fn collection(&mut self, function: Function, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let items = match arguments {
            [] => Vec::new(),
            &[source] => match self.graph.node(source) {
                Some(Node::List(items) | Node::Set(items, _)) => items.clone(),
                Some(Node::Tuple(items)) => items.to_vec(),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if function == Function::Size && !items.iter().all(|item| matches!(item, Value::Int(_))) {
            return Ok(None);
        }
        if matches!(function, Function::Set | Function::FrozenSet) {
            self.charge((items.len() * KEYED_BYTES) as u64)?;
        }
        let value = self.sequence_node(items, |items| match function {
            Function::List => Node::List(items),
            Function::Set => Node::Set(items, SetKind::Set),
            Function::FrozenSet => Node::Set(items, SetKind::Frozen),
            _ => Node::Tuple(items.into()),
        });
        value.map(Some)
    }

    /// `bytes`, `bytearray` and `_codecs.encode`: without arguments, of bytes, or of text with the encoding Latin-1.
    fn byte_string(&mut self, function: Function, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let bytes: Box<[u8]> = match (function, arguments) {
            (Function::Bytes | Function::ByteArray, []) => Box::default(),
            (Function::Bytes | Function::ByteArray, &[source]) => match self.graph.node(source) {
                Some(Node::Bytes(bytes) | Node::ByteArray(bytes)) => bytes.clone(),
                _ => return Ok(None),
            },
            (_, &[text, encoding]) => match (self.graph.text(text), self.graph.text(encoding)) {
                (Some(text), Some("latin1" | "latin-1" | "latin_1" | "iso-8859-1")) => match encode_latin1(text) {
                    Some(bytes) => bytes,
                    None => return Ok(None),
                },
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let extra = bytes.len();
        let node = if function == Function::ByteArray { Node::ByteArray(bytes) } else { Node::Bytes(bytes) };
        self.node(node, extra).map(Some)
    }

    /// `int`, `float`, `bool`, `str` and `complex` without arguments, or of values that need no parsing.
    fn scalar(&mut self, function: Function, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        use Function as F;
        Ok(match (function, arguments) {
            (F::Int, []) => Some(Value::Int(0)),
            (F::Int, &[Value::Int(value)]) => Some(Value::Int(value)),
            (F::Int, &[Value::Bool(bit)]) => Some(Value::Int(bit.into())),
            (F::Float, []) => Some(Value::Float(0.0)),
            (F::Float, &[value]) => number(value).map(Value::Float),
            (F::Bool, []) => Some(Value::Bool(false)),
            (F::Bool, &[value]) => number(value).map(|value| Value::Bool(value != 0.0)),
            (F::Str, []) => Some(self.node(Node::Text(Box::default()), 0)?),
            (F::Str, &[text]) if self.graph.text(text).is_some() => Some(text),
            (F::Complex, parts @ ([] | [_] | [_, _])) => {
                let mut numbers = [0.0; 2];
                for (target, &part) in std::iter::zip(&mut numbers, parts) {
                    let Some(number) = number(part) else { return Ok(None) };
                    *target = number;
                }
                let [real, imaginary] = numbers;
                Some(self.node(Node::Complex(real, imaginary), 0)?)
            }
            _ => None,
        })
    }

    /// `device("cuda:0")` or `device("cuda", 0)`.
    fn device(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let text = match *arguments {
            [name] => match self.graph.text(name) {
                Some(name) => name.to_owned(),
                None => return Ok(None),
            },
            [name, Value::Int(index @ 0..)] => match self.graph.text(name) {
                Some(name) if !name.contains(':') => format!("{name}:{index}"),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if !is_device(&text) {
            return Ok(None);
        }
        let extra = text.len();
        self.node(Node::Device(text.into()), extra).map(Some)
    }

    /// `_get_layout("torch.sparse_coo")`.
    fn layout(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let &[name] = arguments else { return Ok(None) };
        let Some(name) = self.graph.text(name) else { return Ok(None) };
        let Some(name) = name.strip_prefix("torch.") else { return Ok(None) };
        match LAYOUTS.iter().find(|&&layout| layout == name) {
            Some(layout) => self.node(Node::Layout(layout), 0).map(Some),
            None => Ok(None),
        }
    }

    /// `getattr(inert class, string)`: another inert object. Nothing is looked up.
    fn get_attribute(&mut self, global: Global, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let &[class, name] = arguments else { return Ok(None) };
        if let Some(class) = self.opaque_class(class) {
            return self.opaque(class, arguments).map(Some);
        }
        let inert = matches!(self.graph.node(class), Some(Node::Global(Global { kind: GlobalKind::Inert(true), .. })));
        if !inert || self.graph.text(name).is_none() {
            let expected = "builtins.getattr (of an inert class and a string)";
            return Err(PickleProblem::WrongArguments(expected.into()).into());
        }
        self.node(Node::Inert(global), 0).map(Some)
    }

    /// `_reconstructor(class, base, state)`, with which protocols 0 and 1 create an object of a class.
    fn reconstruct(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let &[class, base, state] = arguments else { return Ok(None) };
        let (Some(&Node::Global(class)), Some(Node::Global(_))) = (self.graph.node(class), self.graph.node(base))
        else {
            return Ok(None);
        };
        match class.kind {
            GlobalKind::Inert(true) => self.call(class, &[]).map(Some),
            GlobalKind::Opaque if state == Value::None => self.call(class, &[]).map(Some),
            GlobalKind::Opaque => self.call(class, &[state]).map(Some),
            GlobalKind::Function(Function::TorchVersion) => self.call(class, &[state]).map(Some),
            _ => Ok(None),
        }
    }

    /// `__newobj__(class, ...)`: the same as the opcode NEWOBJ.
    fn call_new_object(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let Some((&class, arguments)) = arguments.split_first() else { return Ok(None) };
        match self.graph.node(class) {
            Some(&Node::Global(class)) => self.new_object(class, arguments).map(Some),
            _ => Ok(None),
        }
    }

    /// `__newobj_ex__(class, arguments, keywords)`: the same as the opcode NEWOBJ_EX.
    fn call_new_object_ex(&mut self, arguments: &[Value]) -> Result<Option<Value>, Fault> {
        let &[class, positional, keywords] = arguments else { return Ok(None) };
        let class = self.callee("NEWOBJ_EX", class)?;
        let positional = self.arguments("NEWOBJ_EX", positional)?;
        self.new_object_with_keywords(class, positional, keywords).map(Some)
    }

    /// A record of a call of a class or function that is on no list: its name and its arguments. Nothing is called.
    fn opaque(&mut self, class: Global, arguments: &[Value]) -> Result<Value, Fault> {
        let extra = size_of::<Opaque>() + 2 * size_of_val(arguments);
        self.node(Node::Opaque(Box::new(Opaque::new(class, arguments.to_vec()))), extra)
    }

    /// The class or function of an opaque value; `None` for any other value.
    pub(super) fn opaque_class(&self, value: Value) -> Option<Global> {
        match self.graph.node(value)? {
            Node::Global(global) if global.kind == GlobalKind::Opaque => Some(*global),
            Node::Opaque(opaque) => Some(opaque.class),
            _ => None,
        }
    }
}

/// Whether a text is the type of a device, with or without an index.
fn is_device(text: &str) -> bool {
    let (kind, index) = text.split_once(':').unwrap_or((text, "0"));
    let is_word = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word && !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit())
}

fn encode_latin1(text: &str) -> Option<Box<[u8]>> {
    if text.is_ascii() {
        return Some(text.as_bytes().into());
    }
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

/// The value of a bool, int or float.
fn number(value: Value) -> Option<f64> {
    match value {
        Value::Bool(bit) => Some(bit.into()),
        Value::Int(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        _ => None,
    }
}
