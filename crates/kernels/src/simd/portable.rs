//! Loops, which compilers turn into the instructions that every processor of a kind has.
#![allow(unsafe_code)]

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

// SAFETY of all: the trait asks the caller for valid pointers.
impl<const COUNT: usize> Vector for Portable<COUNT> {
    const LANES: usize = COUNT;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; COUNT])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: see above; an array of numbers is aligned as a number is.
        Self(unsafe { from.cast::<[f32; COUNT]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_partial(from: *const f32, count: usize) -> Self {
        let mut loaded = [0.0; COUNT];
        for (lane, number) in loaded.iter_mut().enumerate().take(count) {
            // SAFETY: see above.
            *number = unsafe { from.add(lane).read_unaligned() };
        }
        Self(loaded)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: see above.
        unsafe { to.cast::<[f32; COUNT]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, count: usize) {
        for (lane, number) in self.0.iter().enumerate().take(count) {
            // SAFETY: see above.
            unsafe { to.add(lane).write_unaligned(*number) }
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
