//! Copies: `copy.deepcopy`, and the conversion to `ConfigDict`.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Dict, Entry, Set, Value};
use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::limits;

/// `copy.deepcopy(value)`: what is shared inside is shared in the copy, too.
pub(crate) fn deep(budget: &mut Budget, value: &Value) -> Result<Value> {
    DeepCopy { budget, done: HashMap::new(), refuses: true }.copy(value, 0)
}

/// A deep copy of the variables of a file, some of which may be modules or iterators: these are shared.
pub(crate) fn deep_for_file(budget: &mut Budget, dict: &Rc<Dict>) -> Result<Rc<Dict>> {
    let value = Value::Dict(Rc::clone(dict));
    match (DeepCopy { budget, done: HashMap::new(), refuses: false }).copy(&value, 0)? {
        Value::Dict(copy) => Ok(copy),
        _ => Ok(Rc::default()),
    }
}

/// What `copy.deepcopy` says about a value that it cannot copy.
pub(crate) fn not_copyable(value: &Value) -> Fault {
    Fault::type_error(format!("cannot pickle '{}' object", value.type_name()))
}

struct DeepCopy<'a> {
    budget: &'a mut Budget,
    /// The copies of containers, by their address.
    done: HashMap<usize, Value>,
    /// Whether what Python cannot copy is an error.
    refuses: bool,
}

impl DeepCopy<'_> {
    fn copy(&mut self, value: &Value, depth: u32) -> Result<Value> {
        if depth > limits::NESTING {
            return Err(too_deep());
        }
        let address = match value {
            Value::List(list) => Rc::as_ptr(list).addr(),
            Value::Dict(dict) => Rc::as_ptr(dict).addr(),
            Value::Set(set) => Rc::as_ptr(set).addr(),
            Value::Tuple(tuple) => Rc::as_ptr(tuple).addr(),
            Value::Iterator(_) | Value::Module(_) | Value::View(..) if self.refuses => {
                return Err(not_copyable(value));
            }
            _ => return Ok(value.clone()),
        };
        if let Some(copy) = self.done.get(&address) {
            return Ok(copy.clone());
        }
        match value {
            Value::List(list) => {
                let copy = Value::list(Vec::new());
                self.done.insert(address, copy.clone());
                let items = list.0.borrow().clone();
                let items = self.items(&items, depth)?;
                if let Value::List(copy) = &copy {
                    *copy.0.borrow_mut() = items;
                }
                Ok(copy)
            }
            Value::Dict(dict) => {
                let copy = Rc::new(Dict::new(dict.is_config.get()));
                self.done.insert(address, Value::Dict(Rc::clone(&copy)));
                self.budget.dict(dict.len())?;
                for (key, Entry { value, origin }) in dict.snapshot() {
                    let value = self.copy(&value, depth + 1)?;
                    copy.insert(key, value, origin);
                }
                Ok(Value::Dict(copy))
            }
            Value::Tuple(tuple) => {
                let copy = Value::tuple(self.items(&tuple.0, depth)?);
                self.done.insert(address, copy.clone());
                Ok(copy)
            }
            Value::Set(set) => {
                let keys = set.keys.borrow().clone();
                self.budget.values(keys.len())?;
                Ok(Value::Set(Rc::new(Set { keys: keys.into(), is_frozen: set.is_frozen })))
            }
            _ => Ok(value.clone()),
        }
    }

    fn items(&mut self, items: &[Value], depth: u32) -> Result<Vec<Value>> {
        self.budget.values(items.len())?;
        let mut copies = Vec::with_capacity(items.len());
        for item in items {
            copies.push(self.copy(item, depth + 1)?);
        }
        Ok(copies)
    }
}

/// What a `ConfigDict` does to values that are assigned to it: plain dicts become `ConfigDict`s, lists and tuples are
/// copied, and the `ConfigDict`s in them stay the same objects.
pub(crate) fn hook(budget: &mut Budget, value: &Value) -> Result<Value> {
    hook_at(budget, value, 0)
}

