//! Reading text files: allowed files and encodings.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::limits::MOST_BYTES;

/// The text of a file, without a byte order mark.
///
/// # Errors
/// Returns an error if the file cannot be opened, is not a regular file, is too large, or is neither UTF-8 nor UTF-16
/// with a byte order mark.
pub(super) fn read(file: &Path) -> Result<String, String> {
    // Opening a FIFO blocks until there is a writer, so the kind of the file is checked before.
    regular(&std::fs::metadata(file).map_err(|error| error.to_string())?)?;
    let opened = File::open(file).map_err(|error| error.to_string())?;
    regular(&opened.metadata().map_err(|error| error.to_string())?)?;
    let mut bytes = Vec::new();
    let limit = MOST_BYTES as u64 + 1;
    opened.take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > MOST_BYTES {
        return Err(format!("it is larger than {MOST_BYTES} bytes, the most that a config may have"));
    }
    decode(bytes)
}

fn regular(metadata: &std::fs::Metadata) -> Result<(), String> {
    if metadata.is_dir() {
        return Err("it is a folder, not a file".to_owned());
    }
    if !metadata.is_file() {
        return Err("it is not a regular file (but a device, a pipe or a socket)".to_owned());
    }
    Ok(())
}

/// UTF-8, or UTF-16 with a byte order mark.
fn decode(bytes: Vec<u8>) -> Result<String, String> {
    let unit: Option<fn([u8; 2]) -> u16> = match bytes.as_slice() {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            return Err("it is UTF-32, which is not read; save it as UTF-8".to_owned());
        }
        [0xff, 0xfe, ..] => Some(u16::from_le_bytes),
        [0xfe, 0xff, ..] => Some(u16::from_be_bytes),
        _ => None,
    };
    let Some(unit) = unit else {
        return match String::from_utf8(bytes) {
            Ok(text) => Ok(without_mark(&text).to_owned()),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                Err(format!("byte {at} is not UTF-8; save it as UTF-8"))
            }
        };
    };
    let (pairs, []) = bytes.as_chunks::<2>() else {
        return Err("it is UTF-16 with an odd number of bytes: it is cut off".to_owned());
    };
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    match String::from_utf16(&units) {
        Ok(text) => Ok(without_mark(&text).to_owned()),
        Err(_) => Err("it begins as UTF-16 and is not; save it as UTF-8".to_owned()),
    }
}

/// The text after the byte order mark, which some editors write.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
