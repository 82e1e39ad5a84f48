//! Items and slices.

use std::rc::Rc;

use num_traits::ToPrimitive;

use super::Interpreter;
use crate::error::{Fault, Result};
use crate::origin::Origin;
use crate::value::key::Key;
use crate::value::number::as_big;
use crate::value::{Module, Range, Value, copy, cycle, iterate, repr};

/// Start, stop and step of a slice of a sequence of some length.
struct Span {
    start: i64,
    stop: i64,
    step: i64,
}

impl Span {
    /// The indices, in order.
    fn indices(&self) -> Vec<usize> {
        let mut indices = Vec::new();
        let mut at = self.start;
        while if self.step > 0 { at < self.stop } else { at > self.stop } {
            indices.extend(usize::try_from(at));
            match at.checked_add(self.step) {
                Some(next) => at = next,
                None => break,
            }
        }
        indices
    }
}

impl Interpreter {
    /// `value[index]`.
    pub(crate) fn subscript(&mut self, value: &Value, index: &Value) -> Result<Value> {
        match value {
            Value::Dict(dict) => {
                let key = Key::new(&mut self.budget, index.clone())?;
                match dict.get(&key) {
                    Some(value) => Ok(value),
                    None => Err(Fault::key_error(repr::repr(&mut self.budget, index)?)),
                }
            }
            Value::List(list) => {
                let items = list.0.borrow();
                match index {
                    Value::Slice(bounds) => {
                        let picked = pick(&items, bounds)?;
                        self.budget.values(picked.len())?;
                        Ok(Value::list(picked))
                    }
                    _ => Ok(items[position(index, items.len(), "list")?].clone()),
                }
            }
            Value::Tuple(tuple) => match index {
                Value::Slice(bounds) => {
                    let picked = pick(&tuple.0, bounds)?;
                    self.budget.values(picked.len())?;
                    Ok(Value::tuple(picked))
                }
                _ => Ok(tuple.0[position(index, tuple.0.len(), "tuple")?].clone()),
            },
            Value::Str(text) => {
                self.budget.items(text.len() / 16)?;
                let characters: Vec<char> = text.chars().collect();
                match index {
                    Value::Slice(bounds) => {
                        let picked: String = pick(&characters, bounds)?.into_iter().collect();
                        self.budget.text(picked.len())?;
                        Ok(Value::str(picked))
                    }
                    _ => Ok(Value::str(characters[position(index, characters.len(), "string")?].to_string())),
                }
            }
            Value::Range(range) => subscript_range(range, index),
            // Annotations such as `List[int]` and `list[int]`.
            Value::Module(Module::Typing) => Ok(value.clone()),
            Value::Builtin(builtin) if builtin.is_type() => Ok(Value::Module(Module::Typing)),
            _ => Err(Fault::type_error(format!("'{}' object is not subscriptable", value.type_name()))),
        }
    }

    /// `value[index] = item`.
    pub(super) fn set_item(
        &mut self,
        value: &Value,
        index: &Value,
        item: &Value,
        origin: Option<Rc<Origin>>,
    ) -> Result<()> {
        self.budget.values(1)?;
        match (value, index) {
            (Value::Dict(dict), _) => {
                let item = if dict.is_config.get() { copy::hook(&mut self.budget, item)? } else { item.clone() };
                cycle::refuse_in_dict(&mut self.budget, dict, &item)?;
                dict.insert(Key::new(&mut self.budget, index.clone())?, item, origin);
                Ok(())
            }
            (Value::List(list), Value::Slice(bounds)) => {
                let items = iterate::items(&mut self.budget, item)?;
                for item in &items {
                    cycle::refuse_in_list(&mut self.budget, list, item)?;
                }
                let mut list = list.0.borrow_mut();
                let span = span(bounds, list.len())?;
                if span.step == 1 {
                    let start = usize::try_from(span.start).unwrap_or(0);
                    let stop = usize::try_from(span.stop).unwrap_or(0).max(start);
                    list.splice(start..stop, items);
                    return Ok(());
                }
                let indices = span.indices();
                if indices.len() != items.len() {
                    return Err(Fault::value_error(format!(
                        "attempt to assign sequence of size {} to extended slice of size {}",
                        items.len(),
                        indices.len()
                    )));
                }
                for (index, item) in indices.into_iter().zip(items) {
                    list[index] = item;
                }
                Ok(())
            }
            (Value::List(list), _) => {
                cycle::refuse_in_list(&mut self.budget, list, item)?;
                let mut list = list.0.borrow_mut();
                let at = position(index, list.len(), "list")
                    .map_err(|_| index_fault(index, list.len(), "list assignment", "list"))?;
                list[at] = item.clone();
                Ok(())
            }
            _ => Err(Fault::type_error(format!("'{}' object does not support item assignment", value.type_name()))),
        }
    }

