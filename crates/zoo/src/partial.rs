//! A download in progress: a file of its own for each process, which grows, is hashed, and is renamed when it is right.
//!
//! Its name is random, so that two processes never write to one file, also where locks keep nobody out. What a process has
//! left behind goes to another by a rename, which only one of them gets.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::cache::{self, Entry, write_stamp};
use crate::digest::{self, BUFFER, Digest};
use crate::error::{Error, ErrorKind};
use crate::guard::{self, Guard};

/// What was not written for so long has been left behind: a download without a byte ends before.
const ABANDONED: Duration = Duration::from_secs(180);

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

/// Where the bytes of a partial file came from: they may only be continued from the same place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Origin {
    /// The URL without user and password, hashed: its query may hold a secret.
    url: String,
    /// Strong `ETag`, else `Last-Modified`, where the server told one.
    validator: Option<String>,
}

impl<'a> Partial<'a> {
    /// Opens a partial file with what an earlier run left of the same URL; what it left of others is removed.
    pub(crate) fn open(entry: &'a Entry, guard: &'a Guard, url: &str) -> Result<Self, Error> {
        let path = entry.state_file(&format!("{}-{}.part", guard::machine(), random()));
        let fail = |error| Error::io("open", &path, error);
        let mut options = File::options();
        options.read(true).write(true);
        let url = digest::of_text(url);
        let origin = adopt(entry, guard, &url, &path).map_err(fail)?;
        let mut file = options.create_new(origin.is_none()).open(&path).map_err(fail)?;
        let mut hasher = Sha256::new();
        let length = digest::feed(&mut file, &mut hasher).map_err(|error| Error::io("read", &path, error))?;
        let origin = origin.unwrap_or(Origin { url, validator: None });
        Ok(Self { entry, guard, path, file, hasher, length, origin })
    }

    /// Bytes that are there.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The validator that the bytes there belong to.
    pub(crate) fn validator(&self) -> Option<&str> {
        self.origin.validator.as_deref()
    }

    /// Throws away what is there; what comes next belongs to `validator`.
    pub(crate) fn restart(&mut self, validator: Option<String>) -> Result<(), Error> {
        self.check_identity().map_err(self.fail("empty"))?;
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(self.fail("empty"))?;
        (self.hasher, self.length, self.origin.validator) = (Sha256::new(), 0, validator);
        let path = self.path.with_extension("origin");
        self.origin.write(&path).map_err(|error| Error::io("write", &path, error))
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write(bytes).map_err(self.fail("write"))
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.check_identity()?;
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Appends all of a local file.
    pub(crate) fn append_all(&mut self, source: &mut impl Read, progress: impl Fn(u64)) -> std::io::Result<()> {
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

    /// Gives the file its final name if its digest is right; otherwise removes it.
    pub(crate) fn finish(mut self, expected: Option<&Digest>) -> Result<(), Error> {
        let full = digest::finish(self.hasher.clone());
        if let Some(expected) = expected.filter(|expected| !expected.is_prefix_of(&full)) {
            let (file, expected) = (self.entry.path.clone(), expected.clone());
            self.discard();
            return Err(Error::new("", ErrorKind::WrongDigest { file, expected, found: full }));
        }
        self.file.sync_all().map_err(self.fail("write"))?;
        if let Err(error) = self.check_content(&full) {
            let fail = self.fail("verify");
            self.discard();
            return Err(fail(error));
        }
        self.check_identity().map_err(self.fail("name"))?;
        let before = self.file.metadata().map_err(self.fail("name"))?;
        let target = &self.entry.path;
        fs::rename(&self.path, target).map_err(|error| Error::io("give the file its name", target, error))?;
        // The name itself is made durable where the system can do so.
        if let Some(Ok(folder)) = target.parent().map(File::open) {
            let _ = folder.sync_all();
        }
        let _ = fs::remove_file(self.path.with_extension("origin"));
        // Of this file, whatever has its name now; the name alone has changed since it was verified.
        if let Ok(metadata) = self.file.metadata()
            && cache::content_identity(&metadata) == cache::content_identity(&before)
        {
            write_stamp(&self.entry.state_file("stamp"), &metadata, &full);
        }
        Ok(())
    }

    /// Removes the partial file; what cannot be removed is left to the next fetch.
    pub(crate) fn discard(self) {
        remove(&self.path);
    }

    /// Whether the file has what was written: its length, and where locks keep nobody out all of it.
    fn check_content(&mut self, full: &str) -> std::io::Result<()> {
        if self.file.metadata()?.len() != self.length {
            return Err(std::io::Error::other("another process has changed its length"));
        }
        if self.guard.excludes {
            return Ok(());
        }
        self.file.seek(SeekFrom::Start(0))?;
        let mut hasher = Sha256::new();
        digest::feed(&mut self.file, &mut hasher)?;
        if digest::finish(hasher) == full {
            return Ok(());
        }
        Err(std::io::Error::other("another process has changed it"))
    }

    /// Somebody who clears the folder while this runs, or who took this process for dead, has the file.
    fn check_identity(&self) -> std::io::Result<()> {
        if cache::is_named(&self.file, &self.path)? {
            return Ok(());
        }
        Err(std::io::Error::other("another process has taken or removed it"))
    }

    fn fail(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = self.path.clone();
        move |error| Error::io(action, &path, error)
    }
}

impl Origin {
    fn read(path: &Path) -> Option<Self> {
        let text = cache::read_own(path)?;
        let (url, validator) = text.strip_suffix('\n')?.split_once('\n')?;
        let validator = Some(validator.to_owned()).filter(|validator| !validator.is_empty());
        // Earlier versions wrote the URL itself.
        let url = if url.contains("://") { digest::of_text(url) } else { url.to_owned() };
        Some(Self { url, validator })
    }

    /// Writes a file that nobody else can read.
    fn write(&self, path: &Path) -> std::io::Result<()> {
        cache::make_way(path)?;
        let mut options = File::options();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let text = format!("{}\n{}\n", self.url, self.validator.as_deref().unwrap_or_default());
        options.open(path)?.write_all(text.as_bytes())
    }
}

/// Gives the longest file that was left of the URL the name `own`, and removes the others that were left; returns where it
/// came from. What another process may still write to is not touched.
fn adopt(entry: &Entry, guard: &Guard, url: &str, own: &Path) -> std::io::Result<Option<Origin>> {
    let mut candidates = Vec::new();
    for path in left_behind(entry, guard)? {
        let origin = Origin::read(&path.with_extension("origin")).filter(|origin| origin.url == url);
        match (origin, fs::symlink_metadata(&path)) {
            (Some(origin), Ok(metadata)) if metadata.is_file() => candidates.push((metadata.len(), path, origin)),
            _ => remove(&path),
        }
    }
    candidates.sort_by_key(|(length, ..)| *length);
    let mut adopted = None;
    for (_, path, origin) in candidates.into_iter().rev() {
        // Where it fails, another process was faster.
        if adopted.is_none() && fs::rename(&path, own).is_ok() {
            let _ = fs::rename(path.with_extension("origin"), own.with_extension("origin"));
            adopted = Some(origin);
        } else {
            remove(&path);
        }
    }
    Ok(adopted)
}

/// The partial files of an entry that no process writes to: where the lock keeps others out, those of this machine; and those
/// that were not written for long.
pub(crate) fn left_behind(entry: &Entry, guard: &Guard) -> std::io::Result<Vec<PathBuf>> {
    let ours = entry.state_file(&guard::machine());
    let found = all(entry)?;
    if found.is_empty() {
        return Ok(found);
    }
    let now = cache::now(entry)?;
    let is_left = |path: &PathBuf| {
        // Earlier versions had one name for all.
        let of_here = path == &entry.state_file("part") || path.to_string_lossy().starts_with(&*ours.to_string_lossy());
        guard.excludes && of_here || guard::age(path, now).is_some_and(|age| age > ABANDONED)
    };
    Ok(found.into_iter().filter(is_left).collect())
}

/// All partial files of an entry.
fn all(entry: &Entry) -> std::io::Result<Vec<PathBuf>> {
    let lock = entry.state_file("lock");
    let (Some(folder), Some(key)) = (lock.parent(), lock.file_stem()) else { return Ok(Vec::new()) };
    let beginning = format!("{}.", key.to_string_lossy());
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.starts_with(&beginning) && name.ends_with(".part") {
            found.push(file.path());
        }
    }
    Ok(found)
}

/// The partial files of an entry with their lengths and times: they change while a process gets on.
pub(crate) fn sizes(entry: &Entry) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut sizes = Vec::new();
    for path in all(entry).unwrap_or_default() {
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            sizes.push((path, metadata.len(), metadata.modified().ok()));
        }
    }
    sizes.sort();
    sizes
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_file(path.with_extension("origin"));
}

