//! Reading one entry: local header, data, inflating, checksum.

use std::ops::Range;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::bytes::Cursor;
use crate::error::ErrorKind;
use crate::file::File;
use crate::limits::{MAX_DEFLATE_RATIO, MIN_UNFOLDED_BYTES};
use crate::zip::directory::{self, Entry};
use crate::zip::{Archive, LOCAL_SIGNATURE};

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Encrypted, patched, strongly encrypted, masked headers.
const UNREADABLE_FLAGS: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;
/// Bytes that are inflated before they are handed on; a multiple of the size of every type.
pub(crate) const CHUNK_BYTES: usize = 1 << 16;
/// Bytes of deflated data that are read at once.
const READ_BYTES: u64 = 256 << 10;
/// Bytes of a local header before the name.
const LOCAL_BYTES: u64 = 30;
/// Bytes of an extra field as torch writes it, and more.
const LIKELY_EXTRA_BYTES: u64 = 128;
/// The sizes stand behind the data, and may be 0 in the local header.
const DESCRIPTOR_FLAG: u16 = 1 << 3;

impl Entry {
    pub(crate) fn is_stored(&self) -> bool {
        self.method == STORED
    }
}

impl Archive {
    /// Checks that an entry can be read: its headers agree, its method is known, its data lies before the central
    /// directory and does not inflate too much. Returns where in the file its data lies.
    pub(crate) fn locate(&self, file: &File, entry: &Entry) -> Result<Range<u64>, ErrorKind> {
        let broken = || entry.error("its local header is broken");
        let header = local_header(file, entry)?;
        let mut cursor = Cursor::new(&header);
        if cursor.array() != Ok(LOCAL_SIGNATURE) {
            return Err(broken());
        }
        let _version = cursor.u16().map_err(|_| broken())?;
        let flags = cursor.u16().map_err(|_| broken())?;
        let method = cursor.u16().map_err(|_| broken())?;
        let _time_and_crc = cursor.take(8).map_err(|_| broken())?;
        let compressed = cursor.u32().map_err(|_| broken())?;
        let size = cursor.u32().map_err(|_| broken())?;
        let name_length = cursor.u16().map_err(|_| broken())?;
        let extra_length = cursor.u16().map_err(|_| broken())?;
        let name = cursor.take(name_length.into()).map_err(|_| broken())?;
        let extra = cursor.take(extra_length.into()).map_err(|_| broken())?;
        if name != &*entry.name || method != entry.method {
            return Err(entry.error("its local header has another name or method"));
        }
        if (flags | entry.flags) & UNREADABLE_FLAGS != 0 {
            return Err(entry.error("it is encrypted or patched"));
        }
        let sizes = directory::wide([size.into(), compressed.into()], extra).ok_or_else(broken)?;
        let may_be_zero = flags & DESCRIPTOR_FLAG != 0;
        let agree = |local: u64, central: u64| local == central || (may_be_zero && local == 0);
        if !agree(sizes[0], entry.size) || !agree(sizes[1], entry.compressed) {
            return Err(entry.error("its local header has other sizes"));
        }
        match entry.method {
            STORED if entry.size == entry.compressed => {}
            STORED => return Err(entry.error("it is stored, with two sizes")),
            DEFLATED => self.check_ratio(entry)?,
            _ => return Err(entry.error("its compression is neither stored nor deflate")),
        }
        let start = entry.header + cursor.position() as u64;
        let end = start.checked_add(entry.compressed);
        end.filter(|&end| end <= self.directory_start)
            .map(|end| start..end)
            .ok_or_else(|| entry.error("its data does not lie before the central directory"))
    }

    fn check_ratio(&self, entry: &Entry) -> Result<(), ErrorKind> {
        if entry.size > MIN_UNFOLDED_BYTES && entry.size > entry.compressed.saturating_mul(MAX_DEFLATE_RATIO) {
            let what = "bytes that a zip entry inflates to";
            return Err(ErrorKind::Limit { what, found: entry.size, limit: MIN_UNFOLDED_BYTES });
        }
        Ok(())
    }
}