    /// `del value[index]`.
    pub(super) fn delete_item(&mut self, value: &Value, index: &Value) -> Result<()> {
        match (value, index) {
            (Value::Dict(dict), _) => {
                self.budget.items(dict.len() / 64)?;
                match dict.remove(&Key::new(&mut self.budget, index.clone())?) {
                    Some(_) => Ok(()),
                    None => Err(Fault::key_error(repr::repr(&mut self.budget, index)?)),
                }
            }
            (Value::List(list), Value::Slice(bounds)) => {
                let mut list = list.0.borrow_mut();
                let indices = span(bounds, list.len())?.indices();
                self.budget.items(list.len())?;
                let mut at = 0;
                let deleted: std::collections::HashSet<usize> = indices.into_iter().collect();
                list.retain(|_| {
                    at += 1;
                    !deleted.contains(&(at - 1))
                });
                Ok(())
            }
            (Value::List(list), _) => {
                let mut list = list.0.borrow_mut();
                self.budget.items(list.len() / 64)?;
                let at = position(index, list.len(), "list")?;
                list.remove(at);
                Ok(())
            }
            _ => Err(Fault::type_error(format!("'{}' object doesn't support item deletion", value.type_name()))),
        }
    }
}

fn subscript_range(range: &Range, index: &Value) -> Result<Value> {
    let length = i64::try_from(range.len()).unwrap_or(i64::MAX);
    match index {
        Value::Slice(bounds) => {
            let span = span(bounds, usize::try_from(length).unwrap_or(usize::MAX))?;
            let at = |index: i64| {
                let value = i128::from(range.start) + i128::from(index) * i128::from(range.step);
                i64::try_from(value).map_err(|_| Fault::overflow("a range is too large"))
            };
            let step = range.step.checked_mul(span.step).ok_or_else(|| Fault::overflow("a range is too large"))?;
            Ok(Value::Range(Rc::new(Range { start: at(span.start)?, stop: at(span.stop)?, step })))
        }
        _ => {
            let at = position(index, usize::try_from(length).unwrap_or(usize::MAX), "range object")?;
            Ok(Value::Int(range.get(at as u64)))
        }
    }
}

/// The position that an index means in a sequence of `length` items.
pub(crate) fn position(index: &Value, length: usize, type_name: &str) -> Result<usize> {
    let subject = if type_name == "string" { "string" } else { type_name };
    let Some(number) = as_big(index) else {
        let subject = if type_name == "range object" { "range" } else { subject };
        return Err(Fault::type_error(format!(
            "{subject} indices must be integers or slices, not {}",
            index.type_name()
        )));
    };
    let length_signed = i64::try_from(length).unwrap_or(i64::MAX);
    let found = match number.to_i64() {
        Some(index) if index < 0 => index.checked_add(length_signed),
        found => found,
    };
    match found {
        Some(at) if (0..length_signed).contains(&at) => usize::try_from(at).map_err(|_| out_of_range(subject)),
        _ => Err(out_of_range(subject)),
    }
}

fn out_of_range(subject: &str) -> Fault {
    Fault::index_error(format!("{subject} index out of range"))
}

fn index_fault(index: &Value, length: usize, subject: &str, type_name: &str) -> Fault {
    match position(index, length, type_name) {
        Err(fault) if as_big(index).is_none() => fault,
        _ => out_of_range(subject),
    }
}

fn pick<T: Clone>(items: &[T], bounds: &[Value; 3]) -> Result<Vec<T>> {
    let indices = span(bounds, items.len())?.indices();
    Ok(indices.into_iter().filter_map(|index| items.get(index).cloned()).collect())
}

/// The indices that a slice means, by Python's rules.
fn span(bounds: &[Value; 3], length: usize) -> Result<Span> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let [start, stop, step] = bounds;
    let step = bound(step)?.unwrap_or(1);
    if step == 0 {
        return Err(Fault::value_error("slice step cannot be zero"));
    }
    let (least, most) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let within = |at: Option<i64>, default: i64| match at {
        None => default,
        Some(at) if at < 0 => at.saturating_add(length).max(least),
        Some(at) => at.min(most),
    };
    let (first, last) = if step > 0 { (0, length) } else { (length - 1, -1) };
    Ok(Span { start: within(bound(start)?, first), stop: within(bound(stop)?, last), step })
}

/// A bound of a slice; numbers beyond 64 bits are as good as the nearest.
fn bound(value: &Value) -> Result<Option<i64>> {
    match (value, as_big(value)) {
        (Value::None, _) => Ok(None),
        (_, Some(number)) => match number.to_i64() {
            Some(number) => Ok(Some(number)),
            None if number.sign() == num_bigint::Sign::Minus => Ok(Some(i64::MIN)),
            None => Ok(Some(i64::MAX)),
        },
        _ => Err(Fault::type_error("slice indices must be integers or None or have an __index__ method")),
    }
}
