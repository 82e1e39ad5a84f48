//! [`Arena`]: one piece of memory for all intermediate results, in which buffers that do not live at the same time share
//! their place.

use std::cmp::Reverse;

use crate::bridge::Span;

/// A buffer of an [`Arena`].
pub(super) type BufferId = usize;

/// Buffers and when they live, in steps.
#[derive(Debug, Default)]
pub(super) struct Arena {
    buffers: Vec<Buffer>,
}

#[derive(Debug, Clone, Copy)]
struct Buffer {
    needed: usize,
    /// What is needed in whole lines.
    size: usize,
    first: usize,
    last: usize,
    offset: usize,
}

/// The alignment of every buffer: a cache line, and what the widest loads like.
const ALIGNMENT: usize = 64;

impl Arena {
    /// A buffer of `size` bytes that is written at `step`.
    pub(super) fn add(&mut self, size: usize, step: usize) -> BufferId {
        self.buffers.push(Buffer {
            needed: size,
            size: size.next_multiple_of(ALIGNMENT),
            first: step,
            last: step,
            offset: 0,
        });
        self.buffers.len() - 1
    }

    /// Keeps the buffer until `step`.
    pub(super) fn keep(&mut self, buffer: BufferId, step: usize) {
        if let Some(buffer) = self.buffers.get_mut(buffer) {
            buffer.last = buffer.last.max(step);
        }
    }

    /// Gives each buffer its place, the largest first, each as low as it can; returns the size of all.
    pub(super) fn arrange(&mut self) -> usize {
        let mut order: Vec<(Reverse<usize>, BufferId)> = Vec::with_capacity(self.buffers.len());
        for (index, buffer) in self.buffers.iter().enumerate() {
            order.push((Reverse(buffer.size), index));
        }
        order.sort_unstable();
        let mut placed: Vec<Buffer> = Vec::with_capacity(order.len());
        let mut total = 0;
        for (_, index) in order {
            let Some(buffer) = self.buffers.get_mut(index) else { continue };
            buffer.offset = buffer.lowest_offset(&placed);
            total = total.max(buffer.offset + buffer.size);
            placed.push(*buffer);
        }
        total
    }

    /// Where the buffer is, without what it was rounded up by; known after [`Self::arrange`].
    pub(super) fn span(&self, buffer: BufferId) -> Span {
        match self.buffers.get(buffer) {
            Some(buffer) => Span { offset: buffer.offset, size: buffer.needed },
            None => Span { offset: 0, size: 0 },
        }
    }

    /// Where the buffer starts; known after [`Self::arrange`].
    pub(super) fn offset(&self, buffer: BufferId) -> usize {
        match self.buffers.get(buffer) {
            Some(buffer) => buffer.offset,
            None => 0,
        }
    }
}

impl Buffer {
    /// The lowest place apart from the buffers that live at the same time.
    fn lowest_offset(&self, placed: &[Self]) -> usize {
        let mut taken: Vec<(usize, usize)> = Vec::new();
        for other in placed {
            if other.first <= self.last && self.first <= other.last {
                taken.push((other.offset, other.offset + other.size));
            }
        }
        taken.sort_unstable();
        let mut offset = 0;
        for (start, end) in taken {
            if offset + self.size <= start {
                break;
            }
            offset = offset.max(end);
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::Arena;

    #[test]
    fn buffers_that_live_together_do_not_overlap_and_others_share() {
        let mut arena = Arena::default();
        let [first, second, third] = [arena.add(100, 0), arena.add(60, 1), arena.add(100, 2)];
        arena.keep(first, 1);
        arena.keep(second, 2);
        assert_eq!(arena.arrange(), 128 + 64);
        assert_eq!(arena.offset(first), arena.offset(third));
        assert_eq!(arena.offset(second), 128);
    }
}
