//! Fetching and importing: how a file comes into the cache.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::cache::{self, Cached, Entry};
use crate::digest::Digest;
use crate::download::Download;
use crate::error::{Error, ErrorKind};
use crate::guard::Guard;
use crate::mirrors::Mirror;
use crate::options::{FetchOptions, Network, Progress};
use crate::partial::Partial;
use crate::resolve::Resolved;
use crate::source::{SourceUrl, redact};
use crate::zoo::Zoo;

/// Retries at a mirror: there is another place to ask.
const MIRROR_RETRIES: u32 = 1;

impl Zoo {
    /// Returns the local file of a name or URL, verified; downloads it if it is not in the cache or was changed there.
    /// Any number of processes download a file once.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve); no digest is known (before any request); the download failed; the content is not
    /// the published one. Nothing is then left under the file's name, unless it is the user's own.
    pub fn fetch(&self, name: &str, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let resolved = self.resolve(name)?;
        match &resolved {
            Resolved::Url(url) => self.fetch_url(url, options),
            Resolved::Path(path) => self.verify_local(path, options),
        }
        .map_err(|error| error.about(&subject(name, &resolved)))
    }

    /// Puts a local copy of a file into the cache, as if it had been downloaded: it is copied and verified.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch), and the name leads to a file of the user.
    pub fn import(&self, name: &str, file: &Path, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let resolved = self.resolve(name)?;
        match &resolved {
            Resolved::Url(url) => self.import_file(url, file, options),
            Resolved::Path(path) => {
                let reason = "the table names a local file; copy yours to its place";
                Err(Error::new("", ErrorKind::NotAFile { file: path.clone(), reason }))
            }
        }
        .map_err(|error| error.about(&subject(name, &resolved)))
    }

    fn fetch_url(&self, url: &SourceUrl, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let entry = Entry::new(&self.home, url)?;
        let expected = expected_digest(&entry, url, options)?;
        if self.is_good(&entry, expected.as_ref())? {
            return Ok(entry.path);
        }
        let guard = match entry.lock(&self.network) {
            Err(_) if self.offline => return Err(offline(&entry)),
            lock => lock?,
        };
        // Another process may have been faster.
        match entry.check(expected.as_ref())? {
            Cached::Good => return Ok(entry.path),
            // Where locks keep nobody out, another process may just have replaced it.
            Cached::Wrong { .. } if !guard.excludes && entry.check(expected.as_ref())? == Cached::Good => {
                return Ok(entry.path);
            }
            Cached::Wrong { expected, found } => {
                log::warn!("{}: expected SHA-256 {expected}, found {found}: removed", entry.path.display());
                entry.remove()?;
            }
            Cached::Missing => {}
        }
        self.download(url, &entry, &guard, expected.as_ref(), options)?;
        Ok(entry.path)
    }

    /// Downloads from the first place that has the right content.
    fn download(
        &self,
        url: &SourceUrl,
        entry: &Entry,
        guard: &Guard,
        expected: Option<&Digest>,
        options: &FetchOptions<'_>,
    ) -> Result<(), Error> {
        if expected.is_some() {
            let hurried = Network { retries: self.network.retries.min(MIRROR_RETRIES), ..self.network.clone() };
            for mirror in self.mirrors_of(url)? {
                let tried = match &mirror {
                    Mirror::File(file) => copy(entry, guard, file, expected, options),
                    Mirror::Url(_) if self.offline => continue,
                    Mirror::Url(url) => {
                        Download { network: &hurried, url, entry, guard, expected, progress: options.progress }.run()
                    }
                };
                match tried {
                    Ok(()) => return Ok(()),
                    Err(error) => log::warn!("mirror {mirror}: {}", error.report()),
                }
            }
        }
        if self.offline {
            return Err(offline(entry));
        }
        Download { network: &self.network, url, entry, guard, expected, progress: options.progress }.run()
    }

    fn import_file(&self, url: &SourceUrl, file: &Path, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let entry = Entry::new(&self.home, url)?;
        let expected = expected_digest(&entry, url, options)?;
        let guard = entry.lock(&self.network)?;
        if self.is_good(&entry, expected.as_ref())? {
            return Ok(entry.path);
        }
        entry.remove()?;
        copy(&entry, &guard, file, expected.as_ref(), options)?;
        Ok(entry.path)
    }

    fn verify_local(&self, path: &Path, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let named = path.file_name().and_then(|name| name.to_str()).and_then(Digest::of_file_name);
        let expected = combine(named, options.sha256.as_ref())?;
        cache::check_local(&self.home, path, expected.as_ref())?;
        Ok(path.to_owned())
    }

    /// A look without the lock, which also serves a cache that cannot be written.
    fn is_good(&self, entry: &Entry, expected: Option<&Digest>) -> Result<bool, Error> {
        Ok(entry.check(expected)? == Cached::Good)
    }
}

/// Copies a local file to its place in the cache, verified. `guard` holds the entry's lock, where there are locks.
pub(crate) fn copy(
    entry: &Entry,
    guard: &Guard,
    file: &Path,
    expected: Option<&Digest>,
    options: &FetchOptions<'_>,
) -> Result<(), Error> {
    let fail = |error| Error::io("copy", file, error);
    // Opening something else, such as a pipe, might never end.
    let metadata = std::fs::metadata(file).map_err(fail)?;
    if !metadata.is_file() {
        let reason = "only a regular file can be copied";
        return Err(Error::new("", ErrorKind::NotAFile { file: file.to_owned(), reason }));
    }
    let mut source = File::open(file).map_err(fail)?;
    let mut partial = Partial::open(entry, guard, &format!("file {}", file.display()))?;
    partial.restart(None)?;
    let report = |received| {
        if let Some(progress) = options.progress {
            progress(Progress { received, total: Some(metadata.len()) });
        }
    };
    match partial.append_all(&mut source, report) {
        Ok(()) => partial.finish(expected),
        Err(error) => {
            partial.discard();
            Err(fail(error))
        }
    }
}

/// What an error is about: the name as asked for, and the URL that it stands for.
pub(crate) fn subject(name: &str, resolved: &Resolved) -> String {
    match resolved {
        Resolved::Url(url) if SourceUrl::parse(name).is_err() => format!("{} ({url})", redact(name)),
        _ => redact(name),
    }
}

/// The digest that the content must have; `None` only if the caller accepts any.
fn expected_digest(entry: &Entry, url: &SourceUrl, options: &FetchOptions<'_>) -> Result<Option<Digest>, Error> {
    let expected = combine(entry.digest.clone(), options.sha256.as_ref())?;
    if expected.is_none() && !options.no_verify {
        return Err(Error::new("", ErrorKind::NoDigest { file_name: url.file_name().to_owned() }));
    }
    Ok(expected)
}

/// The longer of two digests, of which one must be the beginning of the other.
fn combine(named: Option<Digest>, given: Option<&Digest>) -> Result<Option<Digest>, Error> {
    match (named, given.cloned()) {
        (Some(named), Some(given)) if named.is_prefix_of(given.as_str()) => Ok(Some(given)),
        (Some(named), Some(given)) if given.is_prefix_of(named.as_str()) => Ok(Some(named)),
        (Some(named), Some(given)) => Err(Error::new("", ErrorKind::DigestConflict { given, named })),
        (named, given) => Ok(named.or(given)),
    }
}

fn offline(entry: &Entry) -> Error {
    Error::new("", ErrorKind::Offline { file: entry.path.clone() })
}
