//! The memo of the unpickler: values by number.

use std::collections::HashMap;

use crate::unpickler::value::Value;

/// Bytes per entry of the vector, including growth.
const DENSE_BYTES: u64 = 40;
/// Bytes per entry of the table, including growth: while it grows, there are two tables, and the new one is less than half
/// full.
const SPARSE_BYTES: u64 = 88;

/// Values by number. Picklers count from 0, so nearly all values are in a vector.
#[derive(Debug, Default)]
pub(super) struct Memo {
    /// The values numbered from 0 without gaps.
    dense: Vec<Value>,
    /// All other values.
    sparse: HashMap<u32, Value>,
}

impl Memo {
    pub(super) fn get(&self, index: u32) -> Option<Value> {
        self.dense.get(index as usize).or_else(|| self.sparse.get(&index)).copied()
    }

    /// Sets an entry. Returns the number of bytes that this may allocate.
    pub(super) fn set(&mut self, index: u32, value: Value) -> u64 {
        if let Some(slot) = self.dense.get_mut(index as usize) {
            *slot = value;
            return 0;
        }
        if index as usize == self.dense.len() {
            // An entry is in only one of them.
            self.sparse.remove(&index);
            self.dense.push(value);
            return DENSE_BYTES;
        }
        if self.sparse.insert(index, value).is_none() { SPARSE_BYTES } else { 0 }
    }

    /// The number that MEMOIZE uses. The memory limit keeps it far below 2^32.
    pub(super) fn next(&self) -> u32 {
        (self.dense.len() + self.sparse.len()) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_wherever_they_lie() {
        let mut memo = Memo::default();
        // Written over, out of order, and a gap that is closed.
        for (step, index) in [0, 1, 3, u32::MAX, 1, 3, 2, 3, 4].into_iter().enumerate() {
            memo.set(index, Value::Int(step as i64));
        }
        let found = [0, 1, 2, 3, 4, 5, u32::MAX].map(|index| memo.get(index));
        let expected = [Some(0), Some(4), Some(6), Some(7), Some(8), None, Some(3)];
        assert_eq!(found, expected.map(|step| step.map(Value::Int)));
        assert_eq!(memo.next(), 6);
        assert_eq!((memo.set(5, Value::None), memo.set(5, Value::None)), (DENSE_BYTES, 0));
        assert_eq!((memo.set(9, Value::None), memo.set(9, Value::None)), (SPARSE_BYTES, 0));
    }
}
