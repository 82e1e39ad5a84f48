//! Calls of built-in functions, by their names.

use std::rc::Rc;

use super::{Builtin, containers, iteration, modules, numbers, sorting, types};
use crate::error::{Fault, Result};
use crate::format;
use crate::interpreter::{Arguments, Interpreter};
use crate::value::{Value, compare, iterate, repr};

/// Calls a built-in function or type.
pub(crate) fn call(interpreter: &mut Interpreter, builtin: Builtin, arguments: Arguments) -> Result<Value> {
    let name = builtin.name();
    match name {
        "dict" | "ConfigDict" => containers::dict(interpreter, name, arguments),
        "list" => containers::list(interpreter, arguments),
        "tuple" => containers::tuple(interpreter, arguments),
        "set" | "frozenset" => containers::set(interpreter, name, arguments),
        "str" => str(interpreter, arguments),
        "int" => numbers::int(interpreter, arguments),
        "float" => numbers::float(arguments),
        "bool" => {
            let [value] = arguments.bind("bool", ["x"], 0)?;
            Ok(Value::Bool(value.as_ref().is_some_and(compare::truth)))
        }
        "range" => iteration::range(arguments),
        "slice" => iteration::slice(arguments),
        "enumerate" => iteration::enumerate(interpreter, arguments),
        "zip" => iteration::zip(interpreter, arguments),
        "map" => iteration::map(interpreter, arguments),
        "filter" => iteration::filter(interpreter, arguments),
        "reversed" => iteration::reversed(interpreter, arguments),
        "iter" => iteration::iter(interpreter, arguments),
        "next" => iteration::next(arguments),
        "sorted" => sorting::sorted(interpreter, arguments),
        "min" | "max" => sorting::extreme(interpreter, name, arguments),
        "sum" => iteration::sum(interpreter, arguments),
        "any" | "all" => iteration::any_or_all(interpreter, name, arguments),
        "len" => {
            let length = iterate::length(&arguments.one("len")?)?;
            Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
        }
        "abs" => numbers::abs(&arguments.one("abs")?),
        "round" => numbers::round(arguments),
        "divmod" => numbers::divmod(interpreter, arguments),
        "pow" => numbers::pow(interpreter, arguments),
        "bin" | "oct" | "hex" => numbers::based(name, &arguments.one(name)?),
        "chr" => numbers::chr(&arguments.one("chr")?),
        "ord" => numbers::ord(&arguments.one("ord")?),
        "repr" | "ascii" => {
            let text = repr::repr(&mut interpreter.budget, &arguments.one(name)?)?;
            Ok(Value::str(if name == "ascii" { format::ascii(&text) } else { text }))
        }
        "format" => formatted(interpreter, arguments),
        "isinstance" => {
            let [value, types] = two(name, arguments)?;
            types::is_instance(interpreter, &value, &types, 0).map(Value::Bool)
        }
        "hasattr" => types::has_attribute(interpreter, arguments),
        "getattr" => types::get_attribute(interpreter, arguments),
        "setattr" => types::set_attribute(interpreter, arguments),
        "callable" => Ok(Value::Bool(types::is_callable(&arguments.one("callable")?))),
        "type" => types::type_of(&arguments.one("type")?),
        "print" => Ok(Value::None),
        "issubclass" => Err(Fault::refused("issubclass")),
        "globals" | "locals" | "vars" => Err(Fault::refused(format!("`{name}` that is not called directly"))),
        "hash" | "id" => Err(Fault::refused(format!("`{name}`, whose result differs from run to run"))),
        "read_base" => Err(Fault::refused("`read_base()` outside of `with read_base():`")),
        _ => modules::call(interpreter, name, arguments),
    }
}

pub(super) fn two(function: &str, arguments: Arguments) -> Result<[Value; 2]> {
    let found = arguments.positional.len();
    match <[Value; 2]>::try_from(arguments.positional) {
        Ok(pair) if arguments.keywords.is_empty() => Ok(pair),
        _ => Err(Fault::type_error(format!("{function}() expected 2 arguments, got {found}"))),
    }
}

fn str(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [value] = arguments.bind("str", ["object"], 0)?;
    match value {
        None => Ok(Value::str("")),
        Some(value @ Value::Str(_)) => Ok(value),
        Some(value) => Ok(Value::str(repr::text(&mut interpreter.budget, &value)?)),
    }
}

/// `format(value, spec)`.
fn formatted(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [value, spec] = arguments.bind("format", ["value", "format_spec"], 1)?;
    let spec = match spec {
        None => Rc::from(""),
        Some(Value::Str(spec)) => spec,
        Some(_) => return Err(Fault::type_error("format() argument 2 must be str")),
    };
    Ok(Value::str(interpreter.format_value(&value.unwrap_or(Value::None), None, &spec)?))
}
