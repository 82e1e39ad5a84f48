//! Binary operators.

use std::rc::Rc;

use super::Interpreter;
use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::format;
use crate::syntax::ast::BinaryOp;
use crate::value::key::Key;
use crate::value::number;
use crate::value::{Dict, IndexMap, Set, Value, View, copy};

impl Interpreter {
    pub(crate) fn binary(&mut self, op: BinaryOp, left: &Value, right: &Value) -> Result<Value> {
        if let Some(result) = number::arithmetic(&mut self.budget, op, left, right) {
            return result;
        }
        match (op, left, right) {
            (BinaryOp::Add, Value::Str(left), Value::Str(right)) => {
                self.budget.text(left.len() + right.len())?;
                Ok(Value::str(format!("{left}{right}")))
            }
            (BinaryOp::Add, Value::List(left), Value::List(right)) => {
                let items = self.joined(&left.0.borrow(), &right.0.borrow())?;
                Ok(Value::list(items))
            }
            (BinaryOp::Add, Value::Tuple(left), Value::Tuple(right)) => {
                Ok(Value::tuple(self.joined(&left.0, &right.0)?))
            }
            (BinaryOp::Mul, _, _) if is_sequence(left) || is_sequence(right) => self.repeated(left, right),
            (BinaryOp::Mod, Value::Str(template), _) => {
                Ok(Value::str(format::percent(&mut self.budget, template, right)?))
            }
            (BinaryOp::Or, Value::Dict(left), Value::Dict(right)) => self.united(left, right),
            (BinaryOp::Or | BinaryOp::And | BinaryOp::Sub | BinaryOp::Xor, _, _) => {
                match (keys(&mut self.budget, left)?, keys(&mut self.budget, right)?) {
                    (Some(left_keys), Some(right_keys)) => {
                        self.budget.values(left_keys.len() + right_keys.len())?;
                        let is_frozen = matches!(left, Value::Set(set) if set.is_frozen);
                        Ok(set_operation(op, left_keys, &right_keys, is_frozen))
                    }
                    _ => Err(unsupported(op, left, right)),
                }
            }
            (BinaryOp::Add, Value::Str(_), _) => {
                Err(Fault::type_error(format!("can only concatenate str (not \"{}\") to str", right.type_name())))
            }
            (BinaryOp::Add, Value::List(_), _) => {
                Err(Fault::type_error(format!("can only concatenate list (not \"{}\") to list", right.type_name())))
            }
            (BinaryOp::Add, Value::Tuple(_), _) => {
                Err(Fault::type_error(format!("can only concatenate tuple (not \"{}\") to tuple", right.type_name())))
            }
            _ => Err(unsupported(op, left, right)),
        }
    }

    fn joined(&mut self, left: &[Value], right: &[Value]) -> Result<Vec<Value>> {
        self.budget.values(left.len() + right.len())?;
        Ok(left.iter().chain(right).cloned().collect())
    }

    /// A sequence times a number, in either order.
    fn repeated(&mut self, left: &Value, right: &Value) -> Result<Value> {
        let (sequence, times) = if is_sequence(left) { (left, right) } else { (right, left) };
        let times = match times {
            Value::Int(times) => usize::try_from(*times).unwrap_or(0),
            Value::Bool(times) => usize::from(*times),
            Value::Big(times) if times.sign() == num_bigint::Sign::Minus => 0,
            Value::Big(_) => return Err(Fault::overflow("cannot fit 'int' into an index-sized integer")),
            other => {
                let message = format!("can't multiply sequence by non-int of type '{}'", other.type_name());
                return Err(Fault::type_error(message));
            }
        };
        match sequence {
            Value::Str(text) => {
                self.budget.text(text.len().saturating_mul(times))?;
                Ok(Value::str(text.repeat(times)))
            }
            Value::List(list) => Ok(Value::list(self.repeat(&list.0.borrow(), times)?)),
            Value::Tuple(tuple) => Ok(Value::tuple(self.repeat(&tuple.0, times)?)),
            _ => Err(unsupported(BinaryOp::Mul, left, right)),
        }
    }

