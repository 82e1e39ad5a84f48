//! Modules of Python's library, as far as they compute without reaching outside.

use std::rc::Rc;

use super::{Builtin, functools, itertools, math, paths, stdlib};
use crate::config::json;
use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::{Dict, Module, Value, copy, iterate};

/// What configs can import, for messages.
pub(crate) const IMPORTABLE: &str =
    "`copy`, `functools`, `itertools`, `json`, `math`, `os.path`, `typing` and `mmengine.config`";

/// Whether mmengine takes the module for one of Python's own.
pub(crate) fn is_standard(path: &str) -> bool {
    path.starts_with("mmengine.config") || stdlib::NAMES.contains(&path.split('.').next().unwrap_or(path))
}

/// The module that `import path` makes available.
pub(crate) fn module(path: &str) -> Option<Module> {
    match path {
        "copy" => Some(Module::Copy),
        "functools" => Some(Module::Functools),
        "itertools" => Some(Module::Itertools),
        "json" => Some(Module::Json),
        "math" => Some(Module::Math),
        "os" => Some(Module::Os),
        "os.path" | "posixpath" => Some(Module::OsPath),
        "typing" | "__future__" => Some(Module::Typing),
        _ => None,
    }
}

/// The value of `from path import name`.
pub(crate) fn imported(path: &str, name: &Rc<str>) -> Result<Value> {
    match (path, &**name) {
        ("mmengine.config", "read_base" | "ConfigDict") | ("mmengine.config.config", "read_base" | "ConfigDict") => {
            Ok(Value::Builtin(Builtin::of_module(if &**name == "read_base" { "read_base" } else { "ConfigDict" })))
        }
        _ => match module(path) {
            Some(module) => attribute(module, name),
            None => Err(Fault::refused(format!("importing `{name}` from `{path}`; configs can import {IMPORTABLE}"))),
        },
    }
}

const COPY: [&str; 2] = ["copy.copy", "copy.deepcopy"];
const JSON: [&str; 2] = ["json.dumps", "json.loads"];

/// An attribute of a module.
pub(crate) fn attribute(module: Module, name: &Rc<str>) -> Result<Value> {
    let (prefix, functions): (&str, &[&'static str]) = match module {
        Module::Copy => ("copy", &COPY),
        Module::Functools => ("functools", &functools::FUNCTIONS),
        Module::Itertools => ("itertools", &itertools::FUNCTIONS),
        Module::Json => ("json", &JSON),
        Module::Math => ("math", &math::FUNCTIONS),
        Module::Os => ("os", &paths::FUNCTIONS),
        Module::OsPath => ("os.path", &paths::FUNCTIONS),
        Module::Typing => return Ok(Value::Module(Module::Typing)),
        Module::Exception => {
            return Err(Fault::refused("attributes of an exception, which differ between versions of Python"));
        }
    };
    match module {
        Module::Math => {
            if let Some(constant) = math::constant(name) {
                return Ok(Value::Float(constant));
            }
        }
        Module::Os if &**name == "path" => return Ok(Value::Module(Module::OsPath)),
        Module::Os | Module::OsPath => {
            if let Some(text) = paths::constant(name) {
                return Ok(Value::str(text));
            }
        }
        _ => {}
    }
    let full = format!("{prefix}.{name}");
    match functions.iter().find(|known| **known == full) {
        Some(known) => Ok(Value::Builtin(Builtin::of_module(known))),
        None => Err(Fault::refused(match module {
            Module::Os | Module::OsPath => {
                format!("`{full}`, which may reach outside; of `os`, paths can be joined and split")
            }
            Module::Itertools => format!("`{full}`; `itertools` has {} here", itertools::FUNCTIONS.join(", ")),
            _ => format!("`{full}`"),
        })),
    }
}

/// Calls a function of a module.
pub(super) fn call(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    match name.split_once('.') {
        Some(("math", function)) => return math::call(interpreter, function, arguments),
        Some(("functools", _)) => return functools::call(interpreter, name, arguments),
        Some(("itertools", function)) => return itertools::call(interpreter, function, arguments),
        _ => {}
    }
    match name {
        "copy.deepcopy" => {
            let [value, _] = arguments.bind("deepcopy", ["x", "memo"], 1)?;
            copy::deep(&mut interpreter.budget, &value.unwrap_or(Value::None))
        }
        "copy.copy" => shallow(interpreter, &arguments.one("copy")?),
        "json.loads" => match arguments.one("loads")? {
            Value::Str(text) => json::loads(&mut interpreter.budget, &text),
            other => Err(Fault::type_error(format!("the JSON object must be str, not {}", other.type_name()))),
        },
        "json.dumps" => {
            if !arguments.keywords.is_empty() {
                return Err(Fault::refused("`json.dumps` with options"));
            }
            json::dumps(&mut interpreter.budget, &arguments.one("dumps")?)
        }
        _ => paths::call(interpreter, name, arguments),
    }
}

fn shallow(interpreter: &mut Interpreter, value: &Value) -> Result<Value> {
    match value {
        Value::List(_) => Ok(Value::list(iterate::items(&mut interpreter.budget, value)?)),
        Value::Dict(dict) => {
            let copy = Rc::new(Dict::new(dict.is_config.get()));
            interpreter.extend_dict(&copy, value)?;
            Ok(Value::Dict(copy))
        }
        Value::Set(set) => {
            interpreter.budget.dict(set.keys.borrow().len())?;
            let keys = set.keys.borrow().clone();
            Ok(Value::Set(Rc::new(crate::value::Set { keys: keys.into(), is_frozen: set.is_frozen })))
        }
        _ => Ok(value.clone()),
    }
}
