//! [`Input`]: the bytes of a pickle, in memory or read from the file block by block.

use std::borrow::Cow;

use crate::cursor::Ended;
use crate::file::File;
use crate::limits::MAX_PICKLE_BYTES;
use crate::unpickler::fault::Fault;

/// Bytes per read.
const WINDOW_BYTES: u64 = 128 << 10;
/// Bytes in which the end of a line is searched first.
const LINE_BYTES: u64 = 256;

/// A position in a pickle that advances with each read.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    file: Option<&'a File>,
    /// The part of the pickle that is in memory.
    window: Cow<'a, [u8]>,
    /// The index of the next byte in the window.
    at: usize,
    /// The start of the pickle in the file.
    start: u64,
    /// The number of bytes read or skipped.
    position: u64,
    /// The number of bytes that follow.
    rest: u64,
    /// The number of bytes that may still be read.
    allowed: u64,
}

impl<'a> Input<'a> {
    pub(crate) fn from_memory(bytes: &'a [u8]) -> Self {
        let (window, rest) = (Cow::Borrowed(bytes), bytes.len() as u64);
        Self { file: None, window, at: 0, start: 0, position: 0, rest, allowed: MAX_PICKLE_BYTES as u64 }
    }

    /// A pickle that starts at `start` of `file` and is at most `length` bytes long.
    pub(crate) fn from_file(file: &'a File, start: u64, length: u64) -> Self {
        let rest = file.length().saturating_sub(start).min(length);
        let (window, allowed) = (Cow::Borrowed(&[][..]), MAX_PICKLE_BYTES as u64);
        Self { file: Some(file), window, at: 0, start, position: 0, rest, allowed }
    }

    /// The number of bytes read or skipped.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The position of the next byte in the file.
    pub(super) fn file_position(&self) -> u64 {
        self.start + self.position
    }

    /// The number of bytes that follow and may be read.
    pub(crate) fn remaining(&self) -> u64 {
        self.rest.min(self.allowed)
    }

    /// Returns an error if fewer than `count` bytes follow.
    pub(super) fn check(&self, count: u64) -> Result<(), Ended> {
        if count <= self.remaining() { Ok(()) } else { Err(Ended) }
    }

    /// Ensures that the next `count` bytes are in the window.
    fn fill(&mut self, count: u64) -> Result<(), Fault> {
        self.check(count)?;
        let kept = self.window.get(self.at..).unwrap_or_default();
        if kept.len() as u64 >= count {
            return Ok(());
        }
        let Some(file) = self.file else { return Err(Ended.into()) };
        // The length fits usize, because `count` is limited.
        let length = count.max(WINDOW_BYTES).min(self.rest) as usize;
        let mut window = Vec::with_capacity(length);
        window.extend_from_slice(kept);
        let kept = window.len();
        window.resize(length, 0);
        file.read_at(self.file_position() + kept as u64, window.get_mut(kept..).unwrap_or_default())?;
        (self.window, self.at) = (Cow::Owned(window), 0);
        Ok(())
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        self.fill(count as u64)?;
        let start = self.at;
        self.advance(count as u64);
        self.allowed -= count as u64;
        Ok(self.window.get(start..start + count).ok_or(Ended)?)
    }

    /// Skips bytes of the file without reading them.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Fault> {
        if count > self.rest {
            return Err(Ended.into());
        }
        self.advance(count);
        Ok(())
    }

    fn advance(&mut self, count: u64) {
        self.at = self.at.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        self.position += count;
        self.rest -= count;
    }

    /// The bytes up to the next line feed, which is consumed, too. Reads at most `limit` bytes.
    pub(super) fn line(&mut self, limit: usize) -> Result<&[u8], Fault> {
        let most = self.remaining().min(limit as u64);
        let mut searched = LINE_BYTES.min(most);
        let length = loop {
            self.fill(searched)?;
            let bytes = self.window.get(self.at..).unwrap_or_default();
            if let Some(length) = bytes.iter().take(searched as usize).position(|&byte| byte == b'\n') {
                break length;
            }
            if searched == most {
                return Err(Ended.into());
            }
            searched = (searched * 8).min(most);
        };
        let line = self.take(length + 1)?;
        Ok(line.get(..length).unwrap_or_default())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(self.take(N)?.try_into().map_err(|_| Ended)?)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}
