//! Values that would contain themselves.

use std::rc::Rc;

use super::{Dict, List, Value};
use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::limits;

/// Refuses to put an item into a list that the item contains: nothing would ever free it, and it is no data.
pub(crate) fn refuse_in_list(budget: &mut Budget, list: &Rc<List>, item: &Value) -> Result<()> {
    refuse(budget, Rc::as_ptr(list).addr(), item)
}

/// Refuses to put an item into a dict that the item contains.
pub(crate) fn refuse_in_dict(budget: &mut Budget, dict: &Rc<Dict>, item: &Value) -> Result<()> {
    refuse(budget, Rc::as_ptr(dict).addr(), item)
}

fn refuse(budget: &mut Budget, address: usize, item: &Value) -> Result<()> {
    if contains(budget, address, item, 0)? {
        return Err(Fault::refused(format!("a {} that contains itself", item.type_name())));
    }
    Ok(())
}

fn contains(budget: &mut Budget, address: usize, value: &Value, depth: u32) -> Result<bool> {
    if depth > limits::NESTING {
        return Err(Fault::too_deep());
    }
    match value {
        Value::List(list) => {
            if Rc::as_ptr(list).addr() == address {
                return Ok(true);
            }
            any(budget, address, &list.0.borrow(), depth)
        }
        Value::Tuple(tuple) => any(budget, address, &tuple.0, depth),
        Value::Dict(dict) | Value::View(dict, _) => {
            if Rc::as_ptr(dict).addr() == address {
                return Ok(true);
            }
            budget.items(dict.len())?;
            for entry in dict.entries.borrow().values() {
                if contains(budget, address, &entry.value, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Iterator(iterator) => any(budget, address, iterator.items.borrow().as_slice(), depth),
        Value::Method(method) => contains(budget, address, &method.receiver, depth + 1),
        Value::Partial(partial) => {
            let keywords = partial.keywords.iter().map(|(_, value, _)| value);
            for value in partial.positional.iter().chain(keywords).chain([&partial.function]) {
                if contains(budget, address, value, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}

fn any(budget: &mut Budget, address: usize, items: &[Value], depth: u32) -> Result<bool> {
    budget.items(items.len())?;
    for item in items {
        if contains(budget, address, item, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}
