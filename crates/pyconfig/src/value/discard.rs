//! Dropping nested values without recursion: a list may be nested a million deep.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Dict, Entry, Iterator, List, Partial, Set, Tuple, Value};

thread_local! {
    /// Values that wait to be dropped, while others are.
    static WAITING: RefCell<Option<Vec<Value>>> = const { RefCell::new(None) };
}

/// Drops a value; the values in it are dropped one after the other.
pub(super) fn discard(value: Value) {
    if !is_last_container(&value) {
        return;
    }
    let is_first = WAITING.with_borrow_mut(|waiting| match waiting {
        Some(waiting) => {
            waiting.push(value);
            false
        }
        None => {
            *waiting = Some(vec![value]);
            true
        }
    });
    if !is_first {
        return;
    }
    while let Some(value) = WAITING.with_borrow_mut(|waiting| waiting.as_mut().and_then(Vec::pop)) {
        drop(value);
    }
    WAITING.with_borrow_mut(|waiting| *waiting = None);
}

/// Whether a container is dropped with this reference to it.
fn is_last_container(value: &Value) -> bool {
    match value {
        Value::List(list) => Rc::strong_count(list) == 1,
        Value::Tuple(tuple) => Rc::strong_count(tuple) == 1,
        Value::Dict(dict) | Value::View(dict, _) => Rc::strong_count(dict) == 1,
        Value::Set(set) => Rc::strong_count(set) == 1,
        Value::Iterator(iterator) => Rc::strong_count(iterator) == 1,
        Value::Slice(_) | Value::Function(_) | Value::Method(_) | Value::Partial(_) => true,
        _ => false,
    }
}

fn discard_all(values: Vec<Value>) {
    for value in values {
        discard(value);
    }
}

impl Drop for List {
    fn drop(&mut self) {
        discard_all(std::mem::take(self.0.get_mut()));
    }
}

impl Drop for Tuple {
    fn drop(&mut self) {
        discard_all(std::mem::take(&mut self.0));
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        for (key, Entry { value, .. }) in std::mem::take(self.entries.get_mut()) {
            discard(key.into_value());
            discard(value);
        }
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        for (key, ()) in std::mem::take(self.keys.get_mut()) {
            discard(key.into_value());
        }
    }
}

impl Drop for Iterator {
    fn drop(&mut self) {
        discard_all(std::mem::replace(self.items.get_mut(), Vec::new().into_iter()).collect());
        if let Some(pending) = self.pending.take() {
            discard(pending.iterable);
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        discard(std::mem::replace(&mut self.function, Value::None));
        discard_all(std::mem::take(&mut self.positional));
        for (_, value, _) in std::mem::take(&mut self.keywords) {
            discard(value);
        }
    }
}
