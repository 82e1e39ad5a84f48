//! Truth, equality and order.

use std::cmp::Ordering;
use std::rc::Rc;

use super::key::Key;
use super::number::{Number, compare, integers_equal};
use super::{Dict, Set, Value, View, iterate};
use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::limits;

/// Whether a value counts as true.
pub(crate) fn truth(value: &Value) -> bool {
    match value {
        Value::None => false,
        Value::Bool(value) => *value,
        Value::Int(value) => *value != 0,
        Value::Float(value) => *value != 0.0,
        Value::Str(text) => !text.is_empty(),
        Value::List(list) => !list.0.borrow().is_empty(),
        Value::Tuple(tuple) => !tuple.0.is_empty(),
        Value::Dict(dict) | Value::View(dict, _) => dict.len() > 0,
        Value::Set(set) => !set.keys.borrow().is_empty(),
        Value::Range(range) => range.len() > 0,
        _ => true,
    }
}

/// `left == right`.
pub(crate) fn equal(budget: &mut Budget, left: &Value, right: &Value) -> Result<bool> {
    equal_at(budget, left, right, 0)
}

fn equal_at(budget: &mut Budget, left: &Value, right: &Value, depth: u32) -> Result<bool> {
    if depth > limits::NESTING {
        return Err(Fault::too_deep());
    }
    budget.step(1)?;
    match (left, right) {
        (Value::Str(left), Value::Str(right)) => {
            budget.items(left.len().min(right.len()) / 64)?;
            Ok(left == right)
        }
        (Value::List(left), Value::List(right)) => {
            if Rc::ptr_eq(left, right) {
                return Ok(true);
            }
            items_equal(budget, &left.0.borrow(), &right.0.borrow(), depth)
        }
        (Value::Tuple(left), Value::Tuple(right)) => items_equal(budget, &left.0, &right.0, depth),
        (Value::Dict(left), Value::Dict(right)) => dicts_equal(budget, left, right, depth),
        (Value::Set(left), Value::Set(right)) => {
            budget.items(left.keys.borrow().len())?;
            let (left, right) = (left.keys.borrow(), right.keys.borrow());
            Ok(left.len() == right.len() && left.keys().all(|key| right.contains_key(key)))
        }
        (Value::View(dict, View::Keys), Value::Set(set)) | (Value::Set(set), Value::View(dict, View::Keys)) => {
            budget.items(dict.len())?;
            let (entries, keys) = (dict.entries.borrow(), set.keys.borrow());
            Ok(entries.len() == keys.len() && entries.keys().all(|key| keys.contains_key(key)))
        }
        (Value::Range(left), Value::Range(right)) => {
            let length = left.len();
            Ok(length == right.len()
                && (length == 0 || left.start == right.start && (length == 1 || left.step == right.step)))
        }
        (Value::View(left, View::Keys), Value::View(right, View::Keys)) => {
            budget.items(left.len())?;
            Ok(left.len() == right.len() && left.snapshot().iter().all(|(key, _)| right.contains(key)))
        }
        (Value::View(left, View::Items), Value::View(right, View::Items)) => dicts_equal(budget, left, right, depth),
        (Value::Lazy(left), Value::Lazy(right)) => Ok(Rc::ptr_eq(left, right)),
        _ => Ok(match integers_equal(left, right) {
            Some(equal) => equal,
            None => left.is(right),
        }),
    }
}

fn items_equal(budget: &mut Budget, left: &[Value], right: &[Value], depth: u32) -> Result<bool> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (left, right) in left.iter().zip(right) {
        budget.step(1)?;
        // Python takes an object for equal to itself, even if it is not a number (NaN).
        if !left.is(right) && !equal_at(budget, left, right, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn dicts_equal(budget: &mut Budget, left: &Rc<Dict>, right: &Rc<Dict>, depth: u32) -> Result<bool> {
    if Rc::ptr_eq(left, right) {
        return Ok(true);
    }
    if left.len() != right.len() {
        return Ok(false);
    }
    budget.items(left.len())?;
    for (key, entry) in left.snapshot() {
        let Some(other) = right.get(&key) else { return Ok(false) };
        if !entry.value.is(&other) && !equal_at(budget, &entry.value, &other, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The order of two values; `None` if they have none, such as NaN. `symbol` is for messages.
pub(crate) fn order(budget: &mut Budget, left: &Value, right: &Value, symbol: &str) -> Result<Option<Ordering>> {
    order_at(budget, left, right, symbol, 0)
}

fn order_at(budget: &mut Budget, left: &Value, right: &Value, symbol: &str, depth: u32) -> Result<Option<Ordering>> {
    if depth > limits::NESTING {
        return Err(Fault::too_deep());
    }
    budget.step(1)?;
    if let (Some(left), Some(right)) = (Number::of(left), Number::of(right)) {
        return Ok(compare(&left, &right));
    }
    match (left, right) {
        (Value::Str(left), Value::Str(right)) => {
            budget.items(left.len().min(right.len()) / 64)?;
            Ok(Some(left.cmp(right)))
        }
        (Value::List(left), Value::List(right)) => {
            order_items(budget, &left.0.borrow(), &right.0.borrow(), symbol, depth)
        }
        (Value::Tuple(left), Value::Tuple(right)) => order_items(budget, &left.0, &right.0, symbol, depth),
        (Value::Set(left), Value::Set(right)) => Ok(order_sets(left, right)),
        _ => Err(Fault::type_error(format!(
            "'{symbol}' not supported between instances of '{}' and '{}'",
            left.type_name(),
            right.type_name()
        ))),
    }
}

fn order_items(
    budget: &mut Budget,
    left: &[Value],
    right: &[Value],
    symbol: &str,
    depth: u32,
) -> Result<Option<Ordering>> {
    for (left, right) in left.iter().zip(right) {
        if !left.is(right) && !equal_at(budget, left, right, depth + 1)? {
            return order_at(budget, left, right, symbol, depth + 1);
        }
    }
    Ok(Some(left.len().cmp(&right.len())))
}

/// A subset is less than what contains it.
fn order_sets(left: &Set, right: &Set) -> Option<Ordering> {
    let (left, right) = (left.keys.borrow(), right.keys.borrow());
    let is_subset = left.keys().all(|key| right.contains_key(key));
    match left.len().cmp(&right.len()) {
        Ordering::Greater if right.keys().all(|key| left.contains_key(key)) => Some(Ordering::Greater),
        Ordering::Greater => None,
        order if is_subset => Some(order),
        _ => None,
    }
}

/// `item in container`.
pub(crate) fn contains(budget: &mut Budget, container: &Value, item: &Value) -> Result<bool> {
    match (container, item) {
        (Value::Str(text), Value::Str(part)) => {
            budget.items(text.len() / 16)?;
            Ok(text.contains(&**part))
        }
        (Value::Str(_), _) => {
            Err(Fault::type_error(format!("'in <string>' requires string as left operand, not {}", item.type_name())))
        }
        (Value::Dict(dict) | Value::View(dict, View::Keys), _) => Ok(dict.contains(&Key::new(budget, item.clone())?)),
        (Value::Set(set), _) => Ok(set.keys.borrow().contains_key(&Key::new(budget, item.clone())?)),
        (Value::Range(range), Value::Int(number)) => {
            let offset = i128::from(*number) - i128::from(range.start);
            let step = i128::from(range.step);
            Ok(offset % step == 0 && (0..i128::from(range.len())).contains(&(offset / step)))
        }
        _ => {
            for candidate in iterate::items(budget, container)? {
                if candidate.is(item) || equal(budget, &candidate, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}