/// 16 hex digits that no other process has.
pub(crate) fn random() -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Network;
    use crate::source::SourceUrl;

    fn entry(home: &Path) -> Entry {
        Entry::new(home, &SourceUrl::parse("https://h/x-ba7816bf.pth").unwrap()).unwrap()
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
    fn without_locks_only_what_is_old_is_taken() {
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
    fn what_another_machine_has_left_is_taken_when_it_is_old() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        let guard = lock(&entry);
        let theirs = entry.state_file("0123456789ab-0123456789abcdef.part");
        fs::rename(leave(&entry, &guard), &theirs).unwrap();
        assert_eq!(Partial::open(&entry, &guard, "u").unwrap().length(), 0);
        assert!(theirs.exists());
        assert_eq!(left_behind(&entry, &guard).unwrap().len(), 1);
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
            // The stamp is of the file as it is named now, so that it is not hashed again.
            let (seen, _) = cache::read_stamp(&entry.state_file("stamp")).unwrap();
            assert_eq!(seen, cache::identity(&fs::metadata(&entry.path).unwrap()));
            fs::remove_file(&entry.path).unwrap();
        }
    }

    #[test]
    fn what_another_process_changes_never_gets_the_final_name() {
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
    fn where_bytes_came_from_is_nobody_elses_business() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        let guard = lock(&entry);
        let mut partial = Partial::open(&entry, &guard, "https://h/x.pth?token=secret").unwrap();
        partial.restart(None).unwrap();
        let origin = partial.path.with_extension("origin");
        assert_eq!(fs::metadata(&origin).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&origin).unwrap().contains("secret"));
        // Those of an earlier version are understood.
        fs::write(&origin, "u\n\"tag\"\n").unwrap();
        assert_eq!(Origin::read(&origin).unwrap().validator.as_deref(), Some("\"tag\""));
        fs::write(&origin, "https://h/x.pth\n\n").unwrap();
        assert_eq!(Origin::read(&origin).unwrap().url, digest::of_text("https://h/x.pth"));
    }
}
