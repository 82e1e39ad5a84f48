//! Sorting, and the least and the greatest item.

use std::cmp::Ordering;

use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::{Value, compare, iterate};

pub(super) fn sorted(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [iterable, key, reverse] = arguments.bind("sorted", ["iterable", "*key", "*reverse"], 1)?;
    let items = iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))?;
    Ok(Value::list(sort(interpreter, items, key, reverse)?))
}

/// Sorts values, stably, by a key function.
pub(super) fn sort(
    interpreter: &mut Interpreter,
    items: Vec<Value>,
    key: Option<Value>,
    reverse: Option<Value>,
) -> Result<Vec<Value>> {
    let reverse = reverse.as_ref().is_some_and(compare::truth);
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        let by = match &key {
            None | Some(Value::None) => item.clone(),
            Some(function) => interpreter.call_value(function, Arguments::of(vec![item.clone()]))?,
        };
        keyed.push((by, item));
    }
    // Equal items keep their order, also if the order is reversed.
    if reverse {
        keyed.reverse();
    }
    let mut keyed = merge_sort(interpreter, keyed)?;
    if reverse {
        keyed.reverse();
    }
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

/// A stable sort whose comparison may fail.
fn merge_sort(interpreter: &mut Interpreter, mut items: Vec<(Value, Value)>) -> Result<Vec<(Value, Value)>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let left = merge_sort(interpreter, items)?;
    let right = merge_sort(interpreter, right)?;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some((first, _)), Some((second, _))) = (left.peek(), right.peek()) {
        let order = compare::order(&mut interpreter.budget, second, first, "<")?;
        merged.extend(if order == Some(Ordering::Less) { right.next() } else { left.next() });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

pub(super) fn extreme(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    let Arguments { positional, keywords } = arguments;
    let (mut key, mut default) = (None, None);
    for (keyword, value, _) in keywords {
        match &*keyword {
            "key" => key = Some(value),
            "default" => default = Some(value),
            _ => return Err(Fault::type_error(format!("{name}() got an unexpected keyword argument '{keyword}'"))),
        }
    }
    let items = match positional.as_slice() {
        [] => return Err(Fault::type_error(format!("{name} expected at least 1 argument, got 0"))),
        [iterable] => iterate::items(&mut interpreter.budget, iterable)?,
        _ => positional,
    };
    let symbol = if name == "min" { "<" } else { ">" };
    let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
    let mut best: Option<(Value, Value)> = None;
    for item in items {
        let by = match &key {
            None | Some(Value::None) => item.clone(),
            Some(function) => interpreter.call_value(function, Arguments::of(vec![item.clone()]))?,
        };
        let is_better = match &best {
            None => true,
            Some((best, _)) => compare::order(&mut interpreter.budget, &by, best, symbol)? == Some(wanted),
        };
        if is_better {
            best = Some((by, item));
        }
    }
    match (best, default) {
        (Some((_, item)), _) | (None, Some(item)) => Ok(item),
        (None, None) => Err(Fault::value_error(format!("{name}() arg is an empty sequence"))),
    }
}
