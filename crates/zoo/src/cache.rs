//! Where a file lies in the cache folder, and whether what lies there is good.
//!
//! `HOME/checkpoints/NAME` holds files whose names carry their digest, `HOME/checkpoints/by-url/KEY/NAME` the others: the
//! digest, or else the URL, keeps apart different files of one name. `HOME/checkpoints/.state/` holds locks, partial
//! files and stamps, so that all renames stay within one file system.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::{self, Digest};
use crate::error::{Error, ErrorKind};
use crate::known::Known;
use crate::source::SourceUrl;

/// The folder of the cached files in the cache folder.
pub(crate) const FOLDER: &str = "checkpoints";
/// The folder in it of those whose names carry no digest.
pub(crate) const BY_URL: &str = "by-url";

/// The place of one URL's file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Final path.
    pub(crate) path: PathBuf,
    /// The digest that is known of the content, from its name or from a table.
    pub(crate) digest: Option<Digest>,
    state: PathBuf,
}

impl Entry {
    /// The place of a URL in the cache folder.
    pub(crate) fn new(home: &Path, url: &SourceUrl) -> Result<Self, Error> {
        let known = Known::of(home, url)?;
        let named = Digest::of_file_name(url.file_name()).is_some();
        let root = home.join(FOLDER);
        let by_url = || root.join(BY_URL).join(&digest::of_text(&url.identity())[..16]);
        let path = match (named, known.name_is_right) {
            (true, true) => root.join(url.file_name()),
            (true, false) => by_url().join(Digest::without(url.file_name())),
            (false, _) => by_url().join(url.file_name()),
        };
        Ok(Self::at(home, path, known.digest))
    }

    /// The file at a path inside the cache folder.
    pub(crate) fn at(home: &Path, path: PathBuf, digest: Option<Digest>) -> Self {
        let state = state_folder(home).join(state_key(home, &path));
        Self { path, digest, state }
    }

    /// An entry of which only the beginning of the names of its other files is known.
    pub(crate) fn of_state(state: PathBuf) -> Self {
        Self { path: PathBuf::new(), digest: None, state }
    }

    /// A file beside the final one for `purpose`: `lock`, `part` and so on.
    pub(crate) fn state_file(&self, purpose: &str) -> PathBuf {
        self.state.with_extension(purpose)
    }

    /// What is in the cache, hashed unless its stamp says that it was. Without an expected digest the content must still
    /// be the one that was stamped.
    pub(crate) fn check(&self, expected: Option<&Digest>) -> Result<Cached, Error> {
        let stamp = self.state_file("stamp");
        let stamped = || read_stamp(&stamp).and_then(|(_, full)| full.parse().ok());
        check(&self.path, &stamp, expected.cloned().or_else(stamped).as_ref())
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

/// What lies under a final name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cached {
    Missing,
    Good,
    /// Another content than expected.
    Wrong {
        /// The digest or its prefix that the content should have.
        expected: Digest,
        /// The whole digest that it has.
        found: String,
    },
}

/// Verifies a file of the user inside the cache folder by the digest in its name or the one given.
pub(crate) fn check_local(home: &Path, path: &Path, expected: Option<&Digest>) -> Result<(), Error> {
    match check(path, &state_folder(home).join(state_key(home, path)).with_extension("stamp"), expected)? {
        Cached::Good => Ok(()),
        Cached::Missing => {
            Err(Error::new("", ErrorKind::NotAFile { file: path.to_owned(), reason: "there is no such file" }))
        }
        Cached::Wrong { expected, found } => {
            Err(Error::new("", ErrorKind::WrongDigest { file: path.to_owned(), expected, found }))
        }
    }
}

fn check(path: &Path, stamp: &Path, expected: Option<&Digest>) -> Result<Cached, Error> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if is_absent(&error) => return Ok(Cached::Missing),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    if !metadata.is_file() {
        return Err(Error::new(
            "",
            ErrorKind::NotAFile { file: path.to_owned(), reason: "something else has its name" },
        ));
    }
    let Some(expected) = expected else { return Ok(Cached::Good) };
    let full = match read_stamp(stamp) {
        Some((seen, full)) if seen == identity(&metadata) => full,
        _ => {
            let full = digest::of_file(path).map_err(|error| Error::io("read", path, error))?;
            if expected.is_prefix_of(&full) {
                write_stamp(stamp, &metadata, &full);
            }
            full
        }
    };
    if expected.is_prefix_of(&full) {
        return Ok(Cached::Good);
    }
    Ok(Cached::Wrong { expected: expected.clone(), found: full })
}

/// Where locks, partial files and stamps lie.
pub(crate) fn state_folder(home: &Path) -> PathBuf {
    home.join(FOLDER).join(".state")
}

/// The name, without extension, of what belongs to the file at `path`.
pub(crate) fn state_key(home: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(home).unwrap_or(path);
    digest::of_text(&inside.to_string_lossy())[..32].to_owned()
}

