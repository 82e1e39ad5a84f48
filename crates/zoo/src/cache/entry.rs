//! Where a file is in the cache folder, and whether it is good.
//!
//! `HOME/checkpoints/NAME` holds files whose names contain their digest, `HOME/checkpoints/by-url/KEY/NAME` the others:
//! the digest, or else the URL, distinguishes files of the same name. `HOME/checkpoints/.state/` holds locks, partial
//! files and stamps, so that all renames stay within one file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cache::stamp;
use crate::digest::{self, Digest};
use crate::error::{Error, ErrorKind};
use crate::fs_util::is_absent;
use crate::source_url::SourceUrl;
use crate::tables::expected_digest::ExpectedDigest;

/// The folder of cached files in the cache folder.
pub(crate) const FOLDER: &str = "checkpoints";
/// The folder in it of files whose names contain no digest.
pub(crate) const BY_URL: &str = "by-url";

/// The place of one file in the cache folder.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The final path.
    pub(crate) path: PathBuf,
    /// The known digest of the content.
    pub(crate) digest: Option<Digest>,
    state: PathBuf,
}

impl Entry {
    /// The place of a URL's file.
    pub(crate) fn new(home: &Path, url: &SourceUrl, expected: ExpectedDigest) -> Self {
        let name = url.file_name();
        let root = home.join(FOLDER);
        let key = digest::of_text(&url.identity());
        let by_url = root.join(BY_URL).join(&key.as_str()[..16]);
        let path = match Digest::of_file_name(name) {
            Some(_) if expected.name_is_right => root.join(name),
            Some(_) => by_url.join(Digest::strip(name)),
            None => by_url.join(name),
        };
        Self::at(home, path, expected.digest)
    }

    /// The file at a path inside the cache folder.
    pub(crate) fn at(home: &Path, path: PathBuf, digest: Option<Digest>) -> Self {
        let state = state_folder(home).join(state_key(home, &path));
        Self { path, digest, state }
    }

    /// An entry of which only the state files are known, by their path without extension.
    pub(crate) fn of_state(state: PathBuf) -> Self {
        Self { path: PathBuf::new(), digest: None, state }
    }

    /// The state file for a purpose: `lock`, `part` and so on.
    pub(crate) fn state_file(&self, purpose: &str) -> PathBuf {
        self.state.with_extension(purpose)
    }

    /// Checks the cached file, which is hashed unless its stamp is valid. Without an expected digest, the content must
    /// still be the one in the stamp.
    pub(crate) fn check(&self, expected: Option<&Digest>) -> Result<Cached, Error> {
        if expected.is_some() {
            return self.check_against(expected);
        }
        match stamp::read(&self.state_file("stamp")) {
            Some((_, digest)) => self.check_against(Some(&digest)),
            None => self.check_against(None),
        }
    }

    /// Checks that a file of the user exists and has the entry's digest, if that is known.
    pub(crate) fn check_user_file(&self) -> Result<(), Error> {
        match self.check_against(self.digest.as_ref())? {
            Cached::Good => Ok(()),
            Cached::Missing => {
                Err(Error::new("", ErrorKind::NotAFile { file: self.path.clone(), reason: "there is no such file" }))
            }
            Cached::Wrong { expected, found } => {
                Err(Error::new("", ErrorKind::WrongDigest { file: self.path.clone(), expected, found }))
            }
        }
    }

    fn check_against(&self, expected: Option<&Digest>) -> Result<Cached, Error> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if is_absent(&error) => return Ok(Cached::Missing),
            Err(error) => return Err(Error::io("read", &self.path, error)),
        };
        if !metadata.is_file() {
            return Err(not_a_file(&self.path));
        }
        let Some(expected) = expected else { return Ok(Cached::Good) };
        let stamp = self.state_file("stamp");
        let found = match stamp::read(&stamp) {
            Some((identity, digest)) if identity == stamp::identity(&metadata) => digest,
            _ => {
                let digest = digest::of_file(&self.path).map_err(|error| Error::io("read", &self.path, error))?;
                if expected.is_prefix_of(&digest) {
                    stamp::write(&stamp, &metadata, &digest);
                }
                digest
            }
        };
        if expected.is_prefix_of(&found) {
            return Ok(Cached::Good);
        }
        Ok(Cached::Wrong { expected: expected.clone(), found })
    }

    /// Removes a bad file, so that nobody uses it.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove the bad file", &self.path, error))
            }
            _ => Ok(()),
        }
    }
}

