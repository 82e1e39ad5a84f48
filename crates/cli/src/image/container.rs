//! Whether PNG and WebP files are whole, and their EXIF metadata.

use std::ops::Range;

use super::damage::{Damage, Result};

const PNG_SIGNATURE: usize = 8;

/// Walks over the chunks of a PNG up to its end, and returns its EXIF metadata. What follows the end does not matter.
pub(super) fn check_png(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let mut exif = None;
    let mut at = PNG_SIGNATURE;
    loop {
        let length = u32_at(bytes, at, u32::from_be_bytes).ok_or(Damage::Cut)?;
        let data = part(bytes, at + 8, length)?;
        let name = bytes.get(at + 4..at + 8).ok_or(Damage::Cut)?;
        let stated = u32_at(bytes, data.end, u32::from_be_bytes).ok_or(Damage::Cut)?;
        let is_right = crc32fast::hash(bytes.get(at + 4..data.end).unwrap_or_default()) == stated;
        // The pixels do not depend on chunks whose names begin with a small letter.
        if !is_right && name.first().is_none_or(u8::is_ascii_uppercase) {
            return Err(Damage::Checksum(String::from_utf8_lossy(name).into_owned()));
        }
        match name {
            b"IEND" => return Ok(exif),
            b"eXIf" if is_right => exif = exif.or(bytes.get(data.clone())),
            _ => {}
        }
        at = data.end + 4;
    }
}

/// Walks over the chunks of a WebP, and returns its EXIF metadata. What follows the stated size does not matter.
pub(super) fn check_webp(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let size = u32_at(bytes, 4, u32::from_le_bytes).ok_or(Damage::Cut)?;
    let whole = part(bytes, 8, size)?;
    let inside = bytes.get(..whole.end).unwrap_or_default();
    let mut exif = None;
    let mut at = 12;
    while at < whole.end {
        let name = inside.get(at..at + 4).ok_or(Damage::Chunk)?;
        let length = u32_at(inside, at + 4, u32::from_le_bytes).ok_or(Damage::Chunk)?;
        let data = part(inside, at + 8, length).map_err(|_| Damage::Chunk)?;
        if name == b"EXIF" {
            exif = exif.or(inside.get(data.clone()));
        }
        at = data.end + data.len() % 2;
    }
    Ok(exif)
}

/// A part of a file that has to have all of it.
fn part(bytes: &[u8], start: usize, length: u32) -> Result<Range<usize>> {
    let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
    end.filter(|end| *end <= bytes.len()).map(|end| start..end).ok_or(Damage::Cut)
}

fn u32_at(bytes: &[u8], at: usize, read: fn([u8; 4]) -> u32) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(read)
}
