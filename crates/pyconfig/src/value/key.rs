//! [`Key`]: a hashable value.

use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

use num_traits::ToPrimitive;

use super::{Set, Value};
use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::value::number::{float_to_integer, integers_equal};

/// A key of a dict or an item of a set: a value that can be hashed. As in Python, `1`, `1.0` and `True` are one key.
#[derive(Debug, Clone)]
pub(crate) struct Key(Value);

impl Key {
    /// Takes a step for each value in the key, since all of them are hashed.
    ///
    /// Returns an error if the value cannot be hashed, such as a list.
    pub(crate) fn new(budget: &mut Budget, value: Value) -> Result<Self> {
        check_hashable(budget, &value, 0)?;
        Ok(Self(value))
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    pub(crate) fn into_value(self) -> Value {
        self.0
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&Rc<str>> for Key {
    fn from(text: &Rc<str>) -> Self {
        Self(Value::Str(Rc::clone(text)))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Value::str(text))
    }
}

fn check_hashable(budget: &mut Budget, value: &Value, depth: u32) -> Result<()> {
    if depth > crate::limits::NESTING {
        return Err(Fault::limit("a key is nested too deeply"));
    }
    match value {
        Value::Str(text) => budget.items(text.len() / 64),
        Value::Tuple(tuple) => {
            budget.items(tuple.0.len())?;
            for item in &tuple.0 {
                check_hashable(budget, item, depth + 1)?;
            }
            Ok(())
        }
        Value::Set(set) if set.is_frozen => {
            budget.items(set.keys.borrow().len())?;
            for key in set.keys.borrow().keys() {
                check_hashable(budget, &key.0, depth + 1)?;
            }
            Ok(())
        }
        Value::List(_) | Value::Dict(_) | Value::Set(_) | Value::Slice(_) => {
            Err(Fault::type_error(format!("unhashable type: '{}'", value.type_name())))
        }
        _ => Ok(()),
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

impl Eq for Key {}

/// Equality of hashable values, which are not nested deeply.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Str(left), Value::Str(right)) => left == right,
        (Value::Tuple(left), Value::Tuple(right)) => {
            left.0.len() == right.0.len() && left.0.iter().zip(&right.0).all(|(left, right)| equal(left, right))
        }
        (Value::Set(left), Value::Set(right)) => sets_equal(left, right),
        _ => match integers_equal(left, right) {
            Some(equal) => equal,
            None => left.is(right),
        },
    }
}

fn sets_equal(left: &Set, right: &Set) -> bool {
    let (left, right) = (left.keys.borrow(), right.keys.borrow());
    left.len() == right.len() && left.keys().all(|key| right.contains_key(key))
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(&self.0, state);
    }
}

/// A hash that is the same in every map of this process.
fn fixed_hash(value: &Value) -> u64 {
    let mut hasher =
        foldhash::quality::SeedableRandomState::with_seed(0, foldhash::SharedSeed::global_random()).build_hasher();
    hash(value, &mut hasher);
    hasher.finish()
}

fn hash<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        Value::Str(text) => text.hash(state),
        Value::Bool(value) => i64::from(*value).hash(state),
        Value::Int(value) => value.hash(state),
        Value::Big(value) => value.hash(state),
        Value::Float(value) => match float_to_integer(*value) {
            Some(integer) => match integer.to_i64() {
                Some(small) => small.hash(state),
                None => integer.hash(state),
            },
            None => value.to_bits().hash(state),
        },
        Value::Tuple(tuple) => {
            for item in &tuple.0 {
                hash(item, state);
            }
        }
        Value::Set(set) => {
            // The order of the items does not count.
            let mut sum = 0_u64;
            for key in set.keys.borrow().keys() {
                sum = sum.wrapping_add(fixed_hash(&key.0));
            }
            sum.hash(state);
        }
        Value::Range(range) => Rc::as_ptr(range).addr().hash(state),
        Value::Iterator(iterator) => Rc::as_ptr(iterator).addr().hash(state),
        Value::Function(function) => Rc::as_ptr(function).addr().hash(state),
        Value::Lazy(lazy) => Rc::as_ptr(lazy).addr().hash(state),
        Value::Builtin(builtin) => builtin.name().hash(state),
        // There are few of the others, or they are equal to nothing.
        other => other.type_name().hash(state),
    }
}
