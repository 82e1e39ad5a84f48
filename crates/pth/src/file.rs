//! An open file. It is read at positions, so that one that becomes shorter meanwhile is an error; it is mapped into memory
//! only where bytes of it are lent. The one place of this crate with unsafe code.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use memmap2::Mmap;

use crate::error::ErrorKind;

/// Bytes that are read at once.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// A regular file.
#[derive(Debug)]
pub(crate) struct File {
    file: std::fs::File,
    length: u64,
    map: OnceLock<Mmap>,
}

impl File {
    /// Opens `path`, which has to be a regular file: a pipe or a device could block or never end.
    pub(crate) fn open(path: &Path) -> Result<Self, ErrorKind> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(ErrorKind::NotRegularFile);
        }
        let file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(ErrorKind::NotRegularFile);
        }
        Ok(Self { file, length: metadata.len(), map: OnceLock::new() })
    }

    /// Bytes that the file had when it was opened.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Reads bytes from `position` into memory that was not used yet.
    pub(crate) fn read_at(&self, position: u64, target: &mut [u8]) -> Result<(), ErrorKind> {
        #[cfg(target_os = "linux")]
        populate(target);
        self.read_again(position, target)
    }

    /// Reads bytes from `position` into memory that is used again and again.
    pub(crate) fn read_again(&self, position: u64, target: &mut [u8]) -> Result<(), ErrorKind> {
        self.read_exact(position, target).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ErrorKind::Shortened,
            _ => ErrorKind::Io(error),
        })
    }

    #[cfg(unix)]
    fn read_exact(&self, position: u64, target: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, target, position)
    }

    #[cfg(windows)]
    fn read_exact(&self, mut position: u64, mut target: &mut [u8]) -> io::Result<()> {
        while !target.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_read(&self.file, target, position)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            position += count as u64;
            target = target.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// The `length` bytes from `start`; `None` where the file does not have them.
    pub(crate) fn bytes(&self, start: u64, length: u64) -> Result<Option<Vec<u8>>, ErrorKind> {
        let inside = start.checked_add(length).is_some_and(|end| end <= self.length);
        let Some(length) = usize::try_from(length).ok().filter(|_| inside) else { return Ok(None) };
        let mut bytes = vec![0; length];
        self.read_at(start, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// The first bytes of the file, at most `limit`.
    pub(crate) fn head(&self, limit: u64) -> Result<Vec<u8>, ErrorKind> {
        Ok(self.bytes(0, limit.min(self.length))?.unwrap_or_default())
    }

    /// Hands the bytes from `start` on in blocks, all but the last of them [`BLOCK_BYTES`] long.
    pub(crate) fn for_each_block(&self, start: u64, length: u64, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let mut block = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(BLOCK_BYTES)];
        let (mut position, mut rest) = (start, length);
        while rest > 0 {
            let count = rest.min(BLOCK_BYTES as u64);
            let part = block.get_mut(..count as usize).unwrap_or_default();
            self.read_again(position, part)?;
            each(part);
            (position, rest) = (position + count, rest - count);
        }
        Ok(())
    }

    /// The file, mapped into memory the first time; it may be shorter than it was when it was opened.
    pub(crate) fn mapped(&self) -> Result<&[u8], ErrorKind> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        // SAFETY: the map is private and only read. Another process that changes the file meanwhile can change these
        // bytes, and one that cuts it ends this process with SIGBUS when they are touched, which no reader of mapped
        // files can prevent, and which is said where such bytes are lent. Memory stays sound all the same: bytes have no
        // invalid values, and nothing about the structure (sizes, offsets, text) is read from the map.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&self.file)? };
        Ok(self.map.get_or_init(|| map))
    }

    /// Tells the system that the mapped pages of `range` are not needed for now, so that going through a large file does
    /// not keep all of it in memory. They are read again from the file when they are touched again.
    pub(crate) fn release(&self, range: Range<u64>) {
        #[cfg(unix)]
        if let Some(map) = self.map.get()
            && let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end))
            && start < end
            && end <= map.len()
        {
            // SAFETY: the map is a private, read-only view of a file and is never written to, so that dropping its
            // pages loses nothing; the range was just checked to lie within the map.
            #[allow(unsafe_code)]
            let result = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
            // It is a hint: where it is not taken, nothing is lost.
            let _ = result;
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
