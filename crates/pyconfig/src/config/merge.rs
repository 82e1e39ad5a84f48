//! mmengine's rules of inheritance.

use std::rc::Rc;

use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::limits;
use crate::origin::Origin;
use crate::value::key::Key;
use crate::value::{Dict, Entry, Value, compare, copy};

const DELETE: &str = "_delete_";

/// Merges a child into its base, and returns the result; `Config._merge_a_into_b`. With `list_keys`, keys such as `0` mean
/// items of lists.
pub(crate) fn merge(budget: &mut Budget, child: &Rc<Dict>, base: &Value, list_keys: bool) -> Result<Value> {
    merge_at(budget, child, base, list_keys, 0)
}

fn merge_at(budget: &mut Budget, child: &Rc<Dict>, base: &Value, list_keys: bool, depth: u32) -> Result<Value> {
    if depth > limits::NESTING {
        return Err(Fault::too_deep());
    }
    let merged = match base {
        Value::Dict(base) => Value::Dict(shallow(budget, base)?),
        Value::List(base) => {
            budget.values(base.0.borrow().len())?;
            Value::list(base.0.borrow().clone())
        }
        other => return Err(Fault::type_error(format!("cannot merge a dict into a {}", other.type_name()))),
    };
    for (key, Entry { value, origin }) in child.entries.borrow().iter() {
        budget.step(1)?;
        match &merged {
            Value::List(items) => merge_item(budget, key, value, items, list_keys, depth)?,
            Value::Dict(dict) => {
                merge_entry(budget, key.clone(), value.clone(), origin.clone(), dict, list_keys, depth)?;
            }
            _ => {}
        }
    }
    Ok(merged)
}

/// `ConfigDict.copy`, or `dict.copy`.
fn shallow(budget: &mut Budget, dict: &Rc<Dict>) -> Result<Rc<Dict>> {
    if dict.is_config.get() { copy::config_dict(budget, dict) } else { copy_but(budget, dict, None) }
}

/// A copy that shares the values, without one key.
fn copy_but(budget: &mut Budget, dict: &Rc<Dict>, omitted: Option<&str>) -> Result<Rc<Dict>> {
    budget.dict(dict.len())?;
    let copy = Dict::with_capacity(dict.len(), dict.is_config.get());
    for (key, Entry { value, origin }) in dict.entries.borrow().iter() {
        if omitted.is_none() || key.as_str() != omitted {
            copy.insert(key.clone(), value.clone(), origin.clone());
        }
    }
    Ok(Rc::new(copy))
}

fn merge_item(
    budget: &mut Budget,
    key: &Key,
    value: &Value,
    items: &crate::value::List,
    list_keys: bool,
    depth: u32,
) -> Result<()> {
    let index = key.as_str().filter(|key| list_keys && !key.is_empty() && key.chars().all(|c| c.is_ascii_digit()));
    let Some(index) = index else {
        return Err(Fault::type_error(
            "list indices must be integers or slices, not str: a list is replaced as a whole",
        ));
    };
    let index: usize = index.parse().unwrap_or(usize::MAX);
    let length = items.0.borrow().len();
    let Some(old) = items.0.borrow().get(index).cloned() else {
        return Err(Fault::key_error(format!("Index {index} exceeds the length of list, which is {length}")));
    };
    let Value::Dict(value) = value else {
        return Err(Fault::attribute_error(format!(
            "'{}' object has no attribute 'items': an item of a list is changed by its keys, as in `pipeline.{index}.type=...`",
            value.type_name()
        )));
    };
    let new = merge_at(budget, value, &old, list_keys, depth + 1)?;
    if let Some(slot) = items.0.borrow_mut().get_mut(index) {
        *slot = new;
    }
    Ok(())
}

