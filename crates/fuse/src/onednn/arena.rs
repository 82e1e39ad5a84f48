//! [`Arena`]: one piece of memory for all intermediate results, in which buffers that do not live at the same time share
//! their place.

/// A buffer of an [`Arena`].
pub(super) type BufferId = usize;

/// Buffers and when they live, in steps.
#[derive(Debug, Default)]
pub(super) struct Arena {
    buffers: Vec<Buffer>,
}

#[derive(Debug)]
struct Buffer {
    size: usize,
    first: usize,
    last: usize,
    offset: usize,
}

/// Of every buffer: a cache line, and what the widest loads like.
const ALIGNMENT: usize = 64;

impl Arena {
    /// A buffer of `size` bytes that is written at `step`.
    pub(super) fn add(&mut self, size: usize, step: usize) -> BufferId {
        self.buffers.push(Buffer { size: size.next_multiple_of(ALIGNMENT), first: step, last: step, offset: 0 });
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
        let mut order: Vec<usize> = (0..self.buffers.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(self.buffers.get(*index).map_or(0, |buffer| buffer.size)));
        let mut placed: Vec<usize> = Vec::new();
        let mut total = 0;
        for index in order {
            let Some(Buffer { size, first, last, .. }) = self.buffers.get(index) else { continue };
            let (size, first, last) = (*size, *first, *last);
            let mut taken: Vec<(usize, usize)> = placed
                .iter()
                .filter_map(|other| self.buffers.get(*other))
                .filter(|other| other.first <= last && first <= other.last)
                .map(|other| (other.offset, other.offset + other.size))
                .collect();
            taken.sort_unstable();
            let mut offset = 0;
            for (start, end) in taken {
                if offset + size <= start {
                    break;
                }
                offset = offset.max(end);
            }
            if let Some(buffer) = self.buffers.get_mut(index) {
                buffer.offset = offset;
            }
            total = total.max(offset + size);
            placed.push(index);
        }
        total
    }

    /// Where the buffer starts; known after [`Self::arrange`].
    pub(super) fn offset(&self, buffer: BufferId) -> usize {
        self.buffers.get(buffer).map_or(0, |buffer| buffer.offset)
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