fn hook_at(budget: &mut Budget, value: &Value, depth: u32) -> Result<Value> {
    if depth > limits::NESTING {
        return Err(too_deep());
    }
    match value {
        Value::Dict(dict) if !dict.is_config.get() => config_dict_at(budget, dict, depth),
        Value::List(list) => Ok(Value::list(hook_items(budget, &list.0.borrow(), depth)?)),
        Value::Tuple(tuple) => Ok(Value::tuple(hook_items(budget, &tuple.0, depth)?)),
        _ => Ok(value.clone()),
    }
}

fn hook_items(budget: &mut Budget, items: &[Value], depth: u32) -> Result<Vec<Value>> {
    budget.values(items.len())?;
    let mut hooked = Vec::with_capacity(items.len());
    for item in items {
        hooked.push(hook_at(budget, item, depth + 1)?);
    }
    Ok(hooked)
}

/// `ConfigDict(dict)`.
pub(crate) fn config_dict(budget: &mut Budget, dict: &Dict) -> Result<Rc<Dict>> {
    match config_dict_at(budget, dict, 0)? {
        Value::Dict(dict) => Ok(dict),
        _ => Ok(Rc::default()),
    }
}

fn config_dict_at(budget: &mut Budget, dict: &Dict, depth: u32) -> Result<Value> {
    budget.dict(dict.len())?;
    let hooked = Dict::with_capacity(dict.len(), true);
    for (key, Entry { value, origin }) in dict.entries.borrow().iter() {
        let value = hook_at(budget, value, depth + 1)?;
        hooked.insert(key.clone(), value, origin.clone());
    }
    Ok(Value::Dict(Rc::new(hooked)))
}

/// A copy of a dict in which all dicts are `ConfigDict`s, and none is shared with the dict.
pub(crate) fn config_dicts(budget: &mut Budget, dict: &Rc<Dict>) -> Result<Rc<Dict>> {
    match rebuilt(budget, &Value::Dict(Rc::clone(dict)), true)? {
        Value::Dict(copy) => Ok(copy),
        _ => Ok(Rc::default()),
    }
}

/// The value with every dict in it made anew: as a `ConfigDict`, or as a plain dict with imported names as texts.
pub(crate) fn rebuilt(budget: &mut Budget, value: &Value, is_config: bool) -> Result<Value> {
    rebuilt_at(budget, value, is_config, 0)
}

fn rebuilt_at(budget: &mut Budget, value: &Value, is_config: bool, depth: u32) -> Result<Value> {
    if depth > limits::NESTING {
        return Err(too_deep());
    }
    match value {
        Value::Dict(dict) => {
            budget.dict(dict.len())?;
            let copy = Dict::with_capacity(dict.len(), is_config);
            for (key, Entry { value, origin }) in dict.entries.borrow().iter() {
                let value = rebuilt_at(budget, value, is_config, depth + 1)?;
                copy.insert(key.clone(), value, origin.clone());
            }
            Ok(Value::Dict(Rc::new(copy)))
        }
        Value::List(list) => Ok(Value::list(rebuilt_items(budget, &list.0.borrow(), is_config, depth)?)),
        Value::Tuple(tuple) => Ok(Value::tuple(rebuilt_items(budget, &tuple.0, is_config, depth)?)),
        Value::Lazy(lazy) if !is_config => Ok(Value::str(lazy.dotted())),
        _ => Ok(value.clone()),
    }
}

fn rebuilt_items(budget: &mut Budget, items: &[Value], is_config: bool, depth: u32) -> Result<Vec<Value>> {
    budget.values(items.len())?;
    let mut rebuilt = Vec::with_capacity(items.len());
    for item in items {
        rebuilt.push(rebuilt_at(budget, item, is_config, depth + 1)?);
    }
    Ok(rebuilt)
}

fn too_deep() -> Fault {
    Fault::too_deep()
}
