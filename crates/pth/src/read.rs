//! Tensors copied into memory of the caller.

use std::sync::Mutex;
use std::thread;

use crate::error::{Error, ErrorKind};
use crate::raw::RawTensor;

/// Bytes in all from which [`read_all`] uses several threads.
const MIN_BYTES_FOR_THREADS: u64 = 8 << 20;

impl RawTensor<'_> {
    /// Copies the elements into `target`, in the form of [`bytes`](Self::bytes). Elements that lie in the file in that
    /// form are read into place, in one copy.
    ///
    /// # Errors
    /// `target` has not exactly [`byte_count`](Self::byte_count) bytes, or as [`bytes`](Self::bytes); what `target` holds
    /// then is not specified.
    pub fn read_into(&self, target: &mut [u8]) -> Result<(), Error> {
        self.fill(target).map_err(|kind| self.error(kind))
    }

    pub(crate) fn fill(&self, target: &mut [u8]) -> Result<(), ErrorKind> {
        let (wanted, found) = (self.byte_count(), target.len());
        if wanted != found as u64 {
            return Err(ErrorKind::Target { key: self.key().to_owned(), wanted, found });
        }
        if self.read_part(0, target)? {
            return Ok(());
        }
        let mut rest = &mut *target;
        self.read_chunks(|chunk| {
            // No more comes than `byte_count` says.
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(chunk.len());
            part.copy_from_slice(chunk);
            rest = behind;
        })
    }
}

/// Copies each tensor into the memory next to it, as [`RawTensor::read_into`] does, with as many threads as there are
/// processors where that is worth it.
///
/// # Errors
/// As [`RawTensor::read_into`]: of the tensors that fail, the error of one. Then others may not have been copied.
pub fn read_all(tensors: Vec<(RawTensor<'_>, &mut [u8])>) -> Result<(), Error> {
    let bytes = tensors.iter().map(|(raw, _)| raw.byte_count()).fold(0, u64::saturating_add);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let threads = if bytes < MIN_BYTES_FOR_THREADS { 1 } else { processors.min(tensors.len()) };
    let queue = Mutex::new(tensors.into_iter());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    let work = || std::iter::from_fn(next).try_for_each(|(raw, target)| raw.read_into(target));
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let joined =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.fold(own, Result::and)
    })
}
