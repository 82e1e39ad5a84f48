//! Opcodes that name globals, call them and set attributes.

use crate::error::{ErrorKind, PickleProblem};
use crate::limits::{MAX_LINE_BYTES, MAX_NAME_BYTES};
use crate::unpickler::Unpickler;
use crate::unpickler::fault::Fault;
use crate::unpickler::globals::{Global, GlobalKind, current_module};
use crate::unpickler::opcode::*;
use crate::unpickler::value::{Node, Value};

/// Bytes per name and its table entry, including growth.
const NAME_BYTES: usize = 88;

impl Unpickler<'_> {
    /// Names a global, calls one, or sets attributes.
    pub(super) fn step_object(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            GLOBAL => {
                let global = self.read_global()?;
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
                let global = self.read_global()?;
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
                let [function, arguments] = self.stack.pop_array()?;
                let global = self.callee("REDUCE", function)?;
                let arguments = self.arguments("REDUCE", arguments)?;
                let value = self.call(global, &arguments)?;
                self.stack.push(value)
            }
            NEWOBJ => {
                let [class, arguments] = self.stack.pop_array()?;
                let global = self.callee("NEWOBJ", class)?;
                let arguments = self.arguments("NEWOBJ", arguments)?;
                let value = self.new_object(global, &arguments)?;
                self.stack.push(value)
            }
            NEWOBJ_EX => {
                let [class, arguments, keywords] = self.stack.pop_array()?;
                let global = self.callee("NEWOBJ_EX", class)?;
                let arguments = self.arguments("NEWOBJ_EX", arguments)?;
                let value = self.new_object_with_keywords(global, arguments, keywords)?;
                self.stack.push(value)
            }
            _ => self.build(),
        }
    }

    /// The global named by the next two lines.
    fn read_global(&mut self) -> Result<Global, Fault> {
        let module = self.read_name()?;
        let name = self.read_name()?;
        self.global(&module, &name)
    }

    fn read_name(&mut self) -> Result<String, Fault> {
        let line = self.input.line(MAX_LINE_BYTES)?;
        match std::str::from_utf8(line) {
            Ok(name) => Ok(name.to_owned()),
            Err(_) => Err(PickleProblem::BadLiteral("name of a global").into()),
        }
    }

    /// The global `module.name`. Returns an error if it is on no list.
    fn global(&mut self, module: &str, name: &str) -> Result<Global, Fault> {
        check_name(module, name)?;
        // Each lookup of a name takes time.
        self.charge((module.len() + name.len()) as u64)?;
        let current = current_module(module);
        let full_name = format!("{current}.{name}");
        let Some(kind) = self.allowed.find(current, name) else {
            let known_as = if current == module { None } else { Some(full_name) };
            return Err(
                ErrorKind::ForbiddenGlobal { module: module.to_owned(), name: name.to_owned(), known_as }.into()
            );
        };
        if let Some(&index) = self.names.get(full_name.as_str()) {
            return Ok(Global { kind, name: index });
        }
        let index = self.graph.names.len() as u32;
        self.charge((full_name.len() * 2 + NAME_BYTES * 2) as u64)?;
        self.graph.names.push(full_name.as_str().into());
        self.names.insert(full_name.into(), index);
        Ok(Global { kind, name: index })
    }

    fn push_global(&mut self, global: Global) -> Result<(), Fault> {
        match global.kind {
            GlobalKind::Dtype(dtype) => self.push_node(Node::Dtype(dtype), 0),
            _ => self.push_node(Node::Global(global), 0),
        }
    }

    pub(super) fn callee(&self, operation: &'static str, value: Value) -> Result<Global, Fault> {
        if let Some(&Node::Global(global)) = self.graph.node(value) {
            return Ok(global);
        }
        self.opaque_class(value).ok_or_else(|| self.wrong_type(operation, value))
    }

    pub(super) fn arguments(&self, operation: &'static str, value: Value) -> Result<Vec<Value>, Fault> {
        let items = self.graph.tuple(value).ok_or_else(|| self.wrong_type(operation, value))?;
        Ok(items.to_vec())
    }

    /// Creates an object of the class `global` with keyword arguments.
    pub(super) fn new_object_with_keywords(
        &mut self,
        global: Global,
        mut arguments: Vec<Value>,
        keywords: Value,
    ) -> Result<Value, Fault> {
        let Some(mapping) = self.graph.mapping(keywords) else {
            return Err(self.wrong_type("NEWOBJ_EX", keywords));
        };
        if !mapping.items.is_empty() {
            match global.kind {
                GlobalKind::Opaque => arguments.push(keywords),
                GlobalKind::Inert(_) => {}
                _ => return Err(self.wrong_arguments(global)),
            }
        }
        self.new_object(global, &arguments)
    }

    /// Creates an object of the class `global`.
    pub(super) fn new_object(&mut self, global: Global, arguments: &[Value]) -> Result<Value, Fault> {
        let is_class = match global.kind {
            GlobalKind::Function(function) => function.is_class(),
            GlobalKind::Inert(is_class) => is_class,
            GlobalKind::Opaque | GlobalKind::TorchScriptClass => true,
            _ => false,
        };
        if !is_class {
            return Err(self.wrong_arguments(global));
        }
        self.call(global, arguments)
    }

    /// BUILD: sets the attributes of a value that may have some. They are not entries of the value.
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

/// Returns an error if the name of a global is too long.
fn check_name(module: &str, name: &str) -> Result<(), PickleProblem> {
    if module.len().saturating_add(name.len()) > MAX_NAME_BYTES {
        return Err(PickleProblem::BadLiteral("name of a global (too long)"));
    }
    Ok(())
}