/// Whether the open `file` is the one that has the name `path`.
#[cfg(unix)]
pub(crate) fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
pub(crate) fn is_named(_: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Removes what stands under the name of a file of this crate and is none: through a link something elsewhere would be
/// written, and a pipe would never end. A folder stays, and is an error when the file is opened.
pub(crate) fn make_way(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() || metadata.is_dir() => Ok(()),
        Ok(_) => fs::remove_file(path),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The text of a small file of this crate, if there is one.
pub(crate) fn read_own(path: &Path) -> Option<String> {
    fs::symlink_metadata(path).ok().filter(Metadata::is_file)?;
    fs::read_to_string(path).ok()
}

/// A stamp is one line: what the system says of the file, and the whole digest it had then.
pub(crate) fn write_stamp(stamp: &Path, metadata: &Metadata, full: &str) {
    let written = stamp.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| make_way(stamp));
    if let Err(error) = written.and_then(|()| fs::write(stamp, format!("{} {full}\n", identity(metadata)))) {
        log::debug!("cannot write the stamp {}: {error}", stamp.display());
    }
}

/// What the system said of the file when it was last hashed, and its digest then.
pub(crate) fn read_stamp(stamp: &Path) -> Option<(String, String)> {
    let text = read_own(stamp)?;
    let (seen, full) = text.strip_suffix('\n')?.rsplit_once(' ')?;
    (full.len() == 64).then(|| (seen.to_owned(), full.to_owned()))
}

/// What the system says of a file: length, time, inode, and the time of the last change of anything, its name included, which
/// no program can set.
pub(crate) fn identity(metadata: &Metadata) -> String {
    format!("{}{}", content_identity(metadata), changed(metadata))
}

/// The same without what a new name changes.
pub(crate) fn content_identity(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{} {}{}", metadata.len(), modified.as_nanos(), inode(metadata))
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(" {}", metadata.ino())
}

#[cfg(unix)]
fn changed(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!(" {}.{}", metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> String {
    String::new()
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> String {
    String::new()
}

/// The time by the clock of the file system, which may be another machine's. The folders of the entry have to be there.
pub(crate) fn now(entry: &Entry) -> io::Result<SystemTime> {
    let mut file = File::options().create(true).truncate(false).write(true).open(entry.state_file("lock"))?;
    file.write_all(b"\n")?;
    file.metadata()?.modified()
}

/// Whether there is no such file, or a file where a folder of its path would be.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Network;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn entry(home: &Path, url: &str) -> Entry {
        Entry::new(home, &SourceUrl::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn files_of_one_name_are_kept_apart_by_digest_or_url() {
        let home = Path::new("/home");
        let with = |url| entry(home, url).path;
        assert_eq!(with("https://h/a/x-ba7816bf.pth?q"), home.join("checkpoints/x-ba7816bf.pth"));
        let (one, two) = (with("https://h/a/x.pth"), with("https://h/b/x.pth"));
        assert_ne!(one, two);
        assert!(one.starts_with("/home/checkpoints/by-url") && one.ends_with("x.pth"));
        assert_eq!(with("https://user:pass@h/a/x.pth#f"), one);
    }

    #[test]
    fn a_stamp_spares_the_hash_until_the_file_is_touched() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path(), "https://h/x-ba7816bf.pth");
        let expected = entry.digest.clone();
        assert_eq!(entry.check(expected.as_ref()).unwrap(), Cached::Missing);
        let _lock = entry.lock(&Network::default()).unwrap();
        fs::write(&entry.path, "abc").unwrap();
        assert_eq!(entry.check(expected.as_ref()).unwrap(), Cached::Good);
        let stamp = entry.state_file("stamp");
        assert!(fs::read_to_string(&stamp).unwrap().ends_with(&format!(" {ABC}\n")));

        // The stamp is what answers: a false digest in it is believed.
        let lie = fs::read_to_string(&stamp).unwrap().replace(ABC, &"0".repeat(64));
        fs::write(&stamp, lie).unwrap();
        let believed = entry.check(expected.as_ref()).unwrap();
        assert!(matches!(believed, Cached::Wrong { found, .. } if found == "0".repeat(64)));

        fs::write(&entry.path, "abcd").unwrap();
        let seen = entry.check(expected.as_ref()).unwrap();
        assert!(matches!(seen, Cached::Wrong { found, .. } if found != "0".repeat(64)));
        entry.remove().unwrap();
        assert_eq!(entry.check(expected.as_ref()).unwrap(), Cached::Missing);
    }

    #[test]
    fn a_file_without_a_digest_must_stay_as_it_was_stamped() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path(), "https://h/x.pth");
        let _lock = entry.lock(&Network::default()).unwrap();
        fs::write(&entry.path, "abc").unwrap();
        write_stamp(&entry.state_file("stamp"), &fs::metadata(&entry.path).unwrap(), ABC);
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
