//! A file mapped into memory, read only: the one place of this crate with unsafe code.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;

use crate::error::ErrorKind;

/// Bytes of a file that are read before their pages are given back.
pub(crate) const RELEASE_BYTES: usize = 16 << 20;

/// The bytes of a regular file.
#[derive(Debug)]
pub(crate) struct Map {
    file: File,
    bytes: Mmap,
}

impl Map {
    /// Maps `path`, which has to be a regular file: a pipe or a device could block or never end.
    pub(crate) fn open(path: &Path) -> Result<Self, ErrorKind> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(ErrorKind::NotRegularFile);
        }
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(ErrorKind::NotRegularFile);
        }
        // SAFETY: the map is private and only read. Another process that changes the file meanwhile can change these
        // bytes, and one that cuts it ends this process with SIGBUS, which no reader of mapped files can prevent.
        // Memory stays sound all the same: bytes have no invalid values, and what was checked once about the
        // structure (sizes, offsets, text) is held in own memory and is bounds-checked again at each use.
        #[allow(unsafe_code)]
        let bytes = unsafe { Mmap::map(&file)? };
        Ok(Self { file, bytes })
    }

    /// Reads bytes from `position` of the file without mapping its pages, which costs neither their memory nor the time
    /// to map them.
    pub(crate) fn read_at(&self, position: u64, target: &mut [u8]) -> Result<(), ErrorKind> {
        #[cfg(target_os = "linux")]
        populate(target);
        #[cfg(unix)]
        return Ok(std::os::unix::fs::FileExt::read_exact_at(&self.file, target, position)?);
        #[cfg(not(unix))]
        {
            let bytes = crate::bytes::part(&self.bytes, position, target.len() as u64);
            let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            target.copy_from_slice(bytes.ok_or_else(ended)?);
            Ok(())
        }
    }

    /// Tells the system that the pages of `range` are not needed for now, so that hashing a large file does not keep
    /// all of it in memory. They are read again from the file when they are touched again.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if range.start < range.end && range.end <= self.bytes.len() {
            // SAFETY: the map is a private, read-only view of a file and is never written to, so that dropping its
            // pages loses nothing; the range was just checked to lie within the map.
            #[allow(unsafe_code)]
            let result = unsafe {
                self.bytes.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    range.start,
                    range.end - range.start,
                )
            };
            // It is a hint: where it is not taken, nothing is lost.
            let _ = result;
        }
    }

    /// As [`release`](Self::release), for a part of the mapped bytes that was read once, if it is so long that it matters.
    pub(crate) fn release_part(&self, part: &[u8]) {
        if part.len() < RELEASE_BYTES {
            return;
        }
        if let Some(start) = part.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr()) {
            self.release(start..start.saturating_add(part.len()));
        }
    }
}

/// Has the system provide the pages of `target` in one go, where it has not yet. Without it they are provided one by one
/// while they are written to, which takes longer.
#[cfg(target_os = "linux")]
fn populate(target: &mut [u8]) {
    // SAFETY: this function only tells a number.
    #[allow(unsafe_code)]
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Ok(page @ 1..) = usize::try_from(page) else { return };
    let (start, end) = (target.as_mut_ptr().addr(), target.as_mut_ptr_range().end.addr());
    let (first, end) = (start.next_multiple_of(page), end / page * page);
    if first < end {
        // SAFETY: the pages from `first` to `end` belong to `target` alone, which may be written to, and what is in them
        // stays as it is. It is a hint: where it is not taken, nothing is lost.
        #[allow(unsafe_code)]
        let _ = unsafe {
            let pages = target.as_mut_ptr().add(first - start);
            libc::madvise(pages.cast(), end - first, libc::MADV_POPULATE_WRITE)
        };
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
