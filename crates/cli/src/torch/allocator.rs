//! How the allocator keeps memory.

use std::ffi::OsString;

/// Keeps freed memory for the next tensors.
///
/// glibc otherwise returns the memory of large tensors to the system when they are freed, and the pages of the next ones
/// have to be cleared again: a third of the time of a forward pass that is not fused. Whoever sets glibc's own variables
/// keeps that choice.
pub(crate) fn keep_freed_memory() {
    let variables = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"];
    let has_threshold = |tunables: OsString| tunables.to_string_lossy().contains("threshold");
    if variables.iter().any(|variable| std::env::var_os(variable).is_some())
        || std::env::var_os("GLIBC_TUNABLES").is_some_and(has_threshold)
    {
        return;
    }
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: mallopt sets numbers inside malloc, takes no pointers, and there are no other threads yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}

/// Gives freed memory back to the system, after work that needed more than what follows.
pub(crate) fn release_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: malloc_trim takes a number, and locks what it changes.
    unsafe {
        libc::malloc_trim(0);
    }
}
