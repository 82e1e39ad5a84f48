//! Methods of dicts, and of mmengine's `ConfigDict`, whose methods differ.

use std::rc::Rc;

use super::containers::view_list;
use crate::config::merge;
use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::key::Key;
use crate::value::{Dict, Value, View, copy, cycle, repr};

pub(super) const METHODS: [&str; 11] =
    ["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
pub(super) const CONFIG_METHODS: [&str; 15] = [
    "clear",
    "copy",
    "deepcopy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "merge",
    "pop",
    "popitem",
    "setdefault",
    "to_dict",
    "update",
    "values",
    "build_lazy",
];

pub(super) fn call(interpreter: &mut Interpreter, dict: &Rc<Dict>, name: &str, arguments: Arguments) -> Result<Value> {
    let is_config = dict.is_config.get();
    match name {
        "get" => {
            let [key, default] = arguments.bind("get", ["key", "default"], 1)?;
            let key = Key::new(&mut interpreter.budget, key.unwrap_or(Value::None))?;
            Ok(dict.get(&key).or(default).unwrap_or(Value::None))
        }
        "keys" => {
            arguments.none("keys")?;
            Ok(Value::View(Rc::clone(dict), View::Keys))
        }
        "values" | "items" => {
            arguments.none(name)?;
            let view = if name == "values" { View::Values } else { View::Items };
            interpreter.budget.dict(dict.len())?;
            Ok(if is_config { view_list(dict, view) } else { Value::View(Rc::clone(dict), view) })
        }
        "pop" => {
            let [key, default] = arguments.bind("pop", ["key", "default"], 1)?;
            let name = key.unwrap_or(Value::None);
            let key = Key::new(&mut interpreter.budget, name.clone())?;
            interpreter.budget.items(dict.len() / 64)?;
            match (dict.remove(&key), default) {
                (Some(value), _) | (None, Some(value)) => Ok(value),
                // A ConfigDict has None as the default.
                (None, None) if is_config => Ok(Value::None),
                (None, None) => Err(Fault::key_error(repr::repr(&mut interpreter.budget, &name)?)),
            }
        }
        "popitem" => {
            arguments.none("popitem")?;
            match dict.entries.borrow_mut().pop() {
                Some((key, entry)) => Ok(Value::tuple(vec![key.into_value(), entry.value])),
                None => Err(Fault::key_error("'popitem(): dictionary is empty'")),
            }
        }
        "setdefault" => {
            let [key, default] = arguments.bind("setdefault", ["key", "default"], 1)?;
            let key = Key::new(&mut interpreter.budget, key.unwrap_or(Value::None))?;
            if let Some(value) = dict.get(&key) {
                return Ok(value);
            }
            let default = default.unwrap_or(Value::None);
            let value = if is_config { copy::hook(&mut interpreter.budget, &default)? } else { default.clone() };
            interpreter.budget.values(3)?;
            cycle::refuse_in_dict(&mut interpreter.budget, dict, &value)?;
            dict.insert(key, value, None);
            Ok(default)
        }
        "update" => {
            update(interpreter, dict, arguments)?;
            Ok(Value::None)
        }
        "clear" => {
            arguments.none("clear")?;
            dict.entries.borrow_mut().clear();
            Ok(Value::None)
        }
        "copy" => {
            arguments.none("copy")?;
            if is_config {
                return Ok(Value::Dict(copy::config_dict(&mut interpreter.budget, dict)?));
            }
            let copy = Rc::new(Dict::new(false));
            interpreter.extend_dict(&copy, &Value::Dict(Rc::clone(dict)))?;
            Ok(Value::Dict(copy))
        }
        "deepcopy" => {
            arguments.none("deepcopy")?;
            copy::deep(&mut interpreter.budget, &Value::Dict(Rc::clone(dict)))
        }
        "to_dict" => {
            arguments.none("to_dict")?;
            copy::rebuilt(&mut interpreter.budget, &Value::Dict(Rc::clone(dict)), false)
        }
        "merge" => {
            let Value::Dict(other) = arguments.one("merge")? else {
                return Err(Fault::type_error("merge() expects a dict"));
            };
            merge::merge_in_place(&mut interpreter.budget, dict, &other)?;
            Ok(Value::None)
        }
        "build_lazy" => arguments.one("build_lazy"),
        _ => super::containers::from_keys(interpreter, arguments),
    }
}

/// `dict.update`; that of a `ConfigDict` updates nested dicts, too.
fn update(interpreter: &mut Interpreter, dict: &Rc<Dict>, arguments: Arguments) -> Result<()> {
    let Arguments { positional, keywords } = arguments;
    let other = Rc::new(Dict::new(false));
    match positional.as_slice() {
        [] => {}
        [value @ Value::Dict(_)] => interpreter.extend_dict(&other, value)?,
        [value] if !dict.is_config.get() => interpreter.extend_dict(&other, value)?,
        [value] => {
            let message =
                format!("descriptor 'items' for 'dict' objects doesn't apply to a '{}' object", value.type_name());
            return Err(Fault::type_error(message));
        }
        _ => return Err(Fault::type_error(format!("update expected at most 1 argument, got {}", positional.len()))),
    }
    interpreter.budget.dict(keywords.len())?;
    for (name, value, origin) in keywords {
        other.insert(Key::new(&mut interpreter.budget, Value::Str(name))?, value, origin);
    }
    interpreter.update_dict(dict, &Value::Dict(other))
}

impl Interpreter {
    /// Updates a dict with another one, or with pairs.
    pub(crate) fn update_dict(&mut self, dict: &Rc<Dict>, other: &Value) -> Result<()> {
        let Value::Dict(other) = other else { return self.extend_dict(dict, other) };
        if !dict.is_config.get() {
            return self.extend_dict(dict, &Value::Dict(Rc::clone(other)));
        }
        self.budget.dict(other.len())?;
        for (key, entry) in other.snapshot() {
            match (dict.get(&key), &entry.value) {
                (Some(Value::Dict(inner)), Value::Dict(_)) => self.update_dict(&inner, &entry.value)?,
                _ => {
                    let value = copy::hook(&mut self.budget, &entry.value)?;
                    cycle::refuse_in_dict(&mut self.budget, dict, &value)?;
                    dict.insert(key, value, entry.origin);
                }
            }
        }
        Ok(())
    }
}
