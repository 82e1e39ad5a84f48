//! The stack of the unpickler. Values below a mark cannot be reached until the mark is removed.

use crate::error::{ErrorKind, PickleProblem};
use crate::limits::MAX_STACK;
use crate::unpickler::fault::Fault;
use crate::unpickler::value::Value;

#[derive(Debug, Default)]
pub(crate) struct Stack {
    values: Vec<Value>,
    /// The lengths of `values` at which a mark was set.
    marks: Vec<usize>,
}

impl Stack {
    pub(crate) fn push(&mut self, value: Value) -> Result<(), Fault> {
        self.check_room()?;
        self.values.push(value);
        Ok(())
    }

    pub(crate) fn mark(&mut self) -> Result<(), Fault> {
        self.check_room()?;
        self.marks.push(self.values.len());
        Ok(())
    }

    fn check_room(&self) -> Result<(), Fault> {
        let depth = (self.values.len() + self.marks.len()) as u64;
        Ok(ErrorKind::check_limit("pickle stack depth", depth, MAX_STACK as u64 - 1)?)
    }

    /// The length of `values` below which the last mark hides them.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(crate) fn pop(&mut self) -> Result<Value, PickleProblem> {
        let value = self.top()?;
        self.values.pop();
        Ok(value)
    }

    pub(crate) fn top(&self) -> Result<Value, PickleProblem> {
        match self.values.last() {
            Some(&value) if self.values.len() > self.floor() => Ok(value),
            _ => Err(PickleProblem::EmptyStack),
        }
    }

    /// Removes the last value, or the last mark if that is on top.
    pub(crate) fn pop_value_or_mark(&mut self) -> Result<(), PickleProblem> {
        if self.marks.last() == Some(&self.values.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop()?;
        Ok(())
    }

    /// Removes the last mark and all values above it.
    pub(crate) fn pop_mark(&mut self) -> Result<Vec<Value>, PickleProblem> {
        let mark = self.marks.pop().ok_or(PickleProblem::NoMark)?;
        Ok(self.values.split_off(mark))
    }

    /// Removes the last `N` values. The value pushed first comes first.
    pub(crate) fn pop_array<const N: usize>(&mut self) -> Result<[Value; N], PickleProblem> {
        let mut values = [Value::None; N];
        for slot in values.iter_mut().rev() {
            *slot = self.pop()?;
        }
        Ok(values)
    }
}
