//! The stack of the machine. What lies under a mark can't be reached until the mark is taken off.

use crate::error::{ErrorKind, PickleProblem};
use crate::limits::MAX_STACK;
use crate::pickle::Fault;
use crate::pickle::value::Value;

#[derive(Debug, Default)]
pub(crate) struct Stack {
    values: Vec<Value>,
    /// Lengths of `values` at which a mark was set.
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

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(crate) fn pop(&mut self) -> Result<Value, PickleProblem> {
        if self.values.len() <= self.floor() {
            return Err(PickleProblem::EmptyStack);
        }
        self.values.pop().ok_or(PickleProblem::EmptyStack)
    }

    pub(crate) fn top(&self) -> Result<Value, PickleProblem> {
        if self.values.len() <= self.floor() {
            return Err(PickleProblem::EmptyStack);
        }
        self.values.last().copied().ok_or(PickleProblem::EmptyStack)
    }

    /// Takes off the last value, or the last mark if it lies on top.
    pub(crate) fn pop_value_or_mark(&mut self) -> Result<(), PickleProblem> {
        if self.marks.last() == Some(&self.values.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    /// Takes off the last mark and all values above it.
    pub(crate) fn pop_mark(&mut self) -> Result<Vec<Value>, PickleProblem> {
        let mark = self.marks.pop().ok_or(PickleProblem::NoMark)?;
        Ok(self.values.split_off(mark))
    }

    /// Takes off the last `N` values, the first pushed first.
    pub(crate) fn pop_array<const N: usize>(&mut self) -> Result<[Value; N], PickleProblem> {
        let mut values = [Value::None; N];
        for slot in values.iter_mut().rev() {
            *slot = self.pop()?;
        }
        Ok(values)
    }
}
