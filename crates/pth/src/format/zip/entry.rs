//! Reading one entry: local header, data, decompression, checksum.

use std::ops::Range;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::cursor::{Cursor, Ended};
use crate::error::ErrorKind;
use crate::file::File;
use crate::format::zip::directory::{self, Entry};
use crate::format::zip::{Archive, LOCAL_SIGNATURE};
use crate::limits::{MAX_DEFLATE_RATIO, MIN_UNFOLDED_BYTES};

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Encrypted, patched, strongly encrypted, masked headers.
const UNREADABLE_FLAGS: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;
/// Bytes of inflated data per chunk; a multiple of the size of every type.
const CHUNK_BYTES: usize = 1 << 16;
/// Bytes of deflated data per read.
const READ_BYTES: u64 = 256 << 10;
/// Bytes of a local header before the name.
const LOCAL_BYTES: u64 = 30;
/// At least as many bytes as an extra field written by torch has.
const LIKELY_EXTRA_BYTES: u64 = 128;
/// The sizes follow the data, and may be 0 in the local header.
const DESCRIPTOR_FLAG: u16 = 1 << 3;

/// The fields of a local header.
struct LocalHeader<'a> {
    flags: u16,
    method: u16,
    compressed: u32,
    size: u32,
    name: &'a [u8],
    extra: &'a [u8],
    /// Bytes of the header, name and extra field included.
    length: u64,
}

impl<'a> LocalHeader<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Ended> {
        let mut cursor = Cursor::new(bytes);
        if cursor.array() != Ok(LOCAL_SIGNATURE) {
            return Err(Ended);
        }
        let _version = cursor.u16()?;
        let flags = cursor.u16()?;
        let method = cursor.u16()?;
        let _time_and_crc = cursor.take(8)?;
        let compressed = cursor.u32()?;
        let size = cursor.u32()?;
        let name_length = cursor.u16()?;
        let extra_length = cursor.u16()?;
        let name = cursor.take(name_length.into())?;
        let extra = cursor.take(extra_length.into())?;
        Ok(Self { flags, method, compressed, size, name, extra, length: cursor.position() as u64 })
    }

    /// Whether a size in this header agrees with that of the central directory.
    fn size_agrees(&self, local: u64, central: u64) -> bool {
        local == central || (local == 0 && self.flags & DESCRIPTOR_FLAG != 0)
    }
}

impl Archive {
    /// Checks that an entry is readable: its headers agree, its method is supported, its data lies before the central
    /// directory and does not inflate too much. Returns the location of its data in the file.
    pub(crate) fn locate(&self, file: &File, entry: &Entry) -> Result<Range<u64>, ErrorKind> {
        const BROKEN: &str = "its local header is broken";
        let bytes = local_header(file, entry)?;
        let Ok(header) = LocalHeader::parse(&bytes) else { return Err(entry.error(BROKEN)) };
        if header.name != &*entry.name || header.method != entry.method {
            return Err(entry.error("its local header has another name or method"));
        }
        if (header.flags | entry.flags) & UNREADABLE_FLAGS != 0 {
            return Err(entry.error("it is encrypted or patched"));
        }
        let Some([size, compressed]) = directory::widen([header.size.into(), header.compressed.into()], header.extra)
        else {
            return Err(entry.error(BROKEN));
        };
        if !header.size_agrees(size, entry.size) || !header.size_agrees(compressed, entry.compressed) {
            return Err(entry.error("its local header has other sizes"));
        }
        match entry.method {
            STORED if entry.size == entry.compressed => {}
            STORED => return Err(entry.error("it is stored, with two sizes")),
            DEFLATED => check_ratio(entry)?,
            _ => return Err(entry.error("its compression is neither stored nor deflate")),
        }
        let start = entry.header + header.length;
        match start.checked_add(entry.compressed) {
            Some(end) if end <= self.directory_start => Ok(start..end),
            _ => Err(entry.error("its data does not lie before the central directory")),
        }
    }
}

fn check_ratio(entry: &Entry) -> Result<(), ErrorKind> {
    if entry.size > MIN_UNFOLDED_BYTES && entry.size > entry.compressed.saturating_mul(MAX_DEFLATE_RATIO) {
        let what = "bytes that a zip entry inflates to";
        return Err(ErrorKind::Limit { what, found: entry.size, limit: MIN_UNFOLDED_BYTES });
    }
    Ok(())
}

/// The bytes of an entry's local header with its name and extra field, as far as the file has them.
fn local_header(file: &File, entry: &Entry) -> Result<Vec<u8>, ErrorKind> {
    let available = file.length().saturating_sub(entry.header);
    let likely = available.min(LOCAL_BYTES + entry.name.len() as u64 + LIKELY_EXTRA_BYTES);
    let header = file.bytes(entry.header, likely)?.unwrap_or_default();
    let mut lengths = Cursor::at(&header, LOCAL_BYTES - 4);
    let (Ok(name_length), Ok(extra_length)) = (lengths.u16(), lengths.u16()) else { return Ok(header) };
    let needed = available.min(LOCAL_BYTES + u64::from(name_length) + u64::from(extra_length));
    if needed <= likely {
        return Ok(header);
    }
    Ok(file.bytes(entry.header, needed)?.unwrap_or_default())
}

