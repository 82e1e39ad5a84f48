//! [`Budget`]: the steps and the memory that a config may still use.

use crate::error::{Fault, Result};
use crate::limits;

/// What is left of the limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    steps: u64,
    memory: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: limits::STEPS, memory: limits::MEMORY }
    }
}

impl Budget {
    /// An amount of nothing.
    pub(crate) fn none() -> Self {
        Self { steps: 0, memory: 0 }
    }

    /// Bytes of memory.
    pub(crate) fn memory_left(&self) -> usize {
        self.memory
    }

    /// The sum of two amounts.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { steps: self.steps.saturating_add(other.steps), memory: self.memory.saturating_add(other.memory) }
    }

    /// The difference of two amounts.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self { steps: self.steps.saturating_sub(other.steps), memory: self.memory.saturating_sub(other.memory) }
    }

    /// Takes an amount.
    pub(crate) fn take(&mut self, cost: Self) -> Result<()> {
        self.step(cost.steps)?;
        self.memory(cost.memory)
    }

    /// Takes steps: one for each expression, statement, and item that is looked at.
    pub(crate) fn step(&mut self, steps: u64) -> Result<()> {
        match self.steps.checked_sub(steps) {
            Some(rest) => {
                self.steps = rest;
                Ok(())
            }
            None => Err(Fault::limit(format!("a config may take {} steps", limits::STEPS))),
        }
    }

    /// Takes a step for each of `count` items.
    pub(crate) fn items(&mut self, count: usize) -> Result<()> {
        self.step(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Takes memory, before it is allocated.
    pub(crate) fn memory(&mut self, bytes: usize) -> Result<()> {
        match self.memory.checked_sub(bytes) {
            Some(rest) => {
                self.memory = rest;
                Ok(())
            }
            None => Err(Fault::limit(format!("a config may allocate {} MiB", limits::MEMORY >> 20))),
        }
    }

    /// Takes the memory and the steps of `count` values.
    pub(crate) fn values(&mut self, count: usize) -> Result<()> {
        self.memory(count.saturating_mul(32))?;
        self.items(count)
    }

    /// Takes the memory and the steps of a dict with `count` entries.
    pub(crate) fn dict(&mut self, count: usize) -> Result<()> {
        self.memory(count.saturating_mul(96).saturating_add(256))?;
        self.items(count.saturating_add(1))
    }

    /// Takes the memory of a text, and the steps to read it.
    pub(crate) fn text(&mut self, bytes: usize) -> Result<()> {
        self.memory(bytes.saturating_add(32))?;
        self.items(bytes / 64)
    }
}
