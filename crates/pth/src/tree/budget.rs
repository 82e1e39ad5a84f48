//! [`Budget`]: limits the size of a result while it is collected.

use crate::error::ErrorKind;
use crate::limits::{MAX_STEPS, MAX_TEXT_BYTES, MAX_VALUES};

/// The size of a result so far.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    values: u64,
    steps: u64,
    text: u64,
}

impl Budget {
    pub(crate) fn values(&mut self, count: u64) -> Result<(), ErrorKind> {
        self.values = self.values.saturating_add(count);
        ErrorKind::check_limit("number of values", self.values, MAX_VALUES)
    }

    /// Counts parts that are visited without becoming part of the result.
    pub(crate) fn steps(&mut self, count: usize) -> Result<(), ErrorKind> {
        self.steps = self.steps.saturating_add(count as u64);
        ErrorKind::check_limit("number of steps to the tensors", self.steps, MAX_STEPS)
    }

    pub(crate) fn text(&mut self, bytes: u64) -> Result<(), ErrorKind> {
        self.text = self.text.saturating_add(bytes);
        ErrorKind::check_limit("bytes of keys and strings", self.text, MAX_TEXT_BYTES)
    }
}
