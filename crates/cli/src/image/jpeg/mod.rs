//! Whether a JPEG is whole. The decoder makes grey pixels of what is missing, and random ones of what is damaged, so that
//! the compressed data are walked through before: markers up to the end of the image, and all codes of all scans.

mod bits;
mod huffman;
mod scan;

use self::huffman::Table;
use self::scan::{Component, Frame, Scan, Tables};
use super::damage::{Damage, Result};
use super::exif;

/// No file needs more scans; each may cost the time of all pixels.
const MOST_SCANS: usize = 500;

/// Checks a JPEG up to the end of the image, and returns its EXIF metadata. What follows the end does not matter.
///
/// Coding processes that the decoder does not know are left to it to refuse.
pub(super) fn check(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let mut walk = Walk { bytes, at: 2, tables: Tables::default(), frame: None, exif: None, scans: 0 };
    while walk.segment()? {}
    Ok(walk.exif)
}

/// The way through a file.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    tables: Tables,
    frame: Option<Frame>,
    exif: Option<&'a [u8]>,
    scans: usize,
}

impl<'a> Walk<'a> {
    /// Goes over a marker and what belongs to it; tells whether more may follow.
    fn segment(&mut self) -> Result<bool> {
        let marker = self.marker()?;
        match marker {
            // The end, and coding processes that are not checked: lossless, hierarchical, arithmetic.
            0xd9 => {
                return self.frame.as_ref().map_or(Err(Damage::Missing("a frame")), Frame::is_complete).map(|()| false);
            }
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
            0xe1 if segment.starts_with(exif::LEAD) => self.exif = self.exif.or(Some(segment)),
            _ => {}
        }
        Ok(true)
    }

    /// The next marker; any number of `0xff` may stand before it.
    fn marker(&mut self) -> Result<u8> {
        if *self.bytes.get(self.at).ok_or(Damage::Cut)? != 0xff {
            return Err(Damage::Header("no marker where one has to be"));
        }
        loop {
            self.at += 1;
            match *self.bytes.get(self.at).ok_or(Damage::Cut)? {
                0xff => {}
                0 => return Err(Damage::Header("no marker where one has to be")),
                marker => {
                    self.at += 1;
                    return Ok(marker);
                }
            }
        }
    }

    /// What belongs to a marker, without the two bytes of its length.
    fn payload(&mut self) -> Result<&'a [u8]> {
        let length = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or(Damage::Cut)?;
        let end = self.at + usize::from(u16::from_be_bytes(*length));
        let start = self.at + 2;
        if end < start {
            return Err(Damage::Header("length of a segment"));
        }
        self.at = end;
        self.bytes.get(start..end).ok_or(Damage::Cut)
    }

    fn scan(&mut self, header: &[u8]) -> Result<()> {
        self.scans += 1;
        if self.scans > MOST_SCANS {
            return Err(Damage::Header("too many scans"));
        }
        let frame = self.frame.as_mut().ok_or(Damage::Header("a scan before the frame"))?;
        let scan = Scan::read(header, frame)?;
        self.at = scan.check(frame, &self.tables, self.bytes, self.at)?;
        Ok(())
    }
}

impl Tables {
    /// Reads a segment with Huffman tables.
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
    /// Reads the header of a frame; `None` where it is of a kind that is not checked.
    fn read(segment: &[u8], progressive: bool) -> Result<Option<Self>> {
        let fail = || Damage::Header("frame");
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = segment else { return Err(fail()) };
        let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
        if precision != 8 || height == 0 || width == 0 {
            return Ok(None);
        }
        let mut components = Vec::new();
        for part in rest.chunks_exact(3).take(usize::from(count)) {
            let &[id, sampling, _] = part else { return Err(fail()) };
            let (across, down) = (sampling >> 4, sampling & 15);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(fail());
            }
            components.push(Component::new(id, across, down));
        }
        if components.len() != usize::from(count) || !(1..=4).contains(&count) {
            return Err(fail());
        }
        Ok(Some(Self::new(width, height, components, progressive)))
    }
}