impl Entry {
    pub(crate) fn is_stored(&self) -> bool {
        self.method == STORED
    }

    /// Checks the checksum of a stored entry whose data starts at `start`. A recorded checksum of 0 means that there is none.
    pub(crate) fn check_crc_of_file(&self, file: &File, start: u64) -> Result<(), ErrorKind> {
        if self.crc == 0 {
            return Ok(());
        }
        let mut crc = Crc::new();
        file.for_each_block(start, self.compressed, |block| crc.update(block))?;
        self.check_sum(&crc)
    }

    /// Reads a whole stored entry into `target` and checks its checksum on the way.
    pub(crate) fn read_checked(&self, file: &File, start: u64, target: &mut [u8]) -> Result<(), ErrorKind> {
        let mut crc = Crc::new();
        let mut position = start;
        // The parts are small enough to be in the processor's cache when they are summed up.
        for part in target.chunks_mut(READ_BYTES as usize) {
            file.read_at(position, part)?;
            position += part.len() as u64;
            if self.crc != 0 {
                crc.update(part);
            }
        }
        self.check_sum(&crc)
    }

    /// The content of a deflated entry whose data starts at `start`. It must be exactly as long as declared.
    pub(crate) fn inflate(&self, file: &File, start: u64) -> Result<Vec<u8>, ErrorKind> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        // Memory grows with the actual data, not with the declared size.
        let expected = usize::try_from(self.compressed.saturating_mul(8)).unwrap_or(size);
        let mut content = Vec::with_capacity(size.min(expected));
        self.inflate_chunks(file, start, |chunk| {
            if content.capacity() - content.len() < chunk.len() {
                content.reserve_exact((size - content.len()).min(content.len().max(chunk.len())));
            }
            content.extend_from_slice(chunk);
        })?;
        Ok(content)
    }

    /// Passes the content of a deflated entry to `each` in chunks of [`CHUNK_BYTES`]; the last one may be shorter. Never
    /// passes more than the declared size. Errors in length and checksum are detected only at the end.
    pub(crate) fn inflate_chunks(&self, file: &File, start: u64, mut each: impl FnMut(&[u8])) -> Result<(), ErrorKind> {
        let mut inflater = Inflater::new(self, file, start);
        let mut crc = Crc::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut total = 0_u64;
        loop {
            let (filled, ended) = inflater.fill(&mut chunk)?;
            total += filled as u64;
            let complete = total == self.size && inflater.consumed() == self.compressed;
            if total > self.size || (ended && !complete) {
                return Err(inflater.broken());
            }
            let content = chunk.get(..filled).unwrap_or_default();
            crc.update(content);
            each(content);
            if ended {
                return self.check_sum(&crc);
            }
        }
    }

    fn check_sum(&self, crc: &Crc) -> Result<(), ErrorKind> {
        if self.crc == 0 || crc.sum() == self.crc {
            return Ok(());
        }
        Err(self.error("its checksum is wrong (damaged file?)"))
    }
}

/// Inflates the data of an entry, which is read block by block.
struct Inflater<'a> {
    entry: &'a Entry,
    file: &'a File,
    inflater: Decompress,
    /// The position in the file of the next block.
    position: u64,
    /// Compressed bytes after that position.
    rest: u64,
    block: Vec<u8>,
    /// Bytes of the block that were consumed.
    used: usize,
}

impl<'a> Inflater<'a> {
    fn new(entry: &'a Entry, file: &'a File, position: u64) -> Self {
        let inflater = Decompress::new(false);
        Self { entry, file, inflater, position, rest: entry.compressed, block: Vec::new(), used: 0 }
    }

    /// The number of compressed bytes consumed so far.
    fn consumed(&self) -> u64 {
        self.inflater.total_in()
    }

    fn broken(&self) -> ErrorKind {
        self.entry.error("its compressed data is broken")
    }

    /// Fills `chunk`; returns the number of bytes written to it, and whether the data ended.
    fn fill(&mut self, chunk: &mut [u8]) -> Result<(usize, bool), ErrorKind> {
        let mut filled = 0;
        loop {
            self.read_block()?;
            let input = self.block.get(self.used..).unwrap_or_default();
            let free = chunk.get_mut(filled..).unwrap_or_default();
            let (before_in, before_out) = (self.inflater.total_in(), self.inflater.total_out());
            let Ok(status) = self.inflater.decompress(input, free, FlushDecompress::None) else {
                return Err(self.broken());
            };
            let read = (self.inflater.total_in() - before_in) as usize;
            let written = (self.inflater.total_out() - before_out) as usize;
            self.used += read;
            filled += written;
            if status == Status::StreamEnd {
                return Ok((filled, true));
            }
            if filled == chunk.len() {
                return Ok((filled, false));
            }
            if read == 0 && written == 0 {
                return Err(self.broken());
            }
        }
    }

    /// Reads the next block if the current one is used up and there is more.
    fn read_block(&mut self) -> Result<(), ErrorKind> {
        if self.used < self.block.len() || self.rest == 0 {
            return Ok(());
        }
        let count = self.rest.min(READ_BYTES);
        self.block.resize(count as usize, 0);
        self.file.read_at(self.position, &mut self.block)?;
        self.position += count;
        self.rest -= count;
        self.used = 0;
        Ok(())
    }
}
