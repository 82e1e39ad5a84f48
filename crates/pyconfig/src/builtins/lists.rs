//! Methods of lists, tuples and ranges.

use std::rc::Rc;

use super::numbers::index;
use super::sorting::sort;
use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::{List, Value, compare, cycle, iterate, repr};

pub(super) const LIST_METHODS: [&str; 11] =
    ["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];
pub(super) const TUPLE_METHODS: [&str; 2] = ["count", "index"];

pub(super) fn call(interpreter: &mut Interpreter, list: &Rc<List>, name: &str, arguments: Arguments) -> Result<Value> {
    match name {
        "append" => {
            let item = arguments.one("append")?;
            interpreter.budget.values(1)?;
            cycle::refuse_in_list(&mut interpreter.budget, list, &item)?;
            list.0.borrow_mut().push(item);
        }
        "extend" => {
            let items = iterate::items(&mut interpreter.budget, &arguments.one("extend")?)?;
            interpreter.extend_list(list, items)?;
        }
        "insert" => {
            let [at, item] = arguments.bind("insert", ["index", "object"], 2)?;
            let at = index(&at.unwrap_or(Value::None))?;
            let item = item.unwrap_or(Value::None);
            cycle::refuse_in_list(&mut interpreter.budget, list, &item)?;
            let mut items = list.0.borrow_mut();
            interpreter.budget.values(1 + items.len() / 64)?;
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let at = if at < 0 { (at.saturating_add(length)).max(0) } else { at.min(length) };
            items.insert(usize::try_from(at).unwrap_or(0), item);
        }
        "pop" => {
            let [at] = arguments.bind("pop", ["index"], 0)?;
            let mut items = list.0.borrow_mut();
            if items.is_empty() {
                return Err(Fault::index_error("pop from empty list"));
            }
            interpreter.budget.items(items.len() / 64)?;
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let at = match at {
                Some(at) => index(&at)?,
                None => -1,
            };
            let at = if at < 0 { at.saturating_add(length) } else { at };
            return match usize::try_from(at) {
                Ok(at) if at < items.len() => Ok(items.remove(at)),
                _ => Err(Fault::index_error("pop index out of range")),
            };
        }
        "remove" => {
            let item = arguments.one("remove")?;
            let items = iterate::items(&mut interpreter.budget, &Value::List(Rc::clone(list)))?;
            for (at, candidate) in items.iter().enumerate() {
                if candidate.is(&item) || compare::equal(&mut interpreter.budget, candidate, &item)? {
                    list.0.borrow_mut().remove(at);
                    return Ok(Value::None);
                }
            }
            return Err(Fault::value_error("list.remove(x): x not in list"));
        }
        "clear" => {
            arguments.none("clear")?;
            list.0.borrow_mut().clear();
        }
        "reverse" => {
            arguments.none("reverse")?;
            interpreter.budget.items(list.0.borrow().len() / 16)?;
            list.0.borrow_mut().reverse();
        }
        "copy" => {
            arguments.none("copy")?;
            return Ok(Value::list(iterate::items(&mut interpreter.budget, &Value::List(Rc::clone(list)))?));
        }
        "sort" => {
            let [key, reverse] = arguments.bind("sort", ["*key", "*reverse"], 0)?;
            let items = list.0.take();
            let sorted = sort(interpreter, items, key, reverse)?;
            if !list.0.replace(sorted).is_empty() {
                return Err(Fault::value_error("list modified during sort"));
            }
        }
        _ => return call_tuple(interpreter, &Value::List(Rc::clone(list)), name, arguments),
    }
    Ok(Value::None)
}

impl Interpreter {
    /// Adds items to a list.
    pub(crate) fn extend_list(&mut self, list: &Rc<List>, items: Vec<Value>) -> Result<()> {
        for item in &items {
            cycle::refuse_in_list(&mut self.budget, list, item)?;
        }
        list.0.borrow_mut().extend(items);
        Ok(())
    }
}

/// `count` and `index`, which lists, tuples and ranges have.
pub(super) fn call_tuple(
    interpreter: &mut Interpreter,
    receiver: &Value,
    name: &str,
    arguments: Arguments,
) -> Result<Value> {
    let items = iterate::items(&mut interpreter.budget, receiver)?;
    if name == "count" {
        let item = arguments.one("count")?;
        let mut count = 0;
        for candidate in &items {
            count += i64::from(candidate.is(&item) || compare::equal(&mut interpreter.budget, candidate, &item)?);
        }
        return Ok(Value::Int(count));
    }
    let [item, start, stop] = arguments.bind("index", ["value", "start", "stop"], 1)?;
    let item = item.unwrap_or(Value::None);
    let start = bound(start.as_ref(), items.len(), 0)?;
    let stop = bound(stop.as_ref(), items.len(), items.len())?;
    for (at, candidate) in items.iter().enumerate().take(stop).skip(start) {
        if candidate.is(&item) || compare::equal(&mut interpreter.budget, candidate, &item)? {
            return Ok(Value::Int(i64::try_from(at).unwrap_or(i64::MAX)));
        }
    }
    let shown = repr::repr(&mut interpreter.budget, &item)?;
    Err(Fault::value_error(match receiver {
        Value::Tuple(_) => "tuple.index(x): x not in tuple".to_owned(),
        Value::Range(_) => format!("{shown} is not in range"),
        _ => format!("{shown} is not in list"),
    }))
}

/// A start or stop of a search: negative ones count from the end.
pub(super) fn bound(value: Option<&Value>, length: usize, default: usize) -> Result<usize> {
    let at = match value {
        None | Some(Value::None) => return Ok(default),
        Some(value) => index(value)?,
    };
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if at < 0 { at.saturating_add(length).max(0) } else { at.min(length) };
    Ok(usize::try_from(at).unwrap_or(0))
}
