//! The central directory, and the records that locate it.

use crate::cursor::{Cursor, Ended};
use crate::error::{ErrorKind, ZipProblem};
use crate::file::File;
use crate::format::zip::Archive;
use crate::limits::{MAX_DIRECTORY_BYTES, MAX_ZIP_ENTRIES};

const ENTRY_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
const END64_SIGNATURE: [u8; 4] = *b"PK\x06\x06";
const LOCATOR64_SIGNATURE: [u8; 4] = *b"PK\x06\x07";

const END_BYTES: usize = 22;
const LOCATOR64_BYTES: u64 = 20;
/// Bytes of the zip64 end record up to and including its size field.
const END64_HEAD_BYTES: u64 = 12;
/// Bytes of the zip64 end record after its size field.
const END64_BYTES: u64 = 44;
const MAX_COMMENT: usize = 0xffff;
/// In a 32-bit field: the number is in the zip64 extra field.
const ONES: u64 = 0xffff_ffff;

/// One entry, as described by the central directory.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The name, in any encoding.
    pub(crate) name: Box<[u8]>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) compressed: u64,
    pub(crate) size: u64,
    /// The start of its local header.
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

/// The location of the central directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Directory {
    entries: u64,
    bytes: u64,
    start: u64,
}

impl Directory {
    /// Whether a field of the small end record has the same value as the field of the zip64 record, or is all ones.
    fn agrees_with(self, large: Self) -> bool {
        (self.entries == large.entries || self.entries == 0xffff)
            && (self.bytes == large.bytes || self.bytes == ONES)
            && (self.start == large.start || self.start == ONES)
    }
}

/// What an end record says.
struct EndRecord {
    directory: Directory,
    /// Whether the whole archive is in this file.
    single_disk: bool,
}

