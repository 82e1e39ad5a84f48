//! A download in progress: each process has a file of its own, which grows, is hashed, and is renamed once it is right.
//!
//! Its name is random, so that two processes never write to one file, even without locks. What a process has left
//! behind goes to another by a rename, which succeeds for only one of them.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::cache::entry::Entry;
use crate::cache::file_lock::Guard;
use crate::cache::{leftovers, stamp};
use crate::digest::{self, BUFFER, Digest};
use crate::error::{Error, ErrorKind};
use crate::fs_util::{is_at, random_suffix, read_regular, remove_special};

/// The partial file of one [`Entry`].
pub(crate) struct Partial<'a> {
    entry: &'a Entry,
    guard: &'a Guard,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    length: u64,
    origin: Origin,
}

/// Where the bytes of a partial file came from: it may only be continued from the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    /// The hash of the URL without user and password; its query may contain a secret.
    url: String,
    /// The strong `ETag`, else `Last-Modified`, if the server sent one.
    validator: Option<String>,
}

impl<'a> Partial<'a> {
    /// Opens a partial file, with the bytes that an earlier run left of the same URL. Those of other URLs are removed.
    pub(crate) fn open(entry: &'a Entry, guard: &'a Guard, url: &str) -> Result<Self, Error> {
        let path = entry.state_file(&format!("{}-{}.part", leftovers::machine(), random_suffix()));
        let url: String = digest::of_text(url).into();
        let adopted = adopt(entry, guard, &url, &path).map_err(|error| Error::io("open", &path, error))?;
        let mut options = File::options();
        options.read(true).write(true).create_new(adopted.is_none());
        let mut file = options.open(&path).map_err(|error| Error::io("open", &path, error))?;
        let mut hasher = Sha256::new();
        let length = digest::feed(&mut file, &mut hasher).map_err(|error| Error::io("read", &path, error))?;
        let origin = adopted.unwrap_or(Origin { url, validator: None });
        Ok(Self { entry, guard, path, file, hasher, length, origin })
    }

    /// The number of bytes in the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The validator of these bytes.
    pub(crate) fn validator(&self) -> Option<&str> {
        self.origin.validator.as_deref()
    }

    /// Discards the bytes; the next ones belong to `validator`.
    pub(crate) fn restart(&mut self, validator: Option<String>) -> Result<(), Error> {
        self.empty().map_err(|error| Error::io("empty", &self.path, error))?;
        self.hasher = Sha256::new();
        self.length = 0;
        self.origin.validator = validator;
        let path = self.path.with_extension("origin");
        self.origin.write(&path).map_err(|error| Error::io("write", &path, error))
    }

    fn empty(&mut self) -> io::Result<()> {
        self.check_identity()?;
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(())
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write(bytes).map_err(|error| Error::io("write", &self.path, error))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.check_identity()?;
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Appends the content of a local file.
    pub(crate) fn append_all(&mut self, source: &mut impl Read, progress: impl Fn(u64)) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok(()),
                count => {
                    self.write(&buffer[..count])?;
                    progress(self.length);
                }
            }
        }
    }

    /// Gives the file its final name if its digest is right, and otherwise removes it.
    pub(crate) fn finish(mut self, expected: Option<&Digest>) -> Result<(), Error> {
        let found = digest::finish(self.hasher.clone());
        if let Some(expected) = expected
            && !expected.is_prefix_of(&found)
        {
            let (file, expected) = (self.entry.path.clone(), expected.clone());
            self.discard();
            return Err(Error::new("", ErrorKind::WrongDigest { file, expected, found }));
        }
        self.file.sync_all().map_err(|error| Error::io("write", &self.path, error))?;
        if let Err(error) = self.check_content(&found) {
            let error = Error::io("verify", &self.path, error);
            self.discard();
            return Err(error);
        }
        self.check_identity().map_err(|error| Error::io("name", &self.path, error))?;
        let before = self.file.metadata().map_err(|error| Error::io("name", &self.path, error))?;
        let target = &self.entry.path;
        fs::rename(&self.path, target).map_err(|error| Error::io("give the file its name", target, error))?;
        // Make the name durable if the system supports it.
        if let Some(folder) = target.parent()
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        let _ = fs::remove_file(self.path.with_extension("origin"));
        // The stamp is of the open file, whatever has its name by now; only its name has changed since it was verified.
        if let Ok(metadata) = self.file.metadata()
            && stamp::content_identity(&metadata) == stamp::content_identity(&before)
        {
            stamp::write(&self.entry.state_file("stamp"), &metadata, &found);
        }
        Ok(())
    }

    /// Removes the partial file. If that fails, it is left to the next fetch.
    pub(crate) fn discard(self) {
        remove(&self.path);
    }

    /// Checks the length of the file, and, if locks do not exclude others, its whole content.
    fn check_content(&mut self, expected: &Digest) -> io::Result<()> {
        if self.file.metadata()?.len() != self.length {
            return Err(io::Error::other("another process has changed its length"));
        }
        if self.guard.excludes {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(0))?;
        if Digest::of_reader(&mut self.file)? == *expected {
            return Ok(());
        }
        Err(io::Error::other("another process has changed it"))
    }

    /// Another process may have cleared the folder, or taken the file because it considered this process dead.
    fn check_identity(&self) -> io::Result<()> {
        if is_at(&self.file, &self.path)? {
            return Ok(());
        }
        Err(io::Error::other("another process has taken or removed it"))
    }
}

