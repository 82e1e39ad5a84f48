//! Walks over the chunks of PNG and WebP files, to check that they are complete and to find their EXIF metadata.

use std::ops::Range;

use super::damage::{Damage, Result};

const PNG_SIGNATURE_BYTES: usize = 8;

/// Checks the chunks of a PNG and returns its EXIF metadata. Data after the end of the image is ignored.
pub(super) fn check_png(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let mut exif = None;
    let mut position = PNG_SIGNATURE_BYTES;
    loop {
        let length = u32::from_be_bytes(four_bytes(bytes, position)?);
        let name = four_bytes(bytes, position + 4)?;
        let data = range_within(bytes, position + 8, length)?;
        let checksum = u32::from_be_bytes(four_bytes(bytes, data.end)?);
        let is_valid = crc32fast::hash(&bytes[position + 4..data.end]) == checksum;
        // The pixels depend only on chunks whose names begin with an uppercase letter.
        if !is_valid && name[0].is_ascii_uppercase() {
            return Err(Damage::Checksum(String::from_utf8_lossy(&name).into_owned()));
        }
        if name == *b"IEND" {
            return Ok(exif);
        }
        if name == *b"eXIf" && is_valid && exif.is_none() {
            exif = Some(&bytes[data.clone()]);
        }
        position = data.end + 4;
    }
}

/// Checks the chunks of a WebP and returns its EXIF metadata. Data after the size in the header is ignored.
pub(super) fn check_webp(bytes: &[u8]) -> Result<Option<&[u8]>> {
    let size = u32::from_le_bytes(four_bytes(bytes, 4)?);
    let image = &bytes[..range_within(bytes, 8, size)?.end];
    let mut exif = None;
    let mut position = 12;
    while position < image.len() {
        let Some((name, data)) = webp_chunk(image, position) else { return Err(Damage::Chunk) };
        if name == *b"EXIF" && exif.is_none() {
            exif = Some(&image[data.clone()]);
        }
        position = data.end + data.len() % 2;
    }
    Ok(exif)
}

/// The name and the data of a chunk; `None` if it extends beyond the image.
fn webp_chunk(image: &[u8], position: usize) -> Option<([u8; 4], Range<usize>)> {
    let name = four_bytes(image, position).ok()?;
    let length = u32::from_le_bytes(four_bytes(image, position + 4).ok()?);
    let data = range_within(image, position + 8, length).ok()?;
    Some((name, data))
}

fn range_within(bytes: &[u8], start: usize, length: u32) -> Result<Range<usize>> {
    let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
    match end {
        Some(end) if end <= bytes.len() => Ok(start..end),
        _ => Err(Damage::Truncated),
    }
}

fn four_bytes(bytes: &[u8], position: usize) -> Result<[u8; 4]> {
    match bytes.get(position..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => Ok(*chunk),
        None => Err(Damage::Truncated),
    }
}
