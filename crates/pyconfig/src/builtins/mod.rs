//! Python's built-in functions and methods, as far as configs may use them.

mod containers;
mod dicts;
pub(crate) mod exceptions;
mod functions;
pub(crate) mod functools;
mod iteration;
pub(crate) mod itertools;
mod lists;
mod math;
pub(crate) mod modules;
mod numbers;
pub(crate) mod paths;
mod sets;
mod sorting;
mod stdlib;
mod text;
mod translate;
mod types;

use crate::error::Result;
use crate::interpreter::{Arguments, Interpreter};
use crate::value::{Value, View};

pub(crate) use functions::call;
pub(crate) use text::is_identifier;

/// A built-in function or type, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Builtin(&'static str);

/// A method, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Method(&'static str);

/// Types, which can be called and are the second argument of `isinstance`.
const TYPES: [&str; 15] = [
    "bool",
    "dict",
    "enumerate",
    "filter",
    "float",
    "frozenset",
    "int",
    "list",
    "map",
    "range",
    "reversed",
    "set",
    "str",
    "tuple",
    "zip",
];

/// Functions.
const FUNCTIONS: [&str; 36] = [
    "abs",
    "all",
    "any",
    "ascii",
    "bin",
    "callable",
    "chr",
    "divmod",
    "format",
    "getattr",
    "globals",
    "hasattr",
    "hash",
    "hex",
    "id",
    "isinstance",
    "issubclass",
    "iter",
    "len",
    "locals",
    "max",
    "min",
    "next",
    "oct",
    "ord",
    "pow",
    "print",
    "read_base",
    "repr",
    "round",
    "setattr",
    "slice",
    "sorted",
    "sum",
    "type",
    "vars",
];

/// Other names of Python, and why configs cannot use them.
const REFUSED: [(&str, &str); 17] = [
    ("open", "which reads and writes files"),
    ("eval", "which runs code"),
    ("exec", "which runs code"),
    ("compile", "which runs code"),
    ("input", "which waits for input"),
    ("__import__", "which imports code; write `import`"),
    ("__file__", "the path of the file; write '{{ fileDirname }}' or '{{ fileBasename }}'"),
    ("__builtins__", "which leads out of the config"),
    ("breakpoint", "which starts a debugger"),
    ("exit", "which ends the program"),
    ("quit", "which ends the program"),
    ("help", "which is for the command line"),
    ("object", "which is for classes"),
    ("super", "which is for classes"),
    ("property", "which is for classes"),
    ("memoryview", "which is for bytes"),
    ("bytes", "which are no values of a config"),
];

/// Why a name of Python cannot be used.
pub(crate) fn refusal(name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(refused, _)| *refused == name).map(|(_, reason)| *reason)
}

impl Builtin {
    /// The built-in function or type of that name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let known = TYPES.iter().chain(&FUNCTIONS).find(|known| **known == name);
        known.map(|known| Self(known))
    }

    /// A function of a module, by its full name.
    pub(crate) const fn of_module(name: &'static str) -> Self {
        Self(name)
    }

    pub(crate) fn name(self) -> &'static str {
        self.0
    }

    pub(crate) fn is_type(self) -> bool {
        TYPES.contains(&self.0) || matches!(self.0, "ConfigDict" | "NoneType")
    }
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        self.0
    }

    /// The method of a value that has the name.
    pub(crate) fn find(value: &Value, name: &str) -> Option<Self> {
        let names: &'static [&'static str] = match value {
            Value::Str(_) => &text::METHODS,
            Value::List(_) => &lists::LIST_METHODS,
            Value::Tuple(_) | Value::Range(_) => &lists::TUPLE_METHODS,
            Value::Dict(dict) if dict.is_config.get() => &dicts::CONFIG_METHODS,
            Value::Dict(_) => &dicts::METHODS,
            Value::View(_, View::Keys | View::Items) => &sets::FROZEN_METHODS,
            Value::Set(set) if set.is_frozen => &sets::FROZEN_METHODS,
            Value::Set(_) => &sets::METHODS,
            Value::Int(_) | Value::Big(_) | Value::Bool(_) => &["bit_count", "bit_length", "conjugate", "is_integer"],
            Value::Float(_) => &["conjugate", "is_integer"],
            // Methods of types, which take the value as the first argument.
            Value::Builtin(Builtin("dict")) => &dicts::METHODS,
            Value::Builtin(Builtin("str")) => &text::METHODS,
            Value::Builtin(Builtin("list")) => &lists::LIST_METHODS,
            _ => &[],
        };
        names.iter().find(|known| **known == name).map(|known| Self(known))
    }
}

/// Calls a method of a value.
pub(crate) fn call_method(
    interpreter: &mut Interpreter,
    receiver: &Value,
    method: Method,
    arguments: Arguments,
) -> Result<Value> {
    let name = method.0;
    match receiver {
        Value::Str(receiver) => text::call(interpreter, receiver, name, arguments),
        Value::List(receiver) => lists::call(interpreter, receiver, name, arguments),
        Value::Tuple(_) | Value::Range(_) => lists::call_tuple(interpreter, receiver, name, arguments),
        Value::Dict(receiver) => dicts::call(interpreter, receiver, name, arguments),
        Value::Set(_) | Value::View(..) => sets::call(interpreter, receiver, name, arguments),
        Value::Builtin(builtin) => types::call_type_method(interpreter, *builtin, method, arguments),
        _ => numbers::call_number_method(receiver, name, arguments),
    }
}
