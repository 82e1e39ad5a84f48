//! An open file. It is read at explicit positions, so that a file that becomes shorter is an error; it is mapped into memory
//! only to lend bytes. This is the only module of the crate with unsafe code.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use memmap2::Mmap;

use crate::cursor::is_inside;
use crate::error::ErrorKind;

/// Bytes per read.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;

/// A regular file.
#[derive(Debug)]
pub(crate) struct File {
    file: std::fs::File,
    length: u64,
    map: OnceLock<Mmap>,
}

impl File {
    /// Opens `path`, which must be a regular file: a pipe or a device could block or never end.
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

    /// The length of the file in bytes when it was opened.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Fills `target` with the bytes from `position`.
    pub(crate) fn read_at(&self, position: u64, target: &mut [u8]) -> Result<(), ErrorKind> {
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

    /// The `length` bytes from `start`, or `None` if the file does not have them.
    pub(crate) fn bytes(&self, start: u64, length: u64) -> Result<Option<Vec<u8>>, ErrorKind> {
        if !is_inside(start, length, self.length) {
            return Ok(None);
        }
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        let mut bytes = vec![0; length];
        self.read_at(start, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// The first bytes of the file, at most `limit`.
    pub(crate) fn head(&self, limit: u64) -> Result<Vec<u8>, ErrorKind> {
        Ok(self.bytes(0, limit.min(self.length))?.unwrap_or_default())
    }

    /// Passes the bytes from `start` to `each` in blocks of [`BLOCK_BYTES`]; the last block may be shorter.
    pub(crate) fn for_each_block(&self, start: u64, length: u64, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let mut block = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(BLOCK_BYTES)];
        let (mut position, mut rest) = (start, length);
        while rest > 0 {
            let count = rest.min(BLOCK_BYTES as u64);
            let part = block.get_mut(..count as usize).unwrap_or_default();
            self.read_at(position, part)?;
            each(part);
            position += count;
            rest -= count;
        }
        Ok(())
    }

    /// The file, mapped into memory on first use. It may be shorter than it was when it was opened.
    pub(crate) fn mapped(&self) -> Result<&[u8], ErrorKind> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        // SAFETY: the map is private and read-only. If another process changes the file, these bytes may change, and if it
        // truncates the file, touching them ends this process with SIGBUS. No reader of mapped files can prevent that; it is
        // documented where the bytes are lent. Memory stays sound in either case: every bit pattern is a valid byte, and
        // nothing about the structure of the file (sizes, offsets, text) is read from the map.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&self.file)? };
        Ok(self.map.get_or_init(|| map))
    }
}