impl Origin {
    fn read(path: &Path) -> Option<Self> {
        let text = read_regular(path)?;
        let (url, validator) = text.strip_suffix('\n')?.split_once('\n')?;
        // Earlier versions wrote the URL itself.
        let url = if url.contains("://") { digest::of_text(url).into() } else { url.to_owned() };
        let validator = if validator.is_empty() { None } else { Some(validator.to_owned()) };
        Some(Self { url, validator })
    }

    /// Writes a file that only its owner can read.
    fn write(&self, path: &Path) -> io::Result<()> {
        remove_special(path)?;
        let mut options = File::options();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let text = format!("{}\n{}\n", self.url, self.validator.as_deref().unwrap_or_default());
        options.open(path)?.write_all(text.as_bytes())
    }
}

/// Renames the longest abandoned file of the URL to `target` and removes the other abandoned ones. Returns the origin of
/// the adopted file.
fn adopt(entry: &Entry, guard: &Guard, url: &str, target: &Path) -> io::Result<Option<Origin>> {
    let mut candidates = Vec::new();
    for path in leftovers::abandoned(entry, guard.excludes)? {
        match (Origin::read(&path.with_extension("origin")), fs::symlink_metadata(&path)) {
            (Some(origin), Ok(metadata)) if origin.url == url && metadata.is_file() => {
                candidates.push((metadata.len(), path, origin));
            }
            _ => remove(&path),
        }
    }
    candidates.sort_by_key(|(length, ..)| *length);
    let mut adopted = None;
    for (_, path, origin) in candidates.into_iter().rev() {
        // The rename fails if another process was faster.
        if adopted.is_none() && fs::rename(&path, target).is_ok() {
            let _ = fs::rename(path.with_extension("origin"), target.with_extension("origin"));
            adopted = Some(origin);
        } else {
            remove(&path);
        }
    }
    Ok(adopted)
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_file(path.with_extension("origin"));
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::cache::leftovers::{ABANDONED, abandoned, all};
    use crate::options::Network;
    use crate::source_url::SourceUrl;
    use crate::zoo::Zoo;

    fn entry(home: &Path) -> Entry {
        Zoo::new(home).unwrap().entry(&SourceUrl::parse("https://h/x-ba7816bf.pth").unwrap()).unwrap()
    }

    fn lock(entry: &Entry) -> Guard {
        entry.lock(&Network::default()).unwrap()
    }

    /// Leaves two bytes of the URL `u` behind, and returns the file.
    fn leave(entry: &Entry, guard: &Guard) -> PathBuf {
        let mut partial = Partial::open(entry, guard, "u").unwrap();
        partial.restart(Some("\"tag\"".to_owned())).unwrap();
        partial.append(b"ab").unwrap();
        partial.path
    }

    #[test]
    fn an_interrupted_download_is_continued_from_the_same_url_only() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        let guard = lock(&entry);
        let left = leave(&entry, &guard);

        let other = Partial::open(&entry, &guard, "u").unwrap();
        assert_eq!((other.length(), other.validator()), (2, Some("\"tag\"")));
        assert!(other.path != left && !left.exists() && !left.with_extension("origin").exists());
        drop(other);
        assert_eq!(Partial::open(&entry, &guard, "v").unwrap().length(), 0);
        assert_eq!(all(&entry).unwrap().len(), 1);
    }

    #[test]
    fn without_locks_only_old_files_are_adopted() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        drop(lock(&entry));
        let guard = Guard::none();
        let left = leave(&entry, &guard);
        assert_eq!(Partial::open(&entry, &guard, "u").unwrap().length(), 0);
        let file = File::options().write(true).open(&left).unwrap();
        file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        assert_eq!(Partial::open(&entry, &guard, "u").unwrap().length(), 2);
        assert!(!left.exists());
    }

    #[test]
    fn files_of_another_machine_are_adopted_when_they_are_old() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        let guard = lock(&entry);
        let theirs = entry.state_file("0123456789ab-0123456789abcdef.part");
        fs::rename(leave(&entry, &guard), &theirs).unwrap();
        assert_eq!(Partial::open(&entry, &guard, "u").unwrap().length(), 0);
        assert!(theirs.exists());
        assert_eq!(abandoned(&entry, guard.excludes).unwrap().len(), 1);
    }

    #[test]
    fn only_the_right_content_gets_the_final_name() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        for guard in [lock(&entry), Guard::none()] {
            let mut partial = Partial::open(&entry, &guard, "u").unwrap();
            partial.append(b"abx").unwrap();
            let error = partial.finish(entry.digest.as_ref()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::WrongDigest { .. }), "{error}");
            assert!(!entry.path.exists() && all(&entry).unwrap().is_empty());

            let mut partial = Partial::open(&entry, &guard, "u").unwrap();
            partial.append(b"abc").unwrap();
            partial.finish(entry.digest.as_ref()).unwrap();
            assert_eq!(fs::read(&entry.path).unwrap(), b"abc");
            assert!(all(&entry).unwrap().is_empty());
            // The stamp is of the renamed file, so that it is not hashed again.
            let (seen, _) = stamp::read(&entry.state_file("stamp")).unwrap();
            assert_eq!(seen, stamp::identity(&fs::metadata(&entry.path).unwrap()));
            fs::remove_file(&entry.path).unwrap();
        }
    }

    #[test]
    fn a_file_changed_by_another_process_never_gets_the_final_name() {
        type Change = fn(&Path);
        let changes: [Change; 5] = [
            |path| drop(fs::rename(path, path.with_extension("kept"))),
            |path| fs::rename(path, path.with_extension("kept")).and_then(|()| fs::write(path, "abc")).unwrap(),
            |path| fs::remove_file(path).unwrap(),
            |path| fs::write(path, "ab").unwrap(),
            |path| fs::write(path, "abd").unwrap(),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let home = tempfile::tempdir().unwrap();
            let entry = entry(home.path());
            drop(lock(&entry));
            let guard = Guard::none();
            let mut partial = Partial::open(&entry, &guard, "u").unwrap();
            partial.append(b"abc").unwrap();
            change(&partial.path);
            assert!(partial.finish(entry.digest.as_ref()).is_err(), "{index}");
            assert!(!entry.path.exists(), "{index}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_origin_of_bytes_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        let guard = lock(&entry);
        let mut partial = Partial::open(&entry, &guard, "https://h/x.pth?token=secret").unwrap();
        partial.restart(None).unwrap();
        let origin = partial.path.with_extension("origin");
        assert_eq!(fs::metadata(&origin).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&origin).unwrap().contains("secret"));
        // Origins of earlier versions are supported.
        fs::write(&origin, "u\n\"tag\"\n").unwrap();
        assert_eq!(Origin::read(&origin).unwrap().validator.as_deref(), Some("\"tag\""));
        fs::write(&origin, "https://h/x.pth\n\n").unwrap();
        assert_eq!(Origin::read(&origin).unwrap().url, digest::of_text("https://h/x.pth").as_str());
    }
}
