//! [`read_all`]: many tensors copied to memory of the caller by several threads.

use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::Error;
use crate::tensor::RawTensor;

/// The total number of bytes from which several threads are used.
const MIN_BYTES_FOR_THREADS: u64 = 8 << 20;

/// Copies each tensor into the buffer next to it, as [`RawTensor::read_into`] does. Uses all processors if the tensors are
/// large enough.
///
/// # Errors
/// As for [`RawTensor::read_into`]. If several tensors fail, one of the errors is returned. The other buffers may or may not
/// be filled.
pub fn read_all(tensors: Vec<(RawTensor<'_>, &mut [u8])>) -> Result<(), Error> {
    let bytes = tensors.iter().map(|(tensor, _)| tensor.byte_count()).fold(0, u64::saturating_add);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = if bytes < MIN_BYTES_FOR_THREADS { 1 } else { processors.min(tensors.len()) };
    let queue = Mutex::new(tensors);
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for _ in 1..threads {
            workers.push(scope.spawn(|| read_queue(&queue)));
        }
        let mut result = read_queue(&queue);
        for worker in workers {
            match worker.join() {
                Ok(other) => result = result.and(other),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

/// Reads tensors from the end of the queue until it is empty.
fn read_queue(queue: &Mutex<Vec<(RawTensor<'_>, &mut [u8])>>) -> Result<(), Error> {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((tensor, target)) = next else { return Ok(()) };
        tensor.read_into(target)?;
    }
}
