//! [`Vector`]: the instructions that kernels are written with.
//!
//! Kernels are generic over it, and inlined into functions that are compiled for an instruction set ([`crate::Isa`]).
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;

/// Some numbers of 32 bits on which an instruction works at once.
///
/// # Safety
/// All functions are to be called where the instructions exist; pointers are to be valid for what is read or written, with any
/// alignment: `LANES` numbers, or `count` (at most `LANES`) for the partial ones.
pub(crate) trait Vector: Copy {
    /// How many they are.
    const LANES: usize;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// The first `count` from memory, and zeros.
    unsafe fn load_partial(from: *const f32, count: usize) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn store_partial(self, to: *mut f32, count: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * factor + term`.
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    unsafe fn min(self, other: Self) -> Self;
}