fn merge_entry(
    budget: &mut Budget,
    key: Key,
    value: Value,
    origin: Option<Rc<Origin>>,
    dict: &Rc<Dict>,
    list_keys: bool,
    depth: u32,
) -> Result<()> {
    let old = dict.entries.borrow().get(&key).cloned();
    let replaced = old.as_ref().and_then(|old| old.origin.clone());
    let origin = Origin::replacing(origin.as_ref(), replaced);
    let Value::Dict(child) = &value else {
        let value = if dict.is_config.get() { copy::hook(budget, &value)? } else { value };
        dict.insert(key, value, origin);
        return Ok(());
    };
    if let Some(old) = &old {
        let deletes = child.get_str(DELETE);
        if !deletes.as_ref().is_some_and(compare::truth) {
            let fits = matches!(old.value, Value::Dict(_)) || list_keys && matches!(old.value, Value::List(_));
            if !fits {
                let name = key.as_str().unwrap_or("?");
                let fault = Fault::type_error(format!(
                    "{name} is a dict here and a {} in the base, so it cannot inherit: set `{DELETE}=True` in it to replace \
                     the value of the base",
                    old.value.type_name()
                ));
                return Err(match &origin {
                    Some(origin) => fault.at(&origin.source, origin.offset),
                    None => fault,
                });
            }
            // The child itself stays as it is: it may stand in several places.
            let child = if deletes.is_some() { copy_but(budget, child, Some(DELETE))? } else { Rc::clone(child) };
            let merged = merge_at(budget, &child, &old.value, list_keys, depth + 1)?;
            let merged = if dict.is_config.get() { copy::hook(budget, &merged)? } else { merged };
            dict.insert(key, merged, origin);
            return Ok(());
        }
    }
    let replaced = copy::config_dict(budget, child)?;
    if old.is_some() {
        replaced.remove(&Key::from(DELETE));
    }
    dict.insert(key, Value::Dict(replaced), origin);
    Ok(())
}

/// `ConfigDict.merge(other)`.
pub(crate) fn merge_in_place(budget: &mut Budget, dict: &Rc<Dict>, other: &Rc<Dict>) -> Result<()> {
    let child = copy::deep(budget, &Value::Dict(Rc::clone(other)))?;
    let base = copy::deep(budget, &Value::Dict(Rc::clone(dict)))?;
    let merged = combine(budget, Some((child, None)), Some((base, None)), 0)?;
    dict.entries.borrow_mut().clear();
    if let Value::Dict(merged) = merged.0 {
        for (key, entry) in merged.snapshot() {
            let value = copy::hook(budget, &entry.value)?;
            dict.insert(key, value, entry.origin);
        }
    }
    Ok(())
}

type Placed = (Value, Option<Rc<Origin>>);

/// The value of a key that the child, the base or both have.
fn combine(budget: &mut Budget, child: Option<Placed>, base: Option<Placed>, depth: u32) -> Result<Placed> {
    if depth > limits::NESTING {
        return Err(Fault::too_deep());
    }
    let Some((child, origin)) = child else { return Ok(base.unwrap_or((Value::None, None))) };
    let Value::Dict(child) = &child else { return Ok((child, origin)) };
    let base = match base {
        Some((Value::Dict(base), _)) => base,
        _ => {
            child.remove(&Key::from(DELETE));
            return Ok((Value::Dict(Rc::clone(child)), origin));
        }
    };
    if child.remove(&Key::from(DELETE)).is_some_and(|delete| compare::truth(&delete)) {
        base.entries.borrow_mut().clear();
    }
    budget.values((child.len() + base.len()) * 3)?;
    let merged = Dict::new(false);
    let (base_entries, child_entries) = (base.snapshot(), child.snapshot());
    for key in base_entries.iter().chain(&child_entries).map(|(key, _)| key) {
        if key.as_str() == Some(DELETE) || merged.contains(key) {
            continue;
        }
        let placed =
            |dict: &Rc<Dict>| dict.entries.borrow().get(key).map(|entry| (entry.value.clone(), entry.origin.clone()));
        let (value, origin) = combine(budget, placed(child), placed(&base), depth + 1)?;
        merged.insert(key.clone(), value, origin);
    }
    Ok((Value::Dict(Rc::new(merged)), origin))
}
