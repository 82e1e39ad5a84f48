//! [`ZipWriter`]: writes a zip archive of stored entries. Their data is aligned as in files of torch, so that it can be
//! mapped.

use std::io::{self, Write};

use flate2::Crc;

use crate::error::ErrorKind;
use crate::write::storage_data::StorageData;

/// The alignment of the data of an entry.
const ALIGNMENT: u64 = 64;
/// The extra field that torch uses for padding.
const PADDING_FIELD: [u8; 2] = *b"FB";
const ZIP64_FIELD: [u8; 2] = [1, 0];
/// Names are in UTF-8.
const FLAGS: u16 = 1 << 11;
/// Zip 4.5, the first version with 64-bit sizes.
const VERSION: u16 = 45;
/// 1980-01-01: the same content always produces the same file.
const DATE: u16 = 1 << 5 | 1;
const LOCAL_BYTES: u64 = 30;
const ONES: u64 = 0xffff_ffff;

#[derive(Debug)]
pub(super) struct ZipWriter<W> {
    out: W,
    position: u64,
    entries: u64,
    directory: Vec<u8>,
}

impl<W: Write> ZipWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, position: 0, entries: 0, directory: Vec::new() }
    }

    /// Appends a small entry.
    pub(super) fn entry(&mut self, name: &str, data: &[u8]) -> Result<(), ErrorKind> {
        self.storage(name, &StorageData::Memory(data))
    }

    /// Appends an entry. Its bytes are read twice, because the checksum comes first.
    pub(super) fn storage(&mut self, name: &str, data: &StorageData<'_>) -> Result<(), ErrorKind> {
        let mut crc = Crc::new();
        data.for_each_part(&mut |part: &[u8]| crc.update(part))?;
        let header = self.position;
        let size = data.length();
        let sizes = if size >= ONES { wide_field(&[size, size]) } else { Vec::new() };
        let extra = self.padded(name, sizes);

        let mut local = b"PK\x03\x04".to_vec();
        let common = common_fields(crc.sum(), size, name, extra.len());
        local.extend(&common);
        local.extend(name.bytes());
        local.extend(extra);
        self.put(&local)?;
        let mut written = Ok(());
        data.for_each_part(&mut |part: &[u8]| {
            if written.is_ok() {
                written = self.put(part);
            }
        })?;
        written?;

        let mut wide = if size >= ONES { vec![size, size] } else { Vec::new() };
        if header >= ONES {
            wide.push(header);
        }
        let extra = if wide.is_empty() { Vec::new() } else { wide_field(&wide) };
        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(VERSION.to_le_bytes());
        self.directory.extend(common_fields(crc.sum(), size, name, extra.len()));
        // No comment, disk 0, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(small(header).to_le_bytes());
        self.directory.extend(name.bytes());
        self.directory.extend(extra);
        self.entries += 1;
        Ok(())
    }

    /// The extra field of a local header, padded so that the data after it is aligned.
    fn padded(&self, name: &str, mut extra: Vec<u8>) -> Vec<u8> {
        let unpadded = self.position + LOCAL_BYTES + name.len() as u64 + extra.len() as u64 + 4;
        // Less than the alignment, so it fits.
        let padding = (unpadded.next_multiple_of(ALIGNMENT) - unpadded) as u16;
        extra.extend(PADDING_FIELD);
        extra.extend(padding.to_le_bytes());
        extra.extend(std::iter::repeat_n(b'Z', padding.into()));
        extra
    }

    /// Writes the central directory and the end records.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let directory = std::mem::take(&mut self.directory);
        let (start, size) = (self.position, directory.len() as u64);
        self.put(&directory)?;
        let mut end = Vec::new();
        // Like torch, this always writes the zip64 records.
        let record = self.position;
        end.extend(b"PK\x06\x06");
        end.extend(44_u64.to_le_bytes());
        end.extend([VERSION, VERSION].map(u16::to_le_bytes).concat());
        end.extend([0; 8]);
        end.extend([self.entries, self.entries, size, start].map(u64::to_le_bytes).concat());
        end.extend(b"PK\x06\x07");
        end.extend([0; 4]);
        end.extend(record.to_le_bytes());
        end.extend(1_u32.to_le_bytes());
        end.extend(b"PK\x05\x06");
        end.extend([0; 4]);
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        end.extend([entries, entries].map(u16::to_le_bytes).concat());
        end.extend([small(size), small(start)].map(u32::to_le_bytes).concat());
        end.extend([0; 2]);
        self.put(&end)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.position += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

/// The fields that a local header and an entry of the central directory have in common.
fn common_fields(crc: u32, size: u64, name: &str, extra: usize) -> Vec<u8> {
    let mut fields = Vec::new();
    fields.extend([VERSION, FLAGS, 0, 0, DATE].map(u16::to_le_bytes).concat());
    fields.extend([crc, small(size), small(size)].map(u32::to_le_bytes).concat());
    // Names are short, and the extra field is at most the alignment and three numbers.
    fields.extend([name.len() as u16, extra as u16].map(u16::to_le_bytes).concat());
    fields
}

/// A 32-bit field: the number itself, or all ones if it is in the zip64 extra field.
fn small(value: u64) -> u32 {
    value.min(ONES) as u32
}

fn wide_field(values: &[u64]) -> Vec<u8> {
    let mut field = ZIP64_FIELD.to_vec();
    field.extend((8 * values.len() as u16).to_le_bytes());
    for value in values {
        field.extend(value.to_le_bytes());
    }
    field
}
