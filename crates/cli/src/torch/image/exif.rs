//! The orientation in EXIF metadata.

use image::metadata::Orientation;

/// The prefix that some files have before the metadata.
pub(super) const PREFIX: &[u8] = b"Exif\0\0";
/// The tag of the orientation.
const ORIENTATION: u16 = 0x0112;

/// The orientation; `None` if it is missing or invalid.
pub(super) fn orientation(exif: &[u8]) -> Option<Orientation> {
    let tiff = Tiff::new(exif.strip_prefix(PREFIX).unwrap_or(exif))?;
    let directory = usize::try_from(tiff.u32(4)?).ok()?;
    let entries = usize::from(tiff.u16(directory)?);
    for index in 0..entries {
        let entry = directory.checked_add(2 + 12 * index)?;
        if tiff.u16(entry)? == ORIENTATION {
            let value = match tiff.u16(entry + 2)? {
                1 => u32::from(*tiff.bytes.get(entry + 8)?),
                3 => u32::from(tiff.u16(entry + 8)?),
                4 => tiff.u32(entry + 8)?,
                _ => return None,
            };
            return Orientation::from_exif(u8::try_from(value).ok()?);
        }
    }
    None
}

/// TIFF data in either byte order.
struct Tiff<'a> {
    bytes: &'a [u8],
    little_endian: bool,
}

impl<'a> Tiff<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        match bytes.get(..4)? {
            b"II*\0" => Some(Self { bytes, little_endian: true }),
            b"MM\0*" => Some(Self { bytes, little_endian: false }),
            _ => None,
        }
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little_endian { u16::from_le_bytes(*bytes) } else { u16::from_be_bytes(*bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little_endian { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EXIF with one entry, in little endian.
    fn exif(tag: u8, kind: u8, value: u8) -> Vec<u8> {
        let mut bytes = b"II*\0\x08\0\0\0\x01\0".to_vec();
        bytes.extend([tag, 1, kind, 0, 1, 0, 0, 0, value, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn all_eight_values_are_read_in_both_byte_orders() {
        for value in 1..=8 {
            let expected = Orientation::from_exif(value);
            assert!(expected.is_some());
            let big = [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[value][..], b"\0\0\0\0\0\0"].concat();
            for bytes in [exif(0x12, 3, value), exif(0x12, 4, value), exif(0x12, 1, value), big] {
                assert_eq!(orientation(&bytes), expected);
                assert_eq!(orientation(&[PREFIX, &bytes].concat()), expected);
            }
        }
    }

    #[test]
    fn what_is_no_orientation_is_ignored() {
        for bytes in
            [exif(0x12, 3, 0), exif(0x12, 3, 9), exif(0x13, 3, 6), exif(0x12, 2, 6), Vec::new(), b"II*".to_vec()]
        {
            assert_eq!(orientation(&bytes), None);
        }
        let whole = exif(0x12, 3, 6);
        for length in 0..whole.len() - 6 {
            assert_eq!(orientation(&whole[..length]), None, "{length}");
        }
        let mut far = whole;
        far[4..8].fill(0xff);
        assert_eq!(orientation(&far), None);
    }
}
