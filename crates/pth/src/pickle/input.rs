//! The bytes of a pickle: in memory, or read from the file little by little.

use std::borrow::Cow;

use crate::bytes::Ended;
use crate::file::File;
use crate::limits::MAX_PICKLE_BYTES;
use crate::pickle::Fault;

/// Bytes that are read at once.
const WINDOW_BYTES: u64 = 128 << 10;
/// Bytes of a line that are looked at first.
const LINE_BYTES: u64 = 256;

/// A position in a pickle that moves forward as it is read.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    file: Option<&'a File>,
    /// Bytes that are in memory.
    window: Cow<'a, [u8]>,
    /// The next one of them.
    at: usize,
    /// Where in the file the pickle starts.
    start: u64,
    /// Bytes that were read or skipped.
    position: u64,
    /// Bytes that follow.
    rest: u64,
    /// Bytes that may still be read.
    allowed: u64,
}

impl<'a> Input<'a> {
    pub(crate) fn of_memory(bytes: &'a [u8]) -> Self {
        let (window, rest) = (Cow::Borrowed(bytes), bytes.len() as u64);
        Self { file: None, window, at: 0, start: 0, position: 0, rest, allowed: MAX_PICKLE_BYTES as u64 }
    }

    /// A pickle that starts at `start` of `file` and is at most `length` bytes long.
    pub(crate) fn of_file(file: &'a File, start: u64, length: u64) -> Self {
        let rest = file.length().saturating_sub(start).min(length);
        let (window, allowed) = (Cow::Borrowed(&[][..]), MAX_PICKLE_BYTES as u64);
        Self { file: Some(file), window, at: 0, start, position: 0, rest, allowed }
    }

    /// Bytes that were read or skipped.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Where in the file the next byte is.
    pub(super) fn place(&self) -> u64 {
        self.start + self.position
    }

    /// Bytes that follow.
    pub(crate) fn remaining(&self) -> u64 {
        self.rest.min(self.allowed)
    }

    /// An error where fewer than `count` bytes follow.
    pub(super) fn check(&self, count: u64) -> Result<(), Ended> {
        if count <= self.remaining() { Ok(()) } else { Err(Ended) }
    }

    /// Has `count` bytes in memory.
    fn fill(&mut self, count: u64) -> Result<(), Fault> {
        self.check(count)?;
        let kept = self.window.get(self.at..).unwrap_or_default();
        if kept.len() as u64 >= count {
            return Ok(());
        }
        let file = self.file.ok_or(Ended)?;
        let wanted = usize::try_from(count.max(WINDOW_BYTES).min(self.rest)).map_err(|_| Ended)?;
        let mut window = Vec::with_capacity(wanted);
        window.extend_from_slice(kept);
        let have = window.len();
        window.resize(wanted, 0);
        let place = self.start + self.position + have as u64;
        file.read_again(place, window.get_mut(have..).unwrap_or_default())?;
        (self.window, self.at) = (Cow::Owned(window), 0);
        Ok(())
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        self.fill(count as u64)?;
        let start = self.at;
        self.moved(count as u64);
        self.allowed -= count as u64;
        Ok(self.window.get(start..start + count).ok_or(Ended)?)
    }

    /// Leaves out bytes of a file, which are not read.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Fault> {
        if count > self.rest {
            return Err(Ended.into());
        }
        self.moved(count);
        Ok(())
    }

    fn moved(&mut self, count: u64) {
        self.at = usize::try_from(count).map_or(usize::MAX, |count| self.at.saturating_add(count));
        self.position += count;
        self.rest -= count;
    }

    /// The bytes up to the next line feed, which is read too; at most `limit` bytes.
    pub(super) fn line(&mut self, limit: usize) -> Result<&[u8], Fault> {
        let most = self.remaining().min(limit as u64);
        let mut wanted = LINE_BYTES.min(most);
        let length = loop {
            self.fill(wanted)?;
            let bytes = self.window.get(self.at..).unwrap_or_default();
            if let Some(length) = bytes.iter().take(wanted as usize).position(|&byte| byte == b'\n') {
                break length;
            }
            if wanted == most {
                return Err(Ended.into());
            }
            wanted = (wanted * 8).min(most);
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
