//! `dict`, `list`, `tuple` and `set`.

use std::cell::RefCell;
use std::rc::Rc;

use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::key::Key;
use crate::value::{Dict, Set, Value, View, copy, cycle, iterate};

/// The items of the only argument, or none.
fn optional_items(interpreter: &mut Interpreter, function: &str, arguments: Arguments) -> Result<Vec<Value>> {
    let [value] = arguments.bind(function, ["iterable"], 0)?;
    match value {
        Some(value) => iterate::items(&mut interpreter.budget, &value),
        None => Ok(Vec::new()),
    }
}

pub(super) fn list(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    Ok(Value::list(optional_items(interpreter, "list", arguments)?))
}

pub(super) fn tuple(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    if let [value @ Value::Tuple(_)] = arguments.positional.as_slice()
        && arguments.keywords.is_empty()
    {
        return Ok(value.clone());
    }
    Ok(Value::tuple(optional_items(interpreter, "tuple", arguments)?))
}

/// `set` or `frozenset`.
pub(super) fn set(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    let set = Set { keys: RefCell::default(), is_frozen: name == "frozenset" };
    for item in optional_items(interpreter, name, arguments)? {
        set.keys.borrow_mut().insert(Key::new(&mut interpreter.budget, item)?, ());
    }
    Ok(Value::Set(Rc::new(set)))
}

/// `dict(mapping or pairs, **keywords)`.
pub(super) fn dict(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    let Arguments { positional, keywords } = arguments;
    let dict = Rc::new(Dict::new(name == "ConfigDict"));
    if positional.len() > 1 {
        return Err(Fault::type_error(format!("dict expected at most 1 argument, got {}", positional.len())));
    }
    if let Some(value) = positional.first() {
        interpreter.extend_dict(&dict, value)?;
    }
    interpreter.budget.dict(keywords.len())?;
    for (name, value, origin) in keywords {
        let value = if dict.is_config.get() { copy::hook(&mut interpreter.budget, &value)? } else { value };
        dict.insert(Key::new(&mut interpreter.budget, Value::Str(name))?, value, origin);
    }
    Ok(Value::Dict(dict))
}

impl Interpreter {
    /// Adds the entries of a dict, or of pairs.
    pub(crate) fn extend_dict(&mut self, dict: &Rc<Dict>, value: &Value) -> Result<()> {
        if let Value::Dict(other) = value {
            self.budget.dict(other.len())?;
            for (key, entry) in other.snapshot() {
                let value =
                    if dict.is_config.get() { copy::hook(&mut self.budget, &entry.value)? } else { entry.value };
                cycle::refuse_in_dict(&mut self.budget, dict, &value)?;
                dict.insert(key, value, entry.origin);
            }
            return Ok(());
        }
        for (index, pair) in iterate::items(&mut self.budget, value)?.into_iter().enumerate() {
            let Ok(items) = iterate::items(&mut self.budget, &pair) else {
                let message = format!("cannot convert dictionary update sequence element #{index} to a sequence");
                return Err(Fault::type_error(message));
            };
            let length = items.len();
            let Ok([key, value]) = <[Value; 2]>::try_from(items) else {
                return Err(Fault::value_error(format!(
                    "dictionary update sequence element #{index} has length {length}; 2 is required"
                )));
            };
            let value = if dict.is_config.get() { copy::hook(&mut self.budget, &value)? } else { value };
            cycle::refuse_in_dict(&mut self.budget, dict, &value)?;
            dict.insert(Key::new(&mut self.budget, key)?, value, None);
        }
        Ok(())
    }
}

pub(super) fn from_keys(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [keys, value] = arguments.bind("fromkeys", ["iterable", "value"], 1)?;
    let value = value.unwrap_or(Value::None);
    let dict = Dict::new(false);
    for key in iterate::items(&mut interpreter.budget, &keys.unwrap_or(Value::None))? {
        dict.insert(Key::new(&mut interpreter.budget, key)?, value.clone(), None);
    }
    Ok(Value::Dict(Rc::new(dict)))
}

/// The items of a view as a value: used by `dict.items()` of a `ConfigDict`, which is a list.
pub(super) fn view_list(dict: &Rc<Dict>, view: View) -> Value {
    Value::list(iterate::view(dict, view))
}
