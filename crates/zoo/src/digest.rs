//! SHA-256 digests, whole or as the prefix that published file names carry.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Bytes hashed or copied at a time.
pub(crate) const BUFFER: usize = 1 << 17;

/// A SHA-256 digest or its beginning: 6 to 64 hex digits, kept in lower case.
///
/// ```
/// use mmcv_zoo::Digest;
///
/// assert_eq!(Digest::of_file_name("resnet50-0676BA61.pth"), "0676ba61".parse().ok());
/// assert_eq!(Digest::of_file_name("resnet50_20200130.pth"), None); // a date
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest(String);

/// The text is not 6 to 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a SHA-256 digest: give its 64 hex digits, or at least the first 6")]
pub struct InvalidDigest(String);

impl Digest {
    /// The digest at the end of a file name's stem: `-HEX`, or `_HEX` where HEX is not of digits only.
    pub fn of_file_name(name: &str) -> Option<Self> {
        let stem = match name.rfind('.') {
            Some(dot) if dot > 0 => &name[..dot],
            _ => name,
        };
        let separator = stem.rfind(['-', '_'])?;
        let (text, after_underscore) = (&stem[separator + 1..], stem.as_bytes()[separator] == b'_');
        if after_underscore && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        text.parse().ok()
    }

    /// The whole digest of everything that `reader` gives.
    ///
    /// # Errors
    /// Reading fails.
    pub fn of_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        feed(&mut reader, &mut hasher)?;
        Ok(Self(finish(hasher)))
    }

    /// A file name without the digest at the end of its stem.
    pub(crate) fn without(name: &str) -> String {
        let (stem, extension) = name.split_at(name.rfind('.').filter(|dot| *dot > 0).unwrap_or(name.len()));
        let kept = stem.rfind(['-', '_']).filter(|at| *at > 0 && Self::of_file_name(name).is_some());
        format!("{}{extension}", &stem[..kept.unwrap_or(stem.len())])
    }

    /// The digest of 64 lower-case hex digits that this crate has computed.
    pub(crate) fn whole(full: &str) -> Self {
        Self(full.to_owned())
    }

    /// Whether `full`, a whole digest in lower-case hex, begins with this one.
    pub fn is_prefix_of(&self, full: &str) -> bool {
        full.starts_with(&self.0)
    }

    /// The hex digits, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let valid = (6..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if valid { Ok(Self(text.to_ascii_lowercase())) } else { Err(InvalidDigest(text.to_owned())) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The whole digest of what `hasher` has seen, in lower-case hex.
pub(crate) fn finish(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The whole digest of a short text, in lower-case hex.
pub(crate) fn of_text(text: &str) -> String {
    finish(Sha256::new_with_prefix(text))
}

/// Reads a file to its end and returns its whole digest in lower-case hex.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    feed(&mut File::open(path)?, &mut hasher)?;
    Ok(finish(hasher))
}

/// Feeds what is left of `reader` to `hasher`; returns the number of bytes.
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
    fn digests_are_taken_off_file_names() {
        for (name, expected) in [
            ("resnext50_32x4d_gn-c7e8b754.pth", "resnext50_32x4d_gn.pth"),
            ("model_9e5bac", "model"),
            ("resnet50_20200130.pth", "resnet50_20200130.pth"),
            ("-c7e8b754.pth", "-c7e8b754.pth"),
        ] {
            assert_eq!(Digest::without(name), expected);
        }
    }

    #[test]
    fn text_that_is_no_digest_is_refused() {
        for text in ["", "abcde", "abcdefg", "0x123456", " abcdef"] {
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn hashing_is_sha256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_text("abc"), expected);
        let mut hasher = Sha256::new();
        assert_eq!(feed(&mut "abc".as_bytes(), &mut hasher).unwrap(), 3);
        assert_eq!(finish(hasher), expected);
    }
}
