//! The central directory and the records that lead to it.

use crate::bytes::{Cursor, Ended};
use crate::error::{ErrorKind, ZipProblem};
use crate::file::File;
use crate::limits::{MAX_DIRECTORY_BYTES, MAX_ZIP_ENTRIES};
use crate::zip::Archive;

const ENTRY_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
const LOCATOR64_SIGNATURE: [u8; 4] = *b"PK\x06\x07";

const END_BYTES: usize = 22;
const LOCATOR64_BYTES: u64 = 20;
/// Bytes of the zip64 end record after its own size field.
const END64_BYTES: u64 = 44;
const MAX_COMMENT: usize = 0xffff;

/// One entry, as the central directory describes it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// In any encoding.
    pub(crate) name: Box<[u8]>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) compressed: u64,
    pub(crate) size: u64,
    /// Where its local header starts.
    pub(crate) header: u64,
}

impl Entry {
    pub(crate) fn error(&self, problem: &'static str) -> ErrorKind {
        ZipProblem::Entry { name: self.name_text(), problem }.into()
    }

    /// The name for errors.
    pub(crate) fn name_text(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// Where the central directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Directory {
    entries: u64,
    bytes: u64,
    start: u64,
}

pub(super) fn parse(file: &File) -> Result<Archive, ErrorKind> {
    let directory = find_directory(file)?;
    ErrorKind::check_limit("number of zip entries", directory.entries, MAX_ZIP_ENTRIES)?;
    ErrorKind::check_limit("bytes of the zip directory", directory.bytes, MAX_DIRECTORY_BYTES)?;
    let bytes = file.bytes(directory.start, directory.bytes)?;
    let bytes = bytes.ok_or(ZipProblem::Broken("central directory"))?;
    let mut cursor = Cursor::new(&bytes);
    let mut entries = Vec::new();
    for _ in 0..directory.entries {
        entries.push(read_entry(&mut cursor)?);
    }
    if cursor.remaining() != 0 {
        return Err(ZipProblem::Contradiction("size of the central directory").into());
    }
    Ok(Archive { entries, directory_start: directory.start })
}

/// Finds the end record, and follows it to the zip64 end record where there is one. The directory, these records and
/// the end of the file have to meet without gaps, so that nothing can hide between them.
fn find_directory(file: &File) -> Result<Directory, ErrorKind> {
    let length = file.length().min((END_BYTES + MAX_COMMENT) as u64);
    let first = file.length() - length;
    let tail = file.bytes(first, length)?.unwrap_or_default();
    let in_tail = find_end(&tail)?;
    let end = first + in_tail;
    let ended = |_: Ended| ZipProblem::NoEnd;
    let mut cursor = Cursor::at(&tail, in_tail + 4);
    let disks = (cursor.u16().map_err(ended)?, cursor.u16().map_err(ended)?);
    let entries_here = cursor.u16().map_err(ended)?;
    let entries = cursor.u16().map_err(ended)?;
    let bytes = cursor.u32().map_err(ended)?;
    let start = cursor.u32().map_err(ended)?;
    if disks != (0, 0) || entries_here != entries {
        return Err(ZipProblem::Contradiction("disk numbers").into());
    }
    let small = Directory { entries: entries.into(), bytes: bytes.into(), start: start.into() };
    let (directory, behind) = match find_end64(file, end)? {
        Some((directory, behind)) => (directory, behind),
        None => (small, end),
    };
    // A field of the small record says the same as the large one, or is all ones.
    let same = |small: u64, large: u64, ones: u64| small == large || small == ones;
    let agree = same(small.entries, directory.entries, 0xffff)
        && same(small.bytes, directory.bytes, 0xffff_ffff)
        && same(small.start, directory.start, 0xffff_ffff);
    if !agree {
        return Err(ZipProblem::Contradiction("end records").into());
    }
    if directory.start.checked_add(directory.bytes) != Some(behind) {
        return Err(ZipProblem::Contradiction("place of the central directory").into());
    }
    Ok(directory)
}

/// Where in the tail of a file the one end record is whose comment reaches exactly to the end.
fn find_end(tail: &[u8]) -> Result<u64, ZipProblem> {
    let mut found = None;
    for (index, window) in tail.windows(END_BYTES).enumerate() {
        let comment = window.last_chunk::<2>().map_or(0, |&bytes| u16::from_le_bytes(bytes));
        let fits = index + END_BYTES + usize::from(comment) == tail.len();
        if window.starts_with(&END_SIGNATURE) && fits && found.replace(index as u64).is_some() {
            return Err(ZipProblem::NoEnd);
        }
    }
    found.ok_or(ZipProblem::NoEnd)
}

/// The zip64 end record, and where it starts.
fn find_end64(file: &File, end: u64) -> Result<Option<(Directory, u64)>, ErrorKind> {
    let Some(locator) = end.checked_sub(LOCATOR64_BYTES) else { return Ok(None) };
    let bytes = file.bytes(locator, LOCATOR64_BYTES)?.unwrap_or_default();
    let mut cursor = Cursor::new(&bytes);
    if cursor.array() != Ok(LOCATOR64_SIGNATURE) {
        return Ok(None);
    }
    let ended = |_: Ended| ZipProblem::Broken("zip64 end record");
    let disk = cursor.u32().map_err(ended)?;
    let record = cursor.u64().map_err(ended)?;
    let disks = cursor.u32().map_err(ended)?;
    let bytes = file.bytes(record, 12 + END64_BYTES)?.unwrap_or_default();
    let mut cursor = Cursor::new(&bytes);
    if cursor.array() != Ok(END64_SIGNATURE) {
        return Err(ZipProblem::Broken("zip64 end record").into());
    }
    let size = cursor.u64().map_err(ended)?;
    let _versions = cursor.u32().map_err(ended)?;
    let own_disks = (cursor.u32().map_err(ended)?, cursor.u32().map_err(ended)?);
    let entries_here = cursor.u64().map_err(ended)?;
    let entries = cursor.u64().map_err(ended)?;
    let bytes = cursor.u64().map_err(ended)?;
    let start = cursor.u64().map_err(ended)?;
    if disk != 0 || disks > 1 || own_disks != (0, 0) || entries_here != entries {
        return Err(ZipProblem::Contradiction("disk numbers").into());
    }
    let meets =
        size >= END64_BYTES && record.checked_add(12).and_then(|start| start.checked_add(size)) == Some(locator);
    if !meets {
        return Err(ZipProblem::Contradiction("place of the zip64 end record").into());
    }
    Ok(Some((Directory { entries, bytes, start }, record)))
}

fn read_entry(cursor: &mut Cursor<'_>) -> Result<Entry, ErrorKind> {
    let ended = |_: Ended| ZipProblem::Broken("central directory entry");
    if cursor.array() != Ok(ENTRY_SIGNATURE) {
        return Err(ZipProblem::Broken("central directory entry").into());
    }
    let _versions = cursor.u32().map_err(ended)?;
    let flags = cursor.u16().map_err(ended)?;
    let method = cursor.u16().map_err(ended)?;
    let _time = cursor.u32().map_err(ended)?;
    let crc = cursor.u32().map_err(ended)?;
    let compressed = cursor.u32().map_err(ended)?;
    let size = cursor.u32().map_err(ended)?;
    let name_length = cursor.u16().map_err(ended)?;
    let extra_length = cursor.u16().map_err(ended)?;
    let comment_length = cursor.u16().map_err(ended)?;
    let disk = cursor.u16().map_err(ended)?;
    let _attributes = cursor.take(6).map_err(ended)?;
    let header = cursor.u32().map_err(ended)?;
    let name = cursor.take(name_length.into()).map_err(ended)?;
    let extra = cursor.take(extra_length.into()).map_err(ended)?;
    cursor.take(comment_length.into()).map_err(ended)?;

    let mut entry = Entry {
        name: name.into(),
        flags,
        method,
        crc,
        compressed: compressed.into(),
        size: size.into(),
        header: header.into(),
    };
    let [size, compressed, header] = wide([entry.size, entry.compressed, entry.header], extra)
        .ok_or_else(|| entry.error("its zip64 sizes are broken"))?;
    (entry.size, entry.compressed, entry.header) = (size, compressed, header);
    if disk != 0 && disk != 0xffff {
        return Err(entry.error("it lies on another disk"));
    }
    Ok(entry)
}

/// The 32-bit fields, those that are all ones replaced by the next number in the zip64 extra field. `None` when that is
/// missing, too short, or there twice.
pub(super) fn wide<const N: usize>(fields: [u64; N], extra: &[u8]) -> Option<[u64; N]> {
    const ZIP64: u16 = 1;
    let mut cursor = Cursor::new(extra);
    let mut found = None;
    // Some writers pad with bytes that are no whole field.
    while cursor.remaining() >= 4 {
        let (kind, length) = (cursor.u16().ok()?, cursor.u16().ok()?);
        let Ok(content) = cursor.take(length.into()) else { break };
        if kind == ZIP64 && found.replace(content).is_some() {
            return None;
        }
    }
    let mut numbers = found.map(Cursor::new);
    let mut fields = fields;
    for field in fields.iter_mut().filter(|field| **field == 0xffff_ffff) {
        *field = numbers.as_mut()?.u64().ok()?;
    }
    Some(fields)
}