pub(super) fn parse(file: &File) -> Result<Archive, ErrorKind> {
    let directory = find_directory(file)?;
    ErrorKind::check_limit("number of zip entries", directory.entries, MAX_ZIP_ENTRIES)?;
    ErrorKind::check_limit("bytes of the zip directory", directory.bytes, MAX_DIRECTORY_BYTES)?;
    let Some(bytes) = file.bytes(directory.start, directory.bytes)? else {
        return Err(ZipProblem::Broken("central directory").into());
    };
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

/// Finds the end record, and follows it to the zip64 end record if there is one. The directory, these records and the end
/// of the file must meet without gaps, so that nothing can hide between them.
fn find_directory(file: &File) -> Result<Directory, ErrorKind> {
    let length = file.length().min((END_BYTES + MAX_COMMENT) as u64);
    let first = file.length() - length;
    let tail = file.bytes(first, length)?.unwrap_or_default();
    let start_in_tail = find_end(&tail)?;
    let end = first + start_in_tail;
    let Ok(EndRecord { directory: small, single_disk }) = read_end(Cursor::at(&tail, start_in_tail + 4)) else {
        return Err(ZipProblem::NoEnd.into());
    };
    if !single_disk {
        return Err(ZipProblem::Contradiction("disk numbers").into());
    }
    let (directory, next) = match find_end64(file, end)? {
        Some((directory, record)) => (directory, record),
        None => (small, end),
    };
    if !small.agrees_with(directory) {
        return Err(ZipProblem::Contradiction("end records").into());
    }
    if directory.start.checked_add(directory.bytes) != Some(next) {
        return Err(ZipProblem::Contradiction("place of the central directory").into());
    }
    Ok(directory)
}

/// Finds the only end record in the tail of a file whose comment extends exactly to the end.
fn find_end(tail: &[u8]) -> Result<u64, ZipProblem> {
    let mut found = None;
    for (index, window) in tail.windows(END_BYTES).enumerate() {
        if !window.starts_with(&END_SIGNATURE) {
            continue;
        }
        let Some(&comment) = window.last_chunk::<2>() else { continue };
        let ends_at = index + END_BYTES + usize::from(u16::from_le_bytes(comment));
        if ends_at == tail.len() && found.replace(index as u64).is_some() {
            return Err(ZipProblem::NoEnd);
        }
    }
    found.ok_or(ZipProblem::NoEnd)
}

/// The fields of an end record after its signature.
fn read_end(mut cursor: Cursor<'_>) -> Result<EndRecord, Ended> {
    let disks = (cursor.u16()?, cursor.u16()?);
    let entries_here = cursor.u16()?;
    let entries = cursor.u16()?;
    let bytes = cursor.u32()?;
    let start = cursor.u32()?;
    let directory = Directory { entries: entries.into(), bytes: bytes.into(), start: start.into() };
    Ok(EndRecord { directory, single_disk: disks == (0, 0) && entries_here == entries })
}

/// The zip64 end record and its start, if there is one in front of the end record at `end`.
fn find_end64(file: &File, end: u64) -> Result<Option<(Directory, u64)>, ErrorKind> {
    let Some(locator) = end.checked_sub(LOCATOR64_BYTES) else { return Ok(None) };
    let bytes = file.bytes(locator, LOCATOR64_BYTES)?.unwrap_or_default();
    let mut cursor = Cursor::new(&bytes);
    if cursor.array() != Ok(LOCATOR64_SIGNATURE) {
        return Ok(None);
    }
    let Ok((disk, record, disks)) = read_locator64(cursor) else {
        return Err(ZipProblem::Broken("zip64 end record").into());
    };
    let bytes = file.bytes(record, END64_HEAD_BYTES + END64_BYTES)?.unwrap_or_default();
    let Ok((size, EndRecord { directory, single_disk })) = read_end64(Cursor::new(&bytes)) else {
        return Err(ZipProblem::Broken("zip64 end record").into());
    };
    if disk != 0 || disks > 1 || !single_disk {
        return Err(ZipProblem::Contradiction("disk numbers").into());
    }
    let record_end = match record.checked_add(END64_HEAD_BYTES) {
        Some(start) => start.checked_add(size),
        None => None,
    };
    if size < END64_BYTES || record_end != Some(locator) {
        return Err(ZipProblem::Contradiction("place of the zip64 end record").into());
    }
    Ok(Some((directory, record)))
}

/// The fields of a zip64 locator after its signature: the disk of the end record, its start, and the number of disks.
fn read_locator64(mut cursor: Cursor<'_>) -> Result<(u32, u64, u32), Ended> {
    Ok((cursor.u32()?, cursor.u64()?, cursor.u32()?))
}

/// The size field of a zip64 end record, and the directory that it describes.
fn read_end64(mut cursor: Cursor<'_>) -> Result<(u64, EndRecord), Ended> {
    if cursor.array() != Ok(END64_SIGNATURE) {
        return Err(Ended);
    }
    let size = cursor.u64()?;
    let _versions = cursor.u32()?;
    let disks = (cursor.u32()?, cursor.u32()?);
    let entries_here = cursor.u64()?;
    let entries = cursor.u64()?;
    let bytes = cursor.u64()?;
    let start = cursor.u64()?;
    let single_disk = disks == (0, 0) && entries_here == entries;
    Ok((size, EndRecord { directory: Directory { entries, bytes, start }, single_disk }))
}

fn read_entry(cursor: &mut Cursor<'_>) -> Result<Entry, ErrorKind> {
    let Ok((mut entry, disk, extra)) = read_entry_fields(cursor) else {
        return Err(ZipProblem::Broken("central directory entry").into());
    };
    let Some([size, compressed, header]) = widen([entry.size, entry.compressed, entry.header], extra) else {
        return Err(entry.error("its zip64 sizes are broken"));
    };
    (entry.size, entry.compressed, entry.header) = (size, compressed, header);
    if disk != 0 && disk != 0xffff {
        return Err(entry.error("it lies on another disk"));
    }
    Ok(entry)
}

/// An entry with its 32-bit sizes, the number of its disk, and its extra field.
fn read_entry_fields<'a>(cursor: &mut Cursor<'a>) -> Result<(Entry, u16, &'a [u8]), Ended> {
    if cursor.array() != Ok(ENTRY_SIGNATURE) {
        return Err(Ended);
    }
    let _versions = cursor.u32()?;
    let flags = cursor.u16()?;
    let method = cursor.u16()?;
    let _time = cursor.u32()?;
    let crc = cursor.u32()?;
    let compressed = cursor.u32()?.into();
    let size = cursor.u32()?.into();
    let name_length = cursor.u16()?;
    let extra_length = cursor.u16()?;
    let comment_length = cursor.u16()?;
    let disk = cursor.u16()?;
    let _attributes = cursor.take(6)?;
    let header = cursor.u32()?.into();
    let name = cursor.take(name_length.into())?.into();
    let extra = cursor.take(extra_length.into())?;
    let _comment = cursor.take(comment_length.into())?;
    Ok((Entry { name, flags, method, crc, compressed, size, header }, disk, extra))
}

/// Replaces 32-bit fields that are all ones by the numbers in the zip64 extra field. Returns `None` if that field is
/// missing, too short or present twice.
pub(super) fn widen<const N: usize>(mut fields: [u64; N], extra: &[u8]) -> Option<[u64; N]> {
    const ZIP64: u16 = 1;
    let mut cursor = Cursor::new(extra);
    let mut numbers = None;
    // Some writers pad with bytes that are not a whole field.
    while cursor.remaining() >= 4 {
        let (kind, length) = (cursor.u16().ok()?, cursor.u16().ok()?);
        let Ok(content) = cursor.take(length.into()) else { break };
        if kind == ZIP64 && numbers.replace(Cursor::new(content)).is_some() {
            return None;
        }
    }
    for field in &mut fields {
        if *field == ONES {
            *field = numbers.as_mut()?.u64().ok()?;
        }
    }
    Some(fields)
}
