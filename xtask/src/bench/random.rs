//! Random orders.

use std::time::{SystemTime, UNIX_EPOCH};

/// A small random number generator (xorshift, Marsaglia 2003), good enough to shuffle turns.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// A generator seeded by the clock.
    pub(super) fn new() -> Self {
        let now = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(time) => time.as_nanos() as u64,
            Err(_) => 0,
        };
        Self(now | 1)
    }

    /// Puts the items into a random order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            items.swap(last, (self.0 % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn every_order_occurs() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut items = [1, 2, 3];
            random.shuffle(&mut items);
            seen.insert(items);
        }
        assert_eq!(seen.len(), 6);
    }
}
