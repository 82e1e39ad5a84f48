//! Loops, which compilers turn into the instructions that every processor of a kind has.
#![allow(unsafe_code)]
#![allow(unsafe_op_in_unsafe_fn, reason = "one instruction each: `Vector` says what the caller promises")]

use super::Vector;

/// Some numbers.
#[derive(Clone, Copy)]
pub(crate) struct Portable<const COUNT: usize>([f32; COUNT]);

impl<const COUNT: usize> Portable<COUNT> {
    #[inline(always)]
    fn zip(mut self, other: Self, operation: fn(f32, f32) -> f32) -> Self {
        for (left, right) in self.0.iter_mut().zip(other.0) {
            *left = operation(*left, right);
        }
        self
    }
}

impl<const COUNT: usize> Vector for Portable<COUNT> {
    const LANES: usize = COUNT;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; COUNT])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(from.cast::<[f32; COUNT]>().read_unaligned())
    }

    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> Self {
        let mut loaded = [0.0; COUNT];
        for (lane, number) in loaded.iter_mut().enumerate().take(count) {
            *number = from.add(lane).read_unaligned();
        }
        Self(loaded)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        to.cast::<[f32; COUNT]>().write_unaligned(self.0)
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize) {
        for (lane, number) in self.0.iter().enumerate().take(count) {
            to.add(lane).write_unaligned(*number)
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |left, right| left + right)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |left, right| left - right)
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        self.zip(factor, |left, right| left * right).zip(term, |left, right| left + right)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |left, right| if left > right { left } else { right })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |left, right| if left < right { left } else { right })
    }
}
