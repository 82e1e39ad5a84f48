//! `str.maketrans` and `str.translate`.

use std::rc::Rc;

use super::numbers::chr;
use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::value::key::Key;
use crate::value::{Dict, Value};

/// `str.maketrans(x, y, z)`: a dict from the numbers of characters to what replaces them.
pub(super) fn table(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [from, to, deleted] = arguments.bind("maketrans", ["x", "y", "z"], 1)?;
    let table = Dict::new(false);
    match (from.unwrap_or(Value::None), to, deleted) {
        (Value::Dict(replacements), None, None) => {
            interpreter.budget.dict(replacements.len())?;
            for (key, entry) in replacements.snapshot() {
                let key = match key.value() {
                    Value::Str(text) => number(interpreter, single(text)?)?,
                    Value::Int(_) | Value::Bool(_) => key,
                    _ => return Err(Fault::type_error("keys in translate table must be strings or integers")),
                };
                table.insert(key, entry.value, None);
            }
        }
        (Value::Str(from), Some(Value::Str(to)), deleted) => {
            let deleted = match &deleted {
                None => "",
                Some(Value::Str(text)) => text,
                Some(other) => {
                    let message = format!("maketrans() argument 3 must be str, not {}", other.type_name());
                    return Err(Fault::type_error(message));
                }
            };
            if from.chars().count() != to.chars().count() {
                return Err(Fault::value_error("the first two maketrans arguments must have equal length"));
            }
            interpreter.budget.dict(from.len() + deleted.len())?;
            for (old, new) in from.chars().zip(to.chars()) {
                table.insert(number(interpreter, old)?, Value::Int(i64::from(u32::from(new))), None);
            }
            for old in deleted.chars() {
                table.insert(number(interpreter, old)?, Value::None, None);
            }
        }
        _ => return Err(Fault::type_error("maketrans() expects a dict, or two or three texts")),
    }
    Ok(Value::Dict(Rc::new(table)))
}

fn number(interpreter: &mut Interpreter, character: char) -> Result<Key> {
    Key::new(&mut interpreter.budget, Value::Int(i64::from(u32::from(character))))
}

fn single(text: &str) -> Result<char> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(Fault::value_error("string keys in translate table must be of length 1")),
    }
}

/// `text.translate(table)`.
pub(super) fn translate(interpreter: &mut Interpreter, text: &str, table: &Value) -> Result<Value> {
    let Value::Dict(table) = table else {
        return Err(Fault::refused(format!("`translate` with a {} as the table", table.type_name())));
    };
    let mut translated = String::with_capacity(text.len());
    for character in text.chars() {
        let start = translated.len();
        let key = number(interpreter, character)?;
        match table.get(&key) {
            None => translated.push(character),
            Some(Value::None) => {}
            Some(Value::Str(text)) => {
                interpreter.budget.text(text.len())?;
                translated.push_str(&text);
            }
            Some(value @ (Value::Int(_) | Value::Bool(_))) => {
                if let Value::Str(text) = chr(&value)? {
                    translated.push_str(&text);
                }
            }
            Some(_) => return Err(Fault::type_error("character mapping must return integer, None or str")),
        }
        interpreter.budget.text(translated.len() - start)?;
    }
    Ok(Value::str(translated))
}
