//! Checks that a JPEG is complete. The decoder fills missing data with gray pixels and corrupt data with random ones, so all
//! markers and all codes of all scans are read beforehand.

mod bits;
mod huffman;
mod scan;

use self::huffman::Table;
use self::scan::{Component, Frame, Scan, Tables};
use super::damage::{Damage, Result};
use super::exif;

/// The maximum number of scans. Each may take as long as decoding all pixels, and no real file has more.
const MAX_SCANS: usize = 500;

/// Checks a JPEG up to the end of the image and returns its EXIF metadata. Data after the end is ignored.
///
/// Coding processes that the decoder does not support are not checked: the decoder refuses them.
pub(super) fn check(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let mut walk = Walk { bytes, position: 2, tables: Tables::default(), frame: None, exif: None, scans: 0 };
    while walk.segment()? {}
    Ok(walk.exif)
}

/// The state of reading a file.
struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
    tables: Tables,
    frame: Option<Frame>,
    exif: Option<&'a [u8]>,
    scans: usize,
}

impl<'a> Walk<'a> {
    /// Reads a marker and its segment; returns whether more may follow.
    fn segment(&mut self) -> Result<bool> {
        let marker = self.marker()?;
        match marker {
            0xd9 => {
                let frame = self.frame.as_ref().ok_or(Damage::Missing("the frame is"))?;
                frame.check_complete()?;
                return Ok(false);
            }
            // Coding processes that are not checked: lossless, hierarchical, arithmetic.
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Ok(false),
            0x01 | 0xd0..=0xd8 => return Ok(true),
            _ => {}
        }
        let segment = self.payload()?;
        match marker {
            0xc0..=0xc2 => {
                if self.frame.is_some() {
                    return Err(Damage::Header("two frames"));
                }
                let Some(frame) = Frame::read(segment, marker == 0xc2)? else { return Ok(false) };
                self.frame = Some(frame);
            }
            0xc4 => self.tables.read(segment)?,
            0xdd => {
                let interval = segment.first_chunk().ok_or(Damage::Header("restart interval"))?;
                self.tables.restart_interval = u16::from_be_bytes(*interval);
            }
            0xda => self.scan(segment)?,
            0xe1 if segment.starts_with(exif::PREFIX) && self.exif.is_none() => self.exif = Some(segment),
            _ => {}
        }
        Ok(true)
    }

    /// The next marker, which any number of `0xff` may precede.
    fn marker(&mut self) -> Result<u8> {
        if *self.bytes.get(self.position).ok_or(Damage::Truncated)? != 0xff {
            return Err(Damage::Header("a marker is missing"));
        }
        loop {
            self.position += 1;
            match *self.bytes.get(self.position).ok_or(Damage::Truncated)? {
                0xff => {}
                0 => return Err(Damage::Header("a marker is missing")),
                marker => {
                    self.position += 1;
                    return Ok(marker);
                }
            }
        }
    }

    /// The segment of a marker, without the two bytes of its length.
    fn payload(&mut self) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest.first_chunk().ok_or(Damage::Truncated)?;
        let end = self.position + usize::from(u16::from_be_bytes(*length));
        let start = self.position + 2;
        if end < start {
            return Err(Damage::Header("length of a segment"));
        }
        self.position = end;
        self.bytes.get(start..end).ok_or(Damage::Truncated)
    }

    fn scan(&mut self, header: &[u8]) -> Result<()> {
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(Damage::Header("too many scans"));
        }
        let frame = self.frame.as_mut().ok_or(Damage::Header("a scan before the frame"))?;
        let scan = Scan::read(header, frame)?;
        self.position = scan.check(frame, &self.tables, self.bytes, self.position)?;
        Ok(())
    }
}

impl Tables {
    /// Reads a segment of Huffman tables.
    fn read(&mut self, mut segment: &[u8]) -> Result<()> {
        while let Some((&kind, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(Damage::Header("Huffman table"))?;
            let length = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, rest) = rest.split_at_checked(length).ok_or(Damage::Header("Huffman table"))?;
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(Damage::Header("Huffman table")),
            };
            let slot = tables.get_mut(usize::from(kind & 15)).ok_or(Damage::Header("Huffman table"))?;
            *slot = Some(Table::new(counts, symbols)?);
            segment = rest;
        }
        Ok(())
    }
}

impl Frame {
    /// Reads the header of a frame; `None` if it is of a kind that is not checked.
    fn read(segment: &[u8], progressive: bool) -> Result<Option<Self>> {
        const MALFORMED: Damage = Damage::Header("frame");
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = segment else { return Err(MALFORMED) };
        let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
        if precision != 8 || height == 0 || width == 0 {
            return Ok(None);
        }
        let mut components = Vec::new();
        for part in rest.chunks_exact(3).take(usize::from(count)) {
            let &[id, sampling, _] = part else { return Err(MALFORMED) };
            let (across, down) = (sampling >> 4, sampling & 15);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(MALFORMED);
            }
            components.push(Component::new(id, across, down));
        }
        if components.len() != usize::from(count) || !(1..=4).contains(&count) {
            return Err(MALFORMED);
        }
        Ok(Some(Self::new(width, height, components, progressive)))
    }
}
