//! Attributes: keys of a `ConfigDict`, methods, and names of modules.

use std::rc::Rc;

use super::Interpreter;
use crate::builtins::{Builtin, Method, itertools, modules};
use crate::error::{Fault, Result};
use crate::value::key::Key;
use crate::value::{BoundMethod, Value};

impl Interpreter {
    /// `value.name`.
    pub(crate) fn attribute(&mut self, value: &Value, name: &Rc<str>) -> Result<Value> {
        self.budget.step(1)?;
        match value {
            Value::Builtin(builtin) if builtin.is_type() && matches!(&**name, "__name__" | "__qualname__") => {
                return Ok(Value::str(builtin.name()));
            }
            Value::Function(function) if matches!(&**name, "__name__" | "__qualname__") => {
                return Ok(Value::Str(Rc::clone(&function.definition.name)));
            }
            _ => {}
        }
        if name.starts_with("__") {
            return Err(Fault::refused(format!("`{name}`: names with two underscores lead out of the config")));
        }
        match value {
            Value::Module(module) => return modules::attribute(*module, name),
            Value::Lazy(lazy) if &**name == "module" => return Ok(Value::str(lazy.module())),
            Value::Lazy(lazy) => return Ok(Value::Lazy(Rc::new(lazy.attribute(name)))),
            Value::Builtin(builtin) if builtin.name() == "itertools.chain" && &**name == "from_iterable" => {
                return Ok(Value::Builtin(Builtin::of_module(itertools::FROM_ITERABLE)));
            }
            _ => {}
        }
        if let Some(method) = Method::find(value, name) {
            return Ok(Value::Method(Rc::new(BoundMethod { receiver: value.clone(), method })));
        }
        match value {
            Value::Dict(dict) => match dict.get(&Key::from(name)) {
                Some(value) if dict.is_config.get() => Ok(value),
                Some(_) => Err(Fault::attribute_error(format!(
                    "'dict' object has no attribute '{name}'; it has the key: write ['{name}']"
                ))),
                None => {
                    Err(Fault::attribute_error(format!("'{}' object has no attribute '{name}'", value.type_name())))
                }
            },
            Value::Int(number) if matches!(&**name, "real" | "numerator") => Ok(Value::Int(*number)),
            Value::Int(_) if matches!(&**name, "imag") => Ok(Value::Int(0)),
            Value::Int(_) if matches!(&**name, "denominator") => Ok(Value::Int(1)),
            Value::Range(range) if matches!(&**name, "start" | "stop" | "step") => Ok(Value::Int(match &**name {
                "start" => range.start,
                "stop" => range.stop,
                _ => range.step,
            })),
            _ => Err(Fault::attribute_error(format!("'{}' object has no attribute '{name}'", value.type_name()))),
        }
    }
}
