//! Types, attributes by name, and methods of types.

use super::containers::from_keys;
use super::functions::two;
use super::{Builtin, Method, translate};
use crate::error::{ErrorKind, Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::limits;
use crate::value::{Value, repr};

pub(super) fn is_instance(interpreter: &mut Interpreter, value: &Value, types: &Value, depth: u32) -> Result<bool> {
    if depth > limits::NESTING {
        return Err(Fault::too_deep());
    }
    interpreter.budget.step(1)?;
    match types {
        Value::Tuple(types) => {
            for one in &types.0 {
                if is_instance(interpreter, value, one, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Builtin(builtin) if builtin.is_type() => Ok(match builtin.name() {
            "bool" => matches!(value, Value::Bool(_)),
            "int" => matches!(value, Value::Bool(_) | Value::Int(_) | Value::Big(_)),
            "float" => matches!(value, Value::Float(_)),
            "str" => matches!(value, Value::Str(_)),
            "list" => matches!(value, Value::List(_)),
            "tuple" => matches!(value, Value::Tuple(_)),
            "dict" => matches!(value, Value::Dict(_)),
            "ConfigDict" => matches!(value, Value::Dict(dict) if dict.is_config.get()),
            "NoneType" => matches!(value, Value::None),
            "set" => matches!(value, Value::Set(set) if !set.is_frozen),
            "frozenset" => matches!(value, Value::Set(set) if set.is_frozen),
            "range" => matches!(value, Value::Range(_)),
            name => matches!(value, Value::Iterator(iterator) if iterator.type_name == name),
        }),
        _ => Err(Fault::type_error("isinstance() arg 2 must be a type, a tuple of types, or a union")),
    }
}

pub(super) fn is_callable(value: &Value) -> bool {
    matches!(value, Value::Function(_) | Value::Builtin(_) | Value::Method(_) | Value::Partial(_) | Value::Lazy(_))
}

/// The attribute, if the value has it.
fn find_attribute(interpreter: &mut Interpreter, value: &Value, attribute: &Value) -> Result<Option<Value>> {
    let Value::Str(name) = attribute else {
        return Err(Fault::type_error("attribute name must be string"));
    };
    match interpreter.attribute(value, name) {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.kind() == ErrorKind::Python("AttributeError") => Ok(None),
        Err(fault) => Err(fault),
    }
}

pub(super) fn has_attribute(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [value, attribute] = two("hasattr", arguments)?;
    Ok(Value::Bool(find_attribute(interpreter, &value, &attribute)?.is_some()))
}

pub(super) fn get_attribute(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [value, attribute, default] = arguments.bind("getattr", ["object", "name", "default"], 2)?;
    let (value, attribute) = (value.unwrap_or(Value::None), attribute.unwrap_or(Value::None));
    match (find_attribute(interpreter, &value, &attribute)?, default) {
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Err(Fault::attribute_error(format!(
            "'{}' object has no attribute {}",
            value.type_name(),
            repr::repr(&mut interpreter.budget, &attribute)?
        ))),
    }
}

pub(super) fn set_attribute(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [object, name, value] = arguments.bind("setattr", ["obj", "name", "value"], 3)?;
    let Some(Value::Str(name)) = name else { return Err(Fault::type_error("attribute name must be string")) };
    let (object, value) = (object.unwrap_or(Value::None), value.unwrap_or(Value::None));
    interpreter.set_attribute(&object, &name, &value, None)?;
    Ok(Value::None)
}

/// The type of a value, for comparisons and for its name.
pub(super) fn type_of(value: &Value) -> Result<Value> {
    match Builtin::find(value.type_name()) {
        Some(builtin) if builtin.is_type() => Ok(Value::Builtin(builtin)),
        _ => match value {
            Value::Dict(_) => Ok(Value::Builtin(Builtin::of_module("ConfigDict"))),
            Value::None => Ok(Value::Builtin(Builtin::of_module("NoneType"))),
            _ => Err(Fault::refused(format!("the type of a {}", value.type_name()))),
        },
    }
}

/// A method of a type: `dict.fromkeys(keys)`, or one with the value as the first argument, such as `str.lower`.
pub(super) fn call_type_method(
    interpreter: &mut Interpreter,
    builtin: Builtin,
    method: Method,
    mut arguments: Arguments,
) -> Result<Value> {
    if method.name() == "fromkeys" {
        return from_keys(interpreter, arguments);
    }
    if method.name() == "maketrans" {
        return translate::table(interpreter, arguments);
    }
    if arguments.positional.is_empty() {
        let message = format!("unbound method {}.{}() needs an argument", builtin.name(), method.name());
        return Err(Fault::type_error(message));
    }
    let receiver = arguments.positional.remove(0);
    if !is_instance(interpreter, &receiver, &Value::Builtin(builtin), 0)? {
        return Err(Fault::type_error(format!(
            "descriptor '{}' for '{}' objects doesn't apply to a '{}' object",
            method.name(),
            builtin.name(),
            receiver.type_name()
        )));
    }
    super::call_method(interpreter, &receiver, method, arguments)
}
