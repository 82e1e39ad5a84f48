//! What each group of opcodes does.

use crate::error::{ErrorKind, PickleProblem};
use crate::limits::{MAX_LINE_BYTES, MAX_NAME_BYTES};
use crate::pickle::Fault;
use crate::pickle::globals::{Global, GlobalKind, module_of_today};
use crate::pickle::literal::{self, Integer};
use crate::pickle::machine::Machine;
use crate::pickle::opcode::*;
use crate::pickle::value::{Mapping, Node, SetKind, Value};

/// Bytes of an entry of a list, growth included.
const ENTRY_BYTES: usize = 40;
/// Bytes of a name that is known by its text, and of its entry, growth included.
const NAME_BYTES: usize = 88;
/// Bytes of an entry of a mapping or set, with those that finding equal keys takes in the end.
pub(super) const KEYED_BYTES: usize = 160;

/// Bytes of a string that stays in the file where arrays are read, because it is one's elements, as a rule.
const MIN_LENT_BYTES: u64 = 4096;

/// How many bytes of memory the time for one decimal digit stands for.
const BIG_INTEGER_FACTOR: usize = 8;

impl Machine<'_> {
    fn line(&mut self) -> Result<&[u8], Fault> {
        self.input.line(MAX_LINE_BYTES)
    }

    /// Reading and writing the memo.
    pub(super) fn step_memo(&mut self, opcode: u8) -> Result<(), Fault> {
        let index = match opcode {
            GET | PUT => literal::memo_line(self.line()?)?,
            BINGET | BINPUT => self.input.u8()?.into(),
            LONG_BINGET | LONG_BINPUT => self.input.u32()?,
            // MEMOIZE numbers the entries itself.
            _ => self.memo.next(),
        };
        if matches!(opcode, GET | BINGET | LONG_BINGET) {
            let value = self.memo.get(index).ok_or(PickleProblem::NoMemo(index))?;
            return self.stack.push(value);
        }
        let value = self.stack.top()?;
        let bytes = self.memo.set(index, value);
        self.charge(bytes)
    }

    /// None, bools and numbers.
    pub(super) fn step_number(&mut self, opcode: u8) -> Result<(), Fault> {
        let integer = match opcode {
            NONE => return self.stack.push(Value::None),
            NEWTRUE => return self.stack.push(Value::Bool(true)),
            NEWFALSE => return self.stack.push(Value::Bool(false)),
            FLOAT => {
                let value = literal::float_line(self.line()?)?;
                return self.stack.push(Value::Float(value));
            }
            BINFLOAT => {
                let value = f64::from_be_bytes(self.input.array()?);
                return self.stack.push(Value::Float(value));
            }
            INT => match self.line()? {
                b"00" => return self.stack.push(Value::Bool(false)),
                b"01" => return self.stack.push(Value::Bool(true)),
                line => literal::integer_line(line)?,
            },
            LONG => literal::integer_line(self.line()?)?,
            BININT => Integer::Small(i32::from_le_bytes(self.input.array()?).into()),
            BININT1 => Integer::Small(self.input.u8()?.into()),
            BININT2 => Integer::Small(self.input.u16()?.into()),
            LONG1 => {
                let length = self.input.u8()?;
                literal::long(self.input.take(length.into())?)?
            }
            _ => {
                let length = self.input.u32()?;
                literal::long(self.input.take(length as usize)?)?
            }
        };
        match integer {
            Integer::Small(value) => self.stack.push(Value::Int(value)),
            Integer::Big(digits) => {
                // Decimal digits cost time, not only memory.
                let length = BIG_INTEGER_FACTOR * digits.len();
                self.push_node(Node::BigInt(digits.into()), length)
            }
        }
    }

    /// Strings and bytes.
    pub(super) fn step_text(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            STRING => {
                let bytes = literal::string_line(self.line()?)?;
                let length = bytes.len();
                return self.push_node(python_2_string(bytes), length);
            }
            UNICODE => {
                let text = literal::unicode_line(self.line()?)?;
                let length = text.len();
                return self.push_node(Node::Text(text.into()), length);
            }
            _ => {}
        }
        let length = match opcode {
            SHORT_BINSTRING | SHORT_BINUNICODE | SHORT_BINBYTES => self.input.u8()?.into(),
            BINUNICODE8 | BINBYTES8 | BYTEARRAY8 => self.input.u64()?,
            _ => self.input.u32()?.into(),
        };
        if self.allowed.arrays && length >= MIN_LENT_BYTES && !matches!(opcode, BINUNICODE | BINUNICODE8) {
            let start = self.input.place();
            self.input.skip(length)?;
            return self.push_node(Node::FileBytes { start, length }, 0);
        }
        self.input.check(length)?;
        self.charge(length)?;
        let bytes = self.input.take(usize::try_from(length).map_err(|_| PickleProblem::Ended)?)?.to_vec();
        match opcode {
            BINSTRING | SHORT_BINSTRING => self.push_node(python_2_string(bytes), 0),
            BINBYTES | SHORT_BINBYTES | BINBYTES8 => self.push_node(Node::Bytes(bytes.into()), 0),
            BYTEARRAY8 => self.push_node(Node::ByteArray(bytes.into()), 0),
            _ => {
                let text = String::from_utf8(bytes).map_err(|_| PickleProblem::BadLiteral("UTF-8 text"))?;
                self.push_node(Node::Text(text.into()), 0)
            }
        }
    }

    /// Making and filling containers.
    pub(super) fn step_container(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            EMPTY_LIST => self.push_node(Node::List(Vec::new()), 0),
            EMPTY_TUPLE => self.push_node(Node::Tuple(Box::default()), 0),
            EMPTY_SET => self.push_node(Node::Set(Vec::new(), SetKind::Set), 0),
            EMPTY_DICT => self.push_node(Node::Mapping(Box::default()), size_of::<Mapping>()),
            LIST => {
                let items = self.stack.pop_mark()?;
                self.push_sequence(items, Node::List)
            }
            TUPLE => {
                let items = self.stack.pop_mark()?;
                self.push_sequence(items, tuple)
            }
            TUPLE1 => {
                let items = self.stack.pop_array::<1>()?;
                self.push_sequence(items.into(), tuple)
            }
            TUPLE2 => {
                let items = self.stack.pop_array::<2>()?;
                self.push_sequence(items.into(), tuple)
            }
            TUPLE3 => {
                let items = self.stack.pop_array::<3>()?;
                self.push_sequence(items.into(), tuple)
            }
            FROZENSET => {
                let items = self.stack.pop_mark()?;
                self.charge((items.len() * KEYED_BYTES) as u64)?;
                self.push_sequence(items, |items| Node::Set(items, SetKind::Frozen))
            }
            DICT => {
                let items = self.stack.pop_mark()?;
                self.push_node(Node::Mapping(Box::default()), size_of::<Mapping>())?;
                self.set_items(items)
            }
            APPEND => {
                let item = self.stack.pop()?;
                self.append(vec![item])
            }
            APPENDS => {
                let items = self.stack.pop_mark()?;
                self.append(items)
            }
            ADDITEMS => {
                let items = self.stack.pop_mark()?;
                self.add_items(items)
            }
            SETITEM => {
                let item = self.stack.pop_array::<2>()?;
                self.set_items(item.into())
            }
            _ => {
                let items = self.stack.pop_mark()?;
                self.set_items(items)
            }
        }
    }

    fn append(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let target = self.stack.top()?;
        self.charge((items.len() * ENTRY_BYTES) as u64)?;
        match self.graph.node_mut(target) {
            Some(Node::List(list)) => list.extend(items),
            Some(Node::Opaque(opaque)) => opaque.items.extend(items),
            Some(Node::Inert(_)) => {}
            _ => return Err(self.wrong_type("APPEND", target)),
        }
        Ok(())
    }

    fn add_items(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let target = self.stack.top()?;
        self.charge((items.len() * KEYED_BYTES) as u64)?;
        match self.graph.node_mut(target) {
            Some(Node::Set(set, SetKind::Set)) => set.extend(items),
            Some(Node::Opaque(opaque)) => opaque.items.extend(items),
            _ => return Err(self.wrong_type("ADDITEMS", target)),
        }
        Ok(())
    }

    /// Sets keys and values, which alternate in `items`, in the mapping on top of the stack.
    fn set_items(&mut self, items: Vec<Value>) -> Result<(), Fault> {
        let target = self.stack.top()?;
        self.charge((items.len() / 2 * KEYED_BYTES) as u64)?;
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(PickleProblem::EmptyStack.into());
        }
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match self.graph.node_mut(target) {
            Some(Node::Mapping(mapping)) => mapping.items.extend(pairs),
            Some(Node::Opaque(opaque)) => opaque.entries.extend(pairs),
            Some(Node::Inert(_)) => {}
            _ => return Err(self.wrong_type("SETITEM", target)),
        }
        Ok(())
    }

    /// Naming globals, calling them, and setting attributes.
    pub(super) fn step_object(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            GLOBAL => {
                let global = self.named_on_lines()?;
                self.push_global(global)
            }
            STACK_GLOBAL => {
                let [module, name] = self.stack.pop_array()?;
                let (Some(module), Some(name)) = (self.graph.text(module), self.graph.text(name)) else {
                    return Err(self.wrong_type("STACK_GLOBAL", module));
                };
                check_name(module, name)?;
                let (module, name) = (module.to_owned(), name.to_owned());
                let global = self.global(&module, &name)?;
                self.push_global(global)
            }
            INST => {
                let global = self.named_on_lines()?;
                let arguments = self.stack.pop_mark()?;
                let value = self.call(global, &arguments)?;
                self.stack.push(value)
            }
            OBJ => {
                let values = self.stack.pop_mark()?;
                let (&class, arguments) = values.split_first().ok_or(PickleProblem::EmptyStack)?;
                let global = self.callee("OBJ", class)?;
                let value = self.call(global, arguments)?;
                self.stack.push(value)
            }
            REDUCE => {
                let [callee, arguments] = self.stack.pop_array()?;
                let global = self.callee("REDUCE", callee)?;
                let arguments = self.arguments("REDUCE", arguments)?;
                let value = self.call(global, &arguments)?;
                self.stack.push(value)
            }
            NEWOBJ => {
                let [class, arguments] = self.stack.pop_array()?;
                let global = self.callee("NEWOBJ", class)?;
                let arguments = self.arguments("NEWOBJ", arguments)?;
                let value = self.make(global, &arguments)?;
                self.stack.push(value)
            }
            NEWOBJ_EX => {
                let [class, arguments, keywords] = self.stack.pop_array()?;
                let global = self.callee("NEWOBJ_EX", class)?;
                let arguments = self.arguments("NEWOBJ_EX", arguments)?;
                let value = self.make_with(global, arguments, keywords)?;
                self.stack.push(value)
            }
            _ => self.build(),
        }
    }

    fn named_on_lines(&mut self) -> Result<Global, Fault> {
        let mut line = || {
            let line = self.input.line(MAX_LINE_BYTES)?;
            let name = std::str::from_utf8(line).map_err(|_| PickleProblem::BadLiteral("name of a global"))?;
            Ok::<_, Fault>(name.to_owned())
        };
        let (module, name) = (line()?, line()?);
        self.global(&module, &name)
    }

    /// The global `module.name`, if it is on a list.
    fn global(&mut self, module: &str, name: &str) -> Result<Global, Fault> {
        check_name(module, name)?;
        // Looking a name up takes time each time.
        self.charge((module.len() + name.len()) as u64)?;
        let today = module_of_today(module);
        let Some(kind) = self.allowed.find(today, name) else {
            let known_as = (today != module).then(|| format!("{today}.{name}"));
            let (module, name) = (module.to_owned(), name.to_owned());
            return Err(ErrorKind::ForbiddenGlobal { module, name, known_as }.into());
        };
        let full = format!("{today}.{name}");
        let index = match self.names.get(full.as_str()) {
            Some(&index) => index,
            None => {
                let index = self.graph.names.len() as u32;
                self.charge((full.len() * 2 + NAME_BYTES * 2) as u64)?;
                self.graph.names.push(full.as_str().into());
                self.names.insert(full.into(), index);
                index
            }
        };
        Ok(Global { kind, name: index })
    }

    fn push_global(&mut self, global: Global) -> Result<(), Fault> {
        match global.kind {
            GlobalKind::Dtype(dtype) => self.push_node(Node::Dtype(dtype), 0),
            _ => self.push_node(Node::Global(global), 0),
        }
    }

    pub(super) fn callee(&self, operation: &'static str, value: Value) -> Result<Global, Fault> {
        match self.graph.node(value) {
            Some(Node::Global(global)) => Ok(*global),
            _ => self.opaque_class(value).ok_or_else(|| self.wrong_type(operation, value)),
        }
    }

    pub(super) fn arguments(&self, operation: &'static str, value: Value) -> Result<Vec<Value>, Fault> {
        match self.graph.tuple(value) {
            Some(items) => Ok(items.to_vec()),
            None => Err(self.wrong_type(operation, value)),
        }
    }

    /// An object of the class `global`, which was given keyword arguments, too.
    pub(super) fn make_with(
        &mut self,
        global: Global,
        mut arguments: Vec<Value>,
        keywords: Value,
    ) -> Result<Value, Fault> {
        let empty = match self.graph.mapping(keywords) {
            Some(mapping) => mapping.items.is_empty(),
            None => return Err(self.wrong_type("NEWOBJ_EX", keywords)),
        };
        match global.kind {
            GlobalKind::Opaque if !empty => arguments.push(keywords),
            GlobalKind::Inert(_) | GlobalKind::Opaque => {}
            _ if !empty => return Err(self.wrong_arguments(global)),
            _ => {}
        }
        self.make(global, &arguments)
    }

    /// An object of the class `global`.
    pub(super) fn make(&mut self, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        let class = match global.kind {
            GlobalKind::Function(function) => function.is_class(),
            GlobalKind::Inert(class) => class,
            GlobalKind::Opaque => true,
            _ => global.kind == GlobalKind::TorchScriptClass,
        };
        if !class {
            return Err(self.wrong_arguments(global));
        }
        self.call(global, arguments)
    }

    /// BUILD: gives attributes to what may have some; they are no entries of it.
    fn build(&mut self) -> Result<(), Fault> {
        let state = self.stack.pop()?;
        let target = self.stack.top()?;
        match self.graph.node_mut(target) {
            Some(Node::Mapping(mapping)) if mapping.ordered => mapping.attributes = Some(state),
            Some(Node::Module(attributes)) => *attributes = Some(state),
            Some(Node::Opaque(opaque)) => opaque.state = Some(state),
            Some(Node::Array | Node::ArrayType(_)) => return self.build_array(target, state),
            Some(Node::Inert(_)) => {}
            Some(Node::Tensor(_)) => return self.build_tensor(target, state),
            _ => return Err(self.wrong_type("BUILD", target)),
        }
        Ok(())
    }

    pub(super) fn wrong_type(&self, operation: &'static str, value: Value) -> Fault {
        PickleProblem::WrongType { operation, found: self.graph.kind(value) }.into()
    }

    pub(super) fn wrong_arguments(&self, global: Global) -> Fault {
        PickleProblem::WrongArguments(self.graph.name(global).to_owned()).into()
    }
}

/// A `str` of Python 2: text where it is UTF-8, and bytes otherwise.
pub(crate) fn python_2_string(bytes: Vec<u8>) -> Node {
    match String::from_utf8(bytes) {
        Ok(text) => Node::Text(text.into()),
        Err(error) => Node::Bytes(error.into_bytes().into()),
    }
}

/// An error if the name of a global is too long to be handled.
fn check_name(module: &str, name: &str) -> Result<(), PickleProblem> {
    let fits = module.len().saturating_add(name.len()) <= MAX_NAME_BYTES;
    if fits { Ok(()) } else { Err(PickleProblem::BadLiteral("name of a global (too long)")) }
}

fn tuple(items: Vec<Value>) -> Node {
    Node::Tuple(items.into())
}