/// The local header of an entry with its name and extra field, as much of it as the file has.
fn local_header(file: &File, entry: &Entry) -> Result<Vec<u8>, ErrorKind> {
    let available = file.length().saturating_sub(entry.header);
    let likely = available.min(LOCAL_BYTES + entry.name.len() as u64 + LIKELY_EXTRA_BYTES);
    let header = file.bytes(entry.header, likely)?.unwrap_or_default();
    let length = |at: usize| {
        header.get(at..at + 2).map_or(0, |bytes| bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    let wanted = available.min(LOCAL_BYTES + length(26) + length(28));
    if wanted <= likely { Ok(header) } else { Ok(file.bytes(entry.header, wanted)?.unwrap_or_default()) }
}

impl Entry {
    /// Checks the checksum of the entry's content, which starts at a byte of the file; a recorded checksum of 0 stands for
    /// none.
    pub(crate) fn check_crc_of_file(&self, file: &File, start: u64) -> Result<(), ErrorKind> {
        if self.crc == 0 {
            return Ok(());
        }
        let mut crc = Crc::new();
        file.for_each_block(start, self.compressed, |block| crc.update(block))?;
        self.check_sum(&crc)
    }

    /// The same for parts that have to be read in any case, one after the other.
    pub(crate) fn check_crc_while<'a>(
        &self,
        parts: impl Iterator<Item = Result<&'a [u8], ErrorKind>>,
    ) -> Result<(), ErrorKind> {
        let mut crc = Crc::new();
        for part in parts {
            let part = part?;
            if self.crc != 0 {
                crc.update(part);
            }
        }
        self.check_sum(&crc)
    }

    /// The content of a deflated entry whose data starts at a byte of the file; it has to be exactly as long as declared.
    pub(crate) fn inflate(&self, file: &File, start: u64) -> Result<Vec<u8>, ErrorKind> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        // Memory grows with what is really there, not with what is declared.
        let mut content =
            Vec::with_capacity(size.min(usize::try_from(self.compressed.saturating_mul(8)).unwrap_or(size)));
        self.inflate_chunks(file, start, |chunk| {
            if content.capacity() - content.len() < chunk.len() {
                content.reserve_exact((size - content.len()).min(content.len().max(chunk.len())));
            }
            content.extend_from_slice(chunk);
        })?;
        Ok(content)
    }

    /// Hands the content of a deflated entry on in chunks, all but the last of them [`CHUNK_BYTES`] long. Never more
    /// comes than was declared. That it is complete and its checksum right is known at the end only.
    pub(crate) fn inflate_chunks(&self, file: &File, start: u64, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let broken = || self.error("its compressed data is broken");
        let (mut crc, mut inflater) = (Crc::new(), Decompress::new(false));
        let (mut chunk, mut total) = (vec![0; CHUNK_BYTES], 0_u64);
        let mut data = Deflated { file, position: start, rest: self.compressed, block: Vec::new(), used: 0 };
        loop {
            let mut filled = 0;
            let ended = loop {
                let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
                let free = chunk.get_mut(filled..).unwrap_or_default();
                let status = inflater.decompress(data.next()?, free, FlushDecompress::None).map_err(|_| broken())?;
                data.used += (inflater.total_in() - before_in) as usize;
                let written = inflater.total_out() - before_out;
                filled += written as usize;
                match status {
                    Status::StreamEnd => break true,
                    _ if filled == chunk.len() => break false,
                    _ if written == 0 && inflater.total_in() == before_in => return Err(broken()),
                    _ => {}
                }
            };
            total += filled as u64;
            let content = chunk.get(..filled).unwrap_or_default();
            if total > self.size || (ended && (total != self.size || inflater.total_in() != self.compressed)) {
                return Err(broken());
            }
            crc.update(content);
            each(content);
            if ended {
                return self.check_sum(&crc);
            }
        }
    }

    fn check_sum(&self, crc: &Crc) -> Result<(), ErrorKind> {
        let right = self.crc == 0 || crc.sum() == self.crc;
        if right { Ok(()) } else { Err(self.error("its checksum is wrong (damaged file?)")) }
    }
}

/// Deflated data that is read block by block.
struct Deflated<'a> {
    file: &'a File,
    position: u64,
    rest: u64,
    block: Vec<u8>,
    /// Bytes of the block that were used.
    used: usize,
}

impl Deflated<'_> {
    /// What follows; nothing at the end.
    fn next(&mut self) -> Result<&[u8], ErrorKind> {
        if self.used >= self.block.len() && self.rest > 0 {
            let count = self.rest.min(READ_BYTES);
            self.block.resize(count as usize, 0);
            self.file.read_again(self.position, &mut self.block)?;
            (self.position, self.rest, self.used) = (self.position + count, self.rest - count, 0);
        }
        Ok(self.block.get(self.used..).unwrap_or_default())
    }
}
