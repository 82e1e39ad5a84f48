//! A download in progress: a file beside the final one that grows, is hashed, and is renamed when it is right.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::cache::{self, Entry};
use crate::digest::{self, BUFFER, Digest};
use crate::error::{Error, ErrorKind};

/// The partial file of one [`Entry`]; the entry's lock must be held.
pub(crate) struct Partial<'a> {
    entry: &'a Entry,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    length: u64,
    origin: Origin,
}

/// Where the bytes of a partial file came from: they may only be continued from the same place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The URL without user and password.
    pub(crate) url: String,
    /// Strong `ETag`, else `Last-Modified`, where the server told one.
    pub(crate) validator: Option<String>,
}

impl<'a> Partial<'a> {
    /// Opens the partial file with what an earlier run left of it; empty if that came from another URL.
    pub(crate) fn open(entry: &'a Entry, url: &str) -> Result<Self, Error> {
        let path = entry.state_file("part");
        let origin = read_origin(entry).filter(|origin| origin.url == url);
        let fail = |action| {
            let path = path.clone();
            move |error| Error::io(action, &path, error)
        };
        cache::make_way(&path).map_err(fail("open"))?;
        let mut options = File::options();
        options.create(true).truncate(origin.is_none()).read(true).write(true);
        let mut file = options.open(&path).map_err(fail("open"))?;
        let mut hasher = Sha256::new();
        let length = digest::feed(&mut file, &mut hasher).map_err(fail("read"))?;
        let origin = origin.unwrap_or_else(|| Origin { url: url.to_owned(), validator: None });
        Ok(Self { entry, path, file, hasher, length, origin })
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
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(self.fail("empty"))?;
        (self.hasher, self.length, self.origin.validator) = (Sha256::new(), 0, validator);
        let text = format!("{}\n{}\n", self.origin.url, self.origin.validator.as_deref().unwrap_or_default());
        let path = self.entry.state_file("origin");
        let write = || cache::make_way(&path).and_then(|()| fs::write(&path, text));
        write().map_err(|error| Error::io("write", &path, error))
    }

    /// Appends bytes.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(self.fail("write"))?;
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
                    self.file.write_all(&buffer[..count])?;
                    self.hasher.update(&buffer[..count]);
                    self.length += count as u64;
                    progress(self.length);
                }
            }
        }
    }

    /// Gives the file its final name if its digest is right; otherwise removes it.
    pub(crate) fn finish(self, expected: Option<&Digest>) -> Result<(), Error> {
        let full = digest::finish(self.hasher.clone());
        if let Some(expected) = expected.filter(|expected| !expected.is_prefix_of(&full)) {
            let (file, expected) = (self.entry.path.clone(), expected.clone());
            self.discard();
            return Err(Error::new("", ErrorKind::WrongDigest { file, expected, found: full }));
        }
        self.file.sync_all().map_err(self.fail("write"))?;
        self.check_identity().map_err(self.fail("name"))?;
        let target = &self.entry.path;
        fs::rename(&self.path, target).map_err(|error| Error::io("give the file its name", target, error))?;
        // The name itself is made durable where the system can do so.
        if let Some(Ok(folder)) = target.parent().map(File::open) {
            let _ = folder.sync_all();
        }
        let _ = fs::remove_file(self.entry.state_file("origin"));
        self.entry.stamp(&full);
        Ok(())
    }

    /// Removes the partial file; what cannot be removed is overwritten by the next fetch.
    pub(crate) fn discard(self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(self.entry.state_file("origin"));
    }

    /// Somebody who clears the folder while this runs may have made room for another partial file of the same name.
    fn check_identity(&self) -> std::io::Result<()> {
        if cache::is_named(&self.file, &self.path)? {
            return Ok(());
        }
        Err(std::io::Error::other("another process has replaced it"))
    }

    fn fail(&self, action: &'static str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = self.path.clone();
        move |error| Error::io(action, &path, error)
    }
}

fn read_origin(entry: &Entry) -> Option<Origin> {
    let text = cache::read_own(&entry.state_file("origin"))?;
    let (url, validator) = text.strip_suffix('\n')?.split_once('\n')?;
    let validator = Some(validator.to_owned()).filter(|validator| !validator.is_empty());
    Some(Origin { url: url.to_owned(), validator })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceUrl;

    fn entry(home: &std::path::Path) -> Entry {
        Entry::new(home, &SourceUrl::parse("https://h/x-ba7816bf.pth").unwrap()).unwrap()
    }

    #[test]
    fn an_interrupted_download_is_continued_from_the_same_url_only() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        let _lock = entry.lock().unwrap();
        let mut partial = Partial::open(&entry, "u").unwrap();
        partial.restart(Some("\"tag\"".to_owned())).unwrap();
        partial.append(b"ab").unwrap();
        drop(partial);

        let other = Partial::open(&entry, "u").unwrap();
        assert_eq!((other.length(), other.validator()), (2, Some("\"tag\"")));
        drop(other);
        assert_eq!(Partial::open(&entry, "v").unwrap().length(), 0);
    }

    #[test]
    fn only_the_right_content_gets_the_final_name() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        let _lock = entry.lock().unwrap();
        let mut partial = Partial::open(&entry, "u").unwrap();
        partial.append(b"abx").unwrap();
        let error = partial.finish(entry.digest.as_ref()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WrongDigest { .. }), "{error}");
        assert!(!entry.path.exists() && !entry.state_file("part").exists());

        let mut partial = Partial::open(&entry, "u").unwrap();
        partial.append(b"abc").unwrap();
        partial.finish(entry.digest.as_ref()).unwrap();
        assert_eq!(fs::read(&entry.path).unwrap(), b"abc");
        assert!(!entry.state_file("part").exists() && entry.state_file("stamp").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_partial_file_of_somebody_else_never_gets_the_final_name() {
        let home = tempfile::tempdir().unwrap();
        let entry = entry(home.path());
        let _lock = entry.lock().unwrap();
        let mut partial = Partial::open(&entry, "u").unwrap();
        partial.append(b"abc").unwrap();
        let kept = home.path().join("kept");
        fs::rename(entry.state_file("part"), &kept).unwrap();
        fs::write(entry.state_file("part"), "other").unwrap();
        assert!(partial.finish(entry.digest.as_ref()).is_err());
        assert!(!entry.path.exists());
    }
}
