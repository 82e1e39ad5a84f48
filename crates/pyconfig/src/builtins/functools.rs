//! `functools`: `partial` and `reduce`.

use std::rc::Rc;

use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::{Partial, Value, iterate};

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
    interpreter.budget.values(partial.positional.len() + partial.keywords.len())?;
    let mut all = Arguments { positional: partial.positional.clone(), keywords: partial.keywords.clone() };
    all.positional.extend(arguments.positional);
    for (name, value, origin) in arguments.keywords {
        match all.keywords.iter_mut().find(|(known, ..)| *known == name) {
            Some(known) => *known = (name, value, origin),
            None => all.keywords.push((name, value, origin)),
        }
    }
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
