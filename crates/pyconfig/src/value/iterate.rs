//! The items of what can be iterated over.

use std::rc::Rc;

use super::{Dict, Value, View};
use crate::budget::Budget;
use crate::error::{Fault, Result};

/// All items of a value. An iterator has none afterwards.
pub(crate) fn items(budget: &mut Budget, value: &Value) -> Result<Vec<Value>> {
    match value {
        Value::List(list) => {
            let items = list.0.borrow();
            budget.values(items.len())?;
            Ok(items.clone())
        }
        Value::Tuple(tuple) => {
            budget.values(tuple.0.len())?;
            Ok(tuple.0.clone())
        }
        Value::Dict(dict) => {
            budget.values(dict.len())?;
            Ok(view(dict, View::Keys))
        }
        Value::View(dict, kind) => {
            budget.values(if *kind == View::Items { dict.len().saturating_mul(4) } else { dict.len() })?;
            Ok(view(dict, *kind))
        }
        Value::Set(set) => {
            let keys = set.keys.borrow();
            budget.values(keys.len())?;
            Ok(keys.keys().map(|key| key.value().clone()).collect())
        }
        Value::Str(text) => {
            budget.values(text.len().saturating_mul(2))?;
            Ok(text.chars().map(|c| Value::str(c.to_string())).collect())
        }
        Value::Range(range) => {
            let length = range.len();
            budget.values(usize::try_from(length).unwrap_or(usize::MAX))?;
            Ok((0..length).map(|index| Value::Int(range.get(index))).collect())
        }
        Value::Iterator(iterator) => {
            let items: Vec<Value> = std::mem::replace(&mut *iterator.rest()?, Vec::new().into_iter()).collect();
            budget.items(items.len())?;
            Ok(items)
        }
        _ => Err(Fault::type_error(format!("'{}' object is not iterable", value.type_name()))),
    }
}

/// Refuses a value that has no items.
pub(crate) fn check(value: &Value) -> Result<()> {
    match value {
        Value::List(_)
        | Value::Tuple(_)
        | Value::Dict(_)
        | Value::View(..)
        | Value::Set(_)
        | Value::Str(_)
        | Value::Range(_)
        | Value::Iterator(_) => Ok(()),
        _ => Err(Fault::type_error(format!("'{}' object is not iterable", value.type_name()))),
    }
}

/// The keys, values or items of a dict at this moment.
pub(crate) fn view(dict: &Rc<Dict>, view: View) -> Vec<Value> {
    let mut items = Vec::with_capacity(dict.len());
    for (key, entry) in dict.entries.borrow().iter() {
        items.push(match view {
            View::Keys => key.value().clone(),
            View::Values => entry.value.clone(),
            View::Items => Value::tuple(vec![key.value().clone(), entry.value.clone()]),
        });
    }
    items
}

/// The number of items.
pub(crate) fn length(value: &Value) -> Result<usize> {
    match value {
        Value::List(list) => Ok(list.0.borrow().len()),
        Value::Tuple(tuple) => Ok(tuple.0.len()),
        Value::Dict(dict) | Value::View(dict, _) => Ok(dict.len()),
        Value::Set(set) => Ok(set.keys.borrow().len()),
        Value::Str(text) => Ok(text.chars().count()),
        Value::Range(range) => {
            usize::try_from(range.len()).map_err(|_| Fault::overflow("Python int too large to convert to C ssize_t"))
        }
        _ => Err(Fault::type_error(format!("object of type '{}' has no len()", value.type_name()))),
    }
}
