//! `functools`: `partial` and `reduce`.

use std::rc::Rc;

use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::{IndexMap, Partial, Value, iterate};

pub(super) const FUNCTIONS: [&str; 2] = ["functools.partial", "functools.reduce"];

pub(super) fn call(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    match name {
        "functools.partial" => partial(interpreter, arguments),
        _ => reduce(interpreter, arguments),
    }
}

fn partial(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let Arguments { mut positional, keywords } = arguments;
    if positional.is_empty() {
        return Err(Fault::type_error("type 'partial' takes at least one argument"));
    }
    let function = positional.remove(0);
    if !super::types::is_callable(&function) {
        return Err(Fault::type_error("the first argument must be callable"));
    }
    interpreter.budget.dict(positional.len() + keywords.len())?;
    Ok(Value::Partial(Rc::new(Partial { function, positional, keywords })))
}

/// Calls a function with the arguments that are known already, and with further ones.
pub(crate) fn call_partial(interpreter: &mut Interpreter, partial: &Partial, arguments: Arguments) -> Result<Value> {
    let count = partial.positional.len() + partial.keywords.len() + arguments.keywords.len();
    interpreter.budget.values(count)?;
    let mut positional = partial.positional.clone();
    positional.extend(arguments.positional);
    // Of equal names, the further argument counts, at the place of the known one.
    let mut merged = IndexMap::default();
    for (name, value, origin) in partial.keywords.iter().cloned().chain(arguments.keywords) {
        merged.insert(name, (value, origin));
    }
    let keywords = merged.into_iter().map(|(name, (value, origin))| (name, value, origin)).collect();
    let all = Arguments { positional, keywords };
    interpreter.call_value(&partial.function, all)
}

fn reduce(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [function, iterable, initial] = arguments.bind("reduce", ["function", "iterable", "initial"], 2)?;
    let function = function.unwrap_or(Value::None);
    let mut items = iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))?.into_iter();
    let Some(mut total) = initial.or_else(|| items.next()) else {
        return Err(Fault::type_error("reduce() of empty iterable with no initial value"));
    };
    for item in items {
        total = interpreter.call_value(&function, Arguments::of(vec![total, item]))?;
    }
    Ok(total)
}
