//! Methods of sets.

use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter, keys, set_operation};
use crate::syntax::ast::BinaryOp;
use crate::value::key::Key;
use crate::value::{IndexMap, Set, Value, iterate, repr};

pub(super) const FROZEN_METHODS: [&str; 8] =
    ["copy", "difference", "intersection", "isdisjoint", "issubset", "issuperset", "symmetric_difference", "union"];
pub(super) const METHODS: [&str; 17] = [
    "add",
    "clear",
    "copy",
    "difference",
    "difference_update",
    "discard",
    "intersection",
    "intersection_update",
    "isdisjoint",
    "issubset",
    "issuperset",
    "pop",
    "remove",
    "symmetric_difference",
    "symmetric_difference_update",
    "union",
    "update",
];

pub(super) fn call(interpreter: &mut Interpreter, receiver: &Value, name: &str, arguments: Arguments) -> Result<Value> {
    let own = keys(&mut interpreter.budget, receiver)?.unwrap_or_default();
    let is_frozen = matches!(receiver, Value::Set(set) if set.is_frozen);
    interpreter.budget.values(own.len())?;
    let (base, updates) = match name.strip_suffix("_update") {
        Some(base) => (base, true),
        None if name == "update" => ("union", true),
        None => (name, false),
    };
    let op = match base {
        "union" => BinaryOp::Or,
        "intersection" => BinaryOp::And,
        "difference" => BinaryOp::Sub,
        "symmetric_difference" => BinaryOp::Xor,
        "copy" => {
            arguments.none("copy")?;
            return Ok(Value::Set(std::rc::Rc::new(Set { keys: own.into(), is_frozen })));
        }
        "issubset" | "issuperset" | "isdisjoint" => {
            let other = to_keys(interpreter, &arguments.one(base)?)?;
            return Ok(Value::Bool(match base {
                "issubset" => own.keys().all(|key| other.contains_key(key)),
                "issuperset" => other.keys().all(|key| own.contains_key(key)),
                _ => !own.keys().any(|key| other.contains_key(key)),
            }));
        }
        _ => return change(interpreter, receiver, base, arguments),
    };
    let mut result = own;
    for other in &arguments.positional {
        let other = to_keys(interpreter, other)?;
        if let Value::Set(set) = set_operation(op, result, &other, is_frozen) {
            result = set.keys.take();
        } else {
            result = IndexMap::default();
        }
    }
    match receiver {
        Value::Set(set) if updates => {
            *set.keys.borrow_mut() = result;
            Ok(Value::None)
        }
        _ => Ok(Value::Set(std::rc::Rc::new(Set { keys: result.into(), is_frozen }))),
    }
}

fn to_keys(interpreter: &mut Interpreter, value: &Value) -> Result<IndexMap<Key, ()>> {
    if let Some(keys) = keys(&mut interpreter.budget, value)? {
        return Ok(keys);
    }
    let mut found = IndexMap::default();
    for item in iterate::items(&mut interpreter.budget, value)? {
        found.insert(Key::new(&mut interpreter.budget, item)?, ());
    }
    Ok(found)
}

fn change(interpreter: &mut Interpreter, receiver: &Value, name: &str, arguments: Arguments) -> Result<Value> {
    let Value::Set(set) = receiver else {
        return Err(Fault::attribute_error(format!("'{}' object has no attribute '{name}'", receiver.type_name())));
    };
    match name {
        "add" => {
            let key = Key::new(&mut interpreter.budget, arguments.one("add")?)?;
            set.keys.borrow_mut().insert(key, ());
        }
        "discard" | "remove" => {
            let item = arguments.one(name)?;
            let key = Key::new(&mut interpreter.budget, item.clone())?;
            if set.keys.borrow_mut().shift_remove(&key).is_none() && name == "remove" {
                return Err(Fault::key_error(repr::repr(&mut interpreter.budget, &item)?));
            }
        }
        "clear" => {
            arguments.none("clear")?;
            set.keys.borrow_mut().clear();
        }
        _ => return Err(Fault::refused("`set.pop`, whose result is arbitrary")),
    }
    Ok(Value::None)
}
