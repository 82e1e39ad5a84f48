//! Ranges, iterators, and what reads them to their end.

use std::rc::Rc;

use super::functions::two;
use super::numbers::index;
use crate::error::{ErrorKind, Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::syntax::ast::BinaryOp;
use crate::value::{Range, Value, compare, iterate};

pub(super) fn range(arguments: Arguments) -> Result<Value> {
    if !arguments.keywords.is_empty() {
        return Err(Fault::type_error("range() takes no keyword arguments"));
    }
    let mut bounds = Vec::new();
    for value in &arguments.positional {
        bounds.push(index(value)?);
    }
    let (start, stop, step) = match bounds.as_slice() {
        [stop] => (0, *stop, 1),
        [start, stop] => (*start, *stop, 1),
        [start, stop, step] => (*start, *stop, *step),
        _ => {
            return Err(Fault::type_error(format!("range expected 1 to 3 arguments, got {}", bounds.len())));
        }
    };
    if step == 0 {
        return Err(Fault::value_error("range() arg 3 must not be zero"));
    }
    Ok(Value::Range(Rc::new(Range { start, stop, step })))
}

pub(super) fn slice(arguments: Arguments) -> Result<Value> {
    let mut bounds = arguments.positional.into_iter();
    let values = match (bounds.next(), bounds.next(), bounds.next()) {
        (Some(stop), None, _) => [Value::None, stop, Value::None],
        (Some(start), Some(stop), step) => [start, stop, step.unwrap_or(Value::None)],
        (None, ..) => return Err(Fault::type_error("slice expected at least 1 argument, got 0")),
    };
    Ok(Value::Slice(Rc::new(values)))
}

pub(super) fn enumerate(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [iterable, start] = arguments.bind("enumerate", ["iterable", "start"], 1)?;
    let items = iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))?;
    let mut at = match start {
        Some(start) => index(&start)?,
        None => 0,
    };
    interpreter.budget.dict(items.len())?;
    let mut pairs = Vec::with_capacity(items.len());
    for item in items {
        pairs.push(Value::tuple(vec![Value::Int(at), item]));
        at = at.saturating_add(1);
    }
    Ok(Value::iterator(pairs, "enumerate"))
}

pub(super) fn zip(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let mut is_strict = false;
    for (name, value, _) in &arguments.keywords {
        if &**name != "strict" {
            return Err(Fault::type_error(format!("zip() got an unexpected keyword argument '{name}'")));
        }
        is_strict = compare::truth(value);
    }
    let mut columns = Vec::new();
    for value in &arguments.positional {
        columns.push(iterate::items(&mut interpreter.budget, value)?.into_iter());
    }
    let lengths: Vec<usize> = columns.iter().map(ExactSizeIterator::len).collect();
    let shortest = lengths.iter().min().copied().unwrap_or(0);
    if is_strict && lengths.iter().any(|length| *length != shortest) {
        return Err(Fault::value_error("zip() arguments have different lengths"));
    }
    interpreter.budget.values(shortest.saturating_mul(columns.len() + 2))?;
    let mut rows = Vec::with_capacity(shortest);
    for _ in 0..shortest {
        rows.push(Value::tuple(columns.iter_mut().filter_map(Iterator::next).collect()));
    }
    Ok(Value::iterator(rows, "zip"))
}

pub(super) fn map(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let Some((function, iterables)) = arguments.positional.split_first() else {
        return Err(Fault::type_error("map() must have at least two arguments."));
    };
    if iterables.is_empty() {
        return Err(Fault::type_error("map() must have at least two arguments."));
    }
    let mut columns = Vec::new();
    for value in iterables {
        columns.push(iterate::items(&mut interpreter.budget, value)?.into_iter());
    }
    let shortest = columns.iter().map(ExactSizeIterator::len).min().unwrap_or(0);
    interpreter.budget.values(shortest)?;
    let mut results = Vec::with_capacity(shortest);
    for _ in 0..shortest {
        let row: Vec<Value> = columns.iter_mut().filter_map(Iterator::next).collect();
        results.push(interpreter.call_value(function, Arguments::of(row))?);
    }
    Ok(Value::iterator(results, "map"))
}

pub(super) fn filter(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [function, iterable] = two("filter", arguments)?;
    let mut kept = Vec::new();
    for item in iterate::items(&mut interpreter.budget, &iterable)? {
        let keeps = match &function {
            Value::None => compare::truth(&item),
            function => {
                let result = interpreter.call_value(function, Arguments::of(vec![item.clone()]))?;
                compare::truth(&result)
            }
        };
        if keeps {
            kept.push(item);
        }
    }
    Ok(Value::iterator(kept, "filter"))
}

pub(super) fn reversed(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let value = arguments.one("reversed")?;
    if matches!(value, Value::Set(_) | Value::Iterator(_)) {
        return Err(Fault::type_error(format!("'{}' object is not reversible", value.type_name())));
    }
    let mut items = iterate::items(&mut interpreter.budget, &value)?;
    items.reverse();
    Ok(Value::iterator(items, "reversed"))
}

pub(super) fn iter(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let value = arguments.one("iter")?;
    match value {
        Value::Iterator(_) => Ok(value),
        _ => Ok(Value::iterator(iterate::items(&mut interpreter.budget, &value)?, "iterator")),
    }
}

pub(super) fn next(arguments: Arguments) -> Result<Value> {
    let [iterator, default] = arguments.bind("next", ["iterator", "default"], 1)?;
    let Some(Value::Iterator(iterator)) = &iterator else {
        let type_name = iterator.as_ref().map_or("NoneType", Value::type_name);
        return Err(Fault::type_error(format!("'{type_name}' object is not an iterator")));
    };
    let item = iterator.rest()?.next();
    match (item, default) {
        (Some(item), _) | (None, Some(item)) => Ok(item),
        (None, None) => Err(Fault::new(ErrorKind::Python("StopIteration"), "")),
    }
}

/// `any` or `all`, which leave the items of an iterator after the one that decides.
pub(super) fn any_or_all(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    let value = arguments.one(name)?;
    let decides = name == "any";
    if let Value::Iterator(iterator) = &value {
        let mut items = iterator.rest()?;
        interpreter.budget.items(items.len())?;
        return Ok(Value::Bool(items.any(|item| compare::truth(&item) == decides) == decides));
    }
    let items = iterate::items(&mut interpreter.budget, &value)?;
    Ok(Value::Bool(items.iter().any(|item| compare::truth(item) == decides) == decides))
}

pub(super) fn sum(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [iterable, start] = arguments.bind("sum", ["iterable", "start"], 1)?;
    let mut total = start.unwrap_or(Value::Int(0));
    if matches!(total, Value::Str(_)) {
        return Err(Fault::type_error("sum() can't sum strings [use ''.join(seq) instead]"));
    }
    for item in iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))? {
        total = interpreter.binary(BinaryOp::Add, &total, &item)?;
    }
    Ok(total)
}
