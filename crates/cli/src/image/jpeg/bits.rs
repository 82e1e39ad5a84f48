//! The bits of a scan, up to the next marker.

use crate::picture::damage::{Damage, Result};

/// Padding that is passed by between the last code of a scan and the next marker, in bytes: some cameras fill up.
const MOST_PADDING: usize = 16;

/// The bits of a scan.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The bits that were read and not used, the next one highest.
    buffer: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, buffer: 0, count: 0 }
    }

    /// The next byte of the scan; `None` where a marker or the end of the file follows.
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        if byte != 0xff {
            self.at += 1;
            return Some(byte);
        }
        // `0xff` is data where a zero follows it, or more of its kind and then a zero.
        let mut next = self.at + 1;
        while self.bytes.get(next) == Some(&0xff) {
            next += 1;
        }
        if self.bytes.get(next) != Some(&0) {
            return None;
        }
        self.at = next + 1;
        Some(byte)
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(byte) = self.byte() else { return };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits, filled up with zeros where there are fewer.
    pub(super) fn peek(&mut self) -> u16 {
        if self.count < 16 {
            self.fill();
        }
        (self.buffer >> 48) as u16
    }

    /// Passes by bits, 16 at most.
    pub(super) fn skip(&mut self, count: u32) -> Result<()> {
        if self.count < count {
            self.fill();
            if self.count < count {
                let cut = self.bytes.len() <= self.at + 1;
                return Err(if cut { Damage::Cut } else { Damage::Pixels("too few data") });
            }
        }
        self.buffer <<= count;
        self.count -= count;
        Ok(())
    }

    /// Bits as a number, 16 at most.
    pub(super) fn take(&mut self, count: u32) -> Result<u32> {
        let bits = u32::from(self.peek());
        self.skip(count)?;
        Ok(bits >> (16 - count))
    }

    /// Goes over the restart marker with this number, which has to follow.
    pub(super) fn restart(&mut self, number: u8) -> Result<()> {
        self.fill();
        if self.count >= 8 {
            return Err(Damage::Pixels("too many data before a restart marker"));
        }
        (self.buffer, self.count) = (0, 0);
        while self.bytes.get(self.at + 1) == Some(&0xff) {
            self.at += 1;
        }
        match self.bytes.get(self.at..self.at + 2) {
            Some([0xff, marker]) if *marker == 0xd0 + number => {
                self.at += 2;
                Ok(())
            }
            Some(_) => Err(Damage::Pixels("a restart marker is missing")),
            None => Err(Damage::Cut),
        }
    }

    /// The place of the marker after the scan.
    pub(super) fn end(mut self) -> Result<usize> {
        self.buffer <<= self.count % 8;
        self.count -= self.count % 8;
        for _ in 0..=MOST_PADDING {
            self.fill();
            if self.count == 0 {
                return Ok(self.at);
            }
            if self.buffer >> 56 != 0 && self.buffer >> 56 != 0xff {
                break;
            }
            self.skip(8)?;
        }
        Err(Damage::Pixels("too many data"))
    }
}
