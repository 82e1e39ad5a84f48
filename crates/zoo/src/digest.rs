//! SHA-256 digests: whole ones, and the prefixes in the names of published files.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes hashed or copied at a time.
pub(crate) const BUFFER: usize = 1 << 17;
/// Hex digits of a whole digest.
const WHOLE: usize = 64;

/// A SHA-256 digest or a prefix of one: 6 to 64 hex digits, in lowercase.
///
/// ```
/// use mmcv_zoo::Digest;
///
/// assert_eq!(Digest::of_file_name("resnet50-0676BA61.pth"), "0676ba61".parse().ok());
/// assert_eq!(Digest::of_file_name("resnet50_20200130.pth"), None); // a date
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text does not consist of 6 to 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256 digest: expected 64 hex digits, or at least the first 6")]
pub struct InvalidDigest(String);

impl Digest {
    /// The digest at the end of a file name's stem: `-HEX`, or `_HEX` if HEX contains a letter.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let stem = split_extension(name).0;
        let separator = stem.rfind(['-', '_'])?;
        let text = &stem[separator + 1..];
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        if stem[separator..].starts_with('_') && is_number {
            return None;
        }
        text.parse().ok()
    }

    /// The digest in the name of a local file.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        Self::of_file_name(path.file_name()?.to_str()?)
    }

    /// Hashes everything that `reader` returns.
    ///
    /// # Errors
    /// Returns an error if reading fails.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        feed(&mut reader, &mut hasher)?;
        Ok(finish(hasher))
    }

    /// Removes the digest at the end of a file name's stem.
    pub(crate) fn strip(name: &str) -> String {
        let (stem, extension) = split_extension(name);
        match stem.rfind(['-', '_']) {
            Some(at) if at > 0 && Self::of_file_name(name).is_some() => format!("{}{extension}", &stem[..at]),
            _ => name.to_owned(),
        }
    }

    /// Whether `whole` starts with this digest.
    pub fn is_prefix_of(&self, whole: &Self) -> bool {
        whole.0.starts_with(&self.0)
    }

    /// Whether all 64 hex digits are known.
    pub fn is_whole(&self) -> bool {
        self.0.len() == WHOLE
    }

    /// The hex digits, in lowercase.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || !(6..=WHOLE).contains(&text.len()) {
            return Err(InvalidDigest(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file name's stem, and its extension including the dot. A leading dot starts no extension.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    }
}

/// The whole digest of the bytes that `hasher` was fed.
pub(crate) fn finish(hasher: Sha256) -> Digest {
    Digest(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The whole digest of a short text.
pub(crate) fn of_text(text: &str) -> Digest {
    finish(Sha256::new_with_prefix(text))
}

/// The whole digest of a file.
pub(crate) fn of_file(path: &Path) -> io::Result<Digest> {
    Digest::of_reader(File::open(path)?)
}

/// Feeds the rest of `reader` to `hasher`; returns the number of bytes.
pub(crate) fn feed(reader: &mut impl Read, hasher: &mut Sha256) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_in_file_names() {
        let long = "ab".repeat(32);
        let cases: &[(&str, Option<&str>)] = &[
            ("resnet50-0676ba61.pth", Some("0676ba61")),
            ("resnet50-0676BA61.pth", Some("0676ba61")),
            ("vgg13-19584684.pth", Some("19584684")),
            ("faster_rcnn_r50_fpn_1x_9e5bac.pth", Some("9e5bac")),
            ("mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth", Some("3b2dc3af")),
            ("model-0676ba61", Some("0676ba61")),
            ("model-0676ba61.tar.gz", None),
            ("resnet50_20200130.pth", None),
            ("model-abcde.pth", None),
            ("model_abcdeg.pth", None),
            ("0676ba61.pth", None),
            ("model-.pth", None),
            ("model.pth", None),
            ("", None),
        ];
        for (name, expected) in cases {
            let found = Digest::of_file_name(name);
            assert_eq!(found.as_ref().map(Digest::as_str), *expected, "{name}");
        }
        assert_eq!(Digest::of_file_name(&format!("a-{long}.pth")).unwrap().as_str(), long);
        assert_eq!(Digest::of_file_name(&format!("a-{long}0.pth")), None);
    }

    #[test]
    fn digests_are_stripped_from_file_names() {
        for (name, expected) in [
            ("resnext50_32x4d_gn-c7e8b754.pth", "resnext50_32x4d_gn.pth"),
            ("model_9e5bac", "model"),
            ("resnet50_20200130.pth", "resnet50_20200130.pth"),
            ("-c7e8b754.pth", "-c7e8b754.pth"),
        ] {
            assert_eq!(Digest::strip(name), expected);
        }
    }

    #[test]
    fn other_text_is_no_digest() {
        for text in ["", "abcde", "abcdefg", "0x123456", " abcdef"] {
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn hashing_is_sha256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_text("abc").as_str(), expected);
        let mut hasher = Sha256::new();
        assert_eq!(feed(&mut "abc".as_bytes(), &mut hasher).unwrap(), 3);
        assert_eq!(finish(hasher).as_str(), expected);
    }
}
