//! The bits of a scan, up to the next marker.

use crate::image::damage::{Damage, Result};

/// The maximum padding, in bytes, between the last code of a scan and the next marker, which some cameras write.
const MAX_PADDING: usize = 16;

/// The bits of a scan.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Bits that were read but not consumed, the next one highest.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position, buffer: 0, count: 0 }
    }

    /// The next byte of the scan; `None` at a marker or at the end of the file.
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        if byte != 0xff {
            self.position += 1;
            return Some(byte);
        }
        // `0xff` is data if a zero follows it, possibly after more `0xff`.
        let mut next = self.position + 1;
        while self.bytes.get(next) == Some(&0xff) {
            next += 1;
        }
        if self.bytes.get(next) != Some(&0) {
            return None;
        }
        self.position = next + 1;
        Some(byte)
    }

    fn fill(&mut self) {
        // As many of eight bytes as there is room for, at once, if none of them may begin a marker.
        if let Some(bytes) = self.bytes.get(self.position..)
            && let Some(eight) = bytes.first_chunk::<8>()
            && !eight.contains(&0xff)
        {
            let more = (64 - self.count) / 8;
            self.buffer |= u64::from_be_bytes(*eight).checked_shr(self.count).unwrap_or_default();
            self.count += 8 * more;
            self.buffer &= u64::MAX << (64 - self.count);
            self.position += more as usize;
        }
        while self.count <= 56 {
            let Some(byte) = self.byte() else { return };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits, padded with zeros at the end.
    pub(super) fn peek(&mut self) -> u16 {
        if self.count < 16 {
            self.fill();
        }
        (self.buffer >> 48) as u16
    }

    /// Skips at most 16 bits.
    pub(super) fn skip(&mut self, count: u32) -> Result<()> {
        if self.count < count {
            self.fill();
            if self.count < count {
                let cut = self.bytes.len() <= self.position + 1;
                return Err(if cut { Damage::Truncated } else { Damage::Pixels("too few data") });
            }
        }
        self.buffer <<= count;
        self.count -= count;
        Ok(())
    }

    /// Reads at most 16 bits as a number.
    pub(super) fn take(&mut self, count: u32) -> Result<u32> {
        let bits = u32::from(self.peek());
        self.skip(count)?;
        Ok(bits >> (16 - count))
    }

    /// Skips the restart marker with this number, which must follow.
    pub(super) fn restart(&mut self, number: u8) -> Result<()> {
        self.fill();
        if self.count >= 8 {
            return Err(Damage::Pixels("too many data before a restart marker"));
        }
        (self.buffer, self.count) = (0, 0);
        while self.bytes.get(self.position + 1) == Some(&0xff) {
            self.position += 1;
        }
        match self.bytes.get(self.position..self.position + 2) {
            Some([0xff, marker]) if *marker == 0xd0 + number => {
                self.position += 2;
                Ok(())
            }
            Some(_) => Err(Damage::Pixels("a restart marker is missing")),
            None => Err(Damage::Truncated),
        }
    }

    /// The position of the marker after the scan.
    pub(super) fn end(mut self) -> Result<usize> {
        self.buffer <<= self.count % 8;
        self.count -= self.count % 8;
        for _ in 0..=MAX_PADDING {
            self.fill();
            if self.count == 0 {
                return Ok(self.position);
            }
            if self.buffer >> 56 != 0 && self.buffer >> 56 != 0xff {
                break;
            }
            self.skip(8)?;
        }
        Err(Damage::Pixels("too many data"))
    }
}