    fn repeat(&mut self, items: &[Value], times: usize) -> Result<Vec<Value>> {
        let length = items.len().saturating_mul(times);
        self.budget.values(length)?;
        // Nothing, however often, is nothing at once.
        Ok(items.iter().cycle().take(length).cloned().collect())
    }

    fn united(&mut self, left: &Rc<Dict>, right: &Rc<Dict>) -> Result<Value> {
        let united = Rc::new(Dict::new(left.is_config.get() || right.is_config.get()));
        let mut first = Value::Dict(Rc::clone(left));
        if united.is_config.get() {
            // mmengine copies all dicts in it.
            first = copy::deep(&mut self.budget, &first)?;
        }
        self.extend_dict(&united, &first)?;
        self.update_dict(&united, &Value::Dict(Rc::clone(right)))?;
        Ok(Value::Dict(united))
    }

    /// An augmented assignment's new value: lists, sets and dicts change in place.
    pub(super) fn in_place(&mut self, op: BinaryOp, left: &Value, right: &Value) -> Result<Value> {
        match (op, left) {
            (BinaryOp::Add, Value::List(list)) => {
                let items = crate::value::iterate::items(&mut self.budget, right)?;
                self.extend_list(list, items)?;
                Ok(left.clone())
            }
            (BinaryOp::Mul, Value::List(list)) => {
                if let Value::List(product) = self.repeated(left, right)? {
                    let items = product.0.take();
                    *list.0.borrow_mut() = items;
                }
                Ok(left.clone())
            }
            (BinaryOp::Or, Value::Dict(dict)) => {
                self.update_dict(dict, right)?;
                Ok(left.clone())
            }
            (BinaryOp::Or | BinaryOp::And | BinaryOp::Sub | BinaryOp::Xor, Value::Set(set)) if !set.is_frozen => {
                if let Value::Set(result) = self.binary(op, left, right)? {
                    let keys = result.keys.take();
                    *set.keys.borrow_mut() = keys;
                }
                Ok(left.clone())
            }
            _ => self.binary(op, left, right),
        }
    }
}

fn is_sequence(value: &Value) -> bool {
    matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_))
}

/// The keys of a set, or of a view that works like one.
pub(crate) fn keys(budget: &mut Budget, value: &Value) -> Result<Option<IndexMap<Key, ()>>> {
    Ok(match value {
        Value::Set(set) => {
            budget.dict(set.keys.borrow().len())?;
            Some(set.keys.borrow().clone())
        }
        Value::View(dict, View::Keys) => {
            budget.dict(dict.len())?;
            Some(dict.entries.borrow().keys().map(|key| (key.clone(), ())).collect())
        }
        _ => None,
    })
}

/// `|`, `&`, `-` or `^` of sets.
pub(crate) fn set_operation(
    op: BinaryOp,
    mut left: IndexMap<Key, ()>,
    right: &IndexMap<Key, ()>,
    is_frozen: bool,
) -> Value {
    match op {
        BinaryOp::And => left.retain(|key, ()| right.contains_key(key)),
        BinaryOp::Sub => left.retain(|key, ()| !right.contains_key(key)),
        BinaryOp::Xor => {
            let added: Vec<Key> = right.keys().filter(|key| !left.contains_key(*key)).cloned().collect();
            left.retain(|key, ()| !right.contains_key(key));
            left.extend(added.into_iter().map(|key| (key, ())));
        }
        _ => left.extend(right.keys().map(|key| (key.clone(), ()))),
    }
    Value::Set(Rc::new(Set { keys: left.into(), is_frozen }))
}

fn unsupported(op: BinaryOp, left: &Value, right: &Value) -> Fault {
    Fault::type_error(format!(
        "unsupported operand type(s) for {}: '{}' and '{}'",
        op.symbol(),
        left.type_name(),
        right.type_name()
    ))
}
