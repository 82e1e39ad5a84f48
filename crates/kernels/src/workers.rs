//! [`Workers`]: who runs the parts of a kernel.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs tasks at the same time.
pub trait Workers: Sync {
    /// Calls `task` with each number below `count`, in any order, at the same time or not; returns when all calls have returned.
    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync));
}

/// Runs one task after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serial;

/// Starts threads for each kernel: for tests, and where no pool is at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Threads;

impl Workers for Serial {
    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        for index in 0..count {
            task(index);
        }
    }
}

impl Workers for Threads {
    fn run(&self, count: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for index in 1..count {
                scope.spawn(move || task(index));
            }
            if count > 0 {
                task(0);
            }
        });
    }
}

/// Lets up to `threads` workers take `items` one by one, each as soon as it is free.
pub(crate) fn share(workers: &dyn Workers, threads: usize, items: usize, task: &(dyn Fn(usize, usize) + Sync)) {
    let next = AtomicUsize::new(0);
    workers.run(threads.min(items), &|thread| {
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= items {
                break;
            }
            task(thread, item);
        }
    });
}