/// The state of a cached file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cached {
    Missing,
    Good,
    /// The content has another digest.
    Wrong {
        expected: Digest,
        /// The whole digest of the content.
        found: Digest,
    },
}

/// The folder of locks, partial files and stamps.
pub(crate) fn state_folder(home: &Path) -> PathBuf {
    home.join(FOLDER).join(".state")
}

/// The name, without extension, of the state files of the file at `path`.
pub(crate) fn state_key(home: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(home).unwrap_or(path);
    digest::of_text(&relative.to_string_lossy()).as_str()[..32].to_owned()
}

pub(crate) fn not_a_file(path: &Path) -> Error {
    let reason = "something else has its name";
    Error::new("", ErrorKind::NotAFile { file: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Network;
    use crate::zoo::Zoo;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn entry(home: &Path, url: &str) -> Entry {
        Zoo::new(home).unwrap().entry(&SourceUrl::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn files_of_one_name_are_distinguished_by_digest_or_url() {
        let home = Path::new("/home");
        let with = |url| entry(home, url).path;
        assert_eq!(with("https://h/a/x-ba7816bf.pth?q"), home.join("checkpoints/x-ba7816bf.pth"));
        let (one, two) = (with("https://h/a/x.pth"), with("https://h/b/x.pth"));
        assert_ne!(one, two);
        assert!(one.starts_with("/home/checkpoints/by-url") && one.ends_with("x.pth"));
        assert_eq!(with("https://user:pass@h/a/x.pth#f"), one);
    }

    #[test]
    fn a_stamp_saves_hashing_until_the_file_changes() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path(), "https://h/x-ba7816bf.pth");
        let expected = entry.digest.clone();
        assert_eq!(entry.check(expected.as_ref()).unwrap(), Cached::Missing);
        let _lock = entry.lock(&Network::default()).unwrap();
        fs::write(&entry.path, "abc").unwrap();
        assert_eq!(entry.check(expected.as_ref()).unwrap(), Cached::Good);
        let stamp = entry.state_file("stamp");
        assert!(fs::read_to_string(&stamp).unwrap().ends_with(&format!(" {ABC}\n")));

        // The stamp is trusted: a false digest in it is returned.
        let lie = fs::read_to_string(&stamp).unwrap().replace(ABC, &"0".repeat(64));
        fs::write(&stamp, lie).unwrap();
        let believed = entry.check(expected.as_ref()).unwrap();
        assert!(matches!(believed, Cached::Wrong { found, .. } if found.as_str() == "0".repeat(64)));

        fs::write(&entry.path, "abcd").unwrap();
        let seen = entry.check(expected.as_ref()).unwrap();
        assert!(matches!(seen, Cached::Wrong { found, .. } if found.as_str() != "0".repeat(64)));
        entry.remove().unwrap();
        assert_eq!(entry.check(expected.as_ref()).unwrap(), Cached::Missing);
    }

    #[test]
    fn a_file_without_a_digest_must_stay_as_it_was_stamped() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path(), "https://h/x.pth");
        let _lock = entry.lock(&Network::default()).unwrap();
        fs::write(&entry.path, "abc").unwrap();
        stamp::write(&entry.state_file("stamp"), &fs::metadata(&entry.path).unwrap(), &ABC.parse().unwrap());
        assert_eq!(entry.check(None).unwrap(), Cached::Good);
        fs::write(&entry.path, "abd").unwrap();
        assert!(matches!(entry.check(None).unwrap(), Cached::Wrong { expected, .. } if expected.as_str() == ABC));
    }

    #[test]
    fn a_folder_under_the_final_name_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path(), "https://h/x-ba7816bf.pth");
        fs::create_dir_all(&entry.path).unwrap();
        let error = entry.check(entry.digest.as_ref()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotAFile { .. }), "{error}");
    }
}
