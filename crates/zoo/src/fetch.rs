//! Fetching and importing: how a file gets into the cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::cache::entry::{Cached, Entry};
use crate::cache::file_lock::Guard;
use crate::cache::partial::Partial;
use crate::digest::Digest;
use crate::download::Download;
use crate::error::{Error, ErrorKind};
use crate::options::{FetchOptions, Network, Progress};
use crate::redact::redact;
use crate::resolve::Resolved;
use crate::source_url::SourceUrl;
use crate::tables::mirrors::Mirror;
use crate::zoo::Zoo;

/// The maximum number of retries at a mirror: there is another place to try.
const MIRROR_RETRIES: u32 = 1;

impl Zoo {
    /// Returns the verified local file of a name or URL. It is downloaded if it is not in the cache or was changed there.
    /// Any number of processes download a file once.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`resolve`](Self::resolve), if no digest is known (before any
    /// request), if the download fails, or if the content differs from the published file. Nothing is then left under
    /// the file's name, unless it is a file of the user.
    pub fn fetch(&self, source: &str, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let resolved = self.resolve(source)?;
        let fetched = match &resolved {
            Resolved::Url(url) => self.fetch_url(url, options),
            Resolved::Path(path) => self.check_user_file(path, options),
        };
        fetched.map_err(|error| error.about(&context(source, &resolved)))
    }

    /// Copies a local file into the cache and verifies it, as if it had been downloaded.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`fetch`](Self::fetch), and if the name is that of a user's file.
    pub fn import(&self, source: &str, file: &Path, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let resolved = self.resolve(source)?;
        let imported = match &resolved {
            Resolved::Url(url) => self.import_file(url, file, options),
            Resolved::Path(path) => {
                let reason = "the table names a local file; copy yours to its place";
                Err(Error::new("", ErrorKind::NotAFile { file: path.clone(), reason }))
            }
        };
        imported.map_err(|error| error.about(&context(source, &resolved)))
    }

    fn fetch_url(&self, url: &SourceUrl, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let entry = self.entry(url)?;
        let expected = expected_digest(&entry, url, options)?;
        let expected = expected.as_ref();
        // Checking without the lock also works in a read-only cache.
        if entry.check(expected)? == Cached::Good {
            return Ok(entry.path);
        }
        let guard = match entry.lock(self.network()) {
            Ok(guard) => guard,
            Err(_) if self.is_offline() => return Err(offline(&entry)),
            Err(error) => return Err(error),
        };
        // Another process may have been faster.
        match entry.check(expected)? {
            Cached::Good => return Ok(entry.path),
            // If locks exclude nobody, another process may just have replaced it.
            Cached::Wrong { .. } if !guard.excludes && entry.check(expected)? == Cached::Good => {
                return Ok(entry.path);
            }
            Cached::Wrong { expected, found } => {
                log::warn!("{}: expected SHA-256 {expected}, found {found}: removed", entry.path.display());
                entry.remove()?;
            }
            Cached::Missing => {}
        }
        self.download(url, &entry, &guard, expected, options)?;
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
        let download = Download { network: self.network(), url, entry, guard, expected, progress: options.progress };
        // Without a digest, a wrong file from a mirror would go unnoticed.
        if expected.is_some() {
            let network = Network { retries: self.network().retries.min(MIRROR_RETRIES), ..self.network().clone() };
            for mirror in self.mirrors_of(url)? {
                let result = match &mirror {
                    Mirror::File(file) => copy(entry, guard, file, expected, options),
                    Mirror::Url(_) if self.is_offline() => continue,
                    Mirror::Url(url) => Download { network: &network, url, ..download }.run(),
                };
                match result {
                    Ok(()) => return Ok(()),
                    Err(error) => log::warn!("mirror {mirror}: {}", error.report()),
                }
            }
        }
        if self.is_offline() {
            return Err(offline(entry));
        }
        download.run()
    }

    fn import_file(&self, url: &SourceUrl, file: &Path, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let entry = self.entry(url)?;
        let expected = expected_digest(&entry, url, options)?;
        let guard = entry.lock(self.network())?;
        if entry.check(expected.as_ref())? != Cached::Good {
            entry.remove()?;
            copy(&entry, &guard, file, expected.as_ref(), options)?;
        }
        Ok(entry.path)
    }

    fn check_user_file(&self, path: &Path, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let mut entry = self.user_entry(path);
        entry.digest = merge_digests(entry.digest.take(), options.sha256.clone())?;
        entry.check_user_file()?;
        Ok(entry.path)
    }
}

/// Copies a local file to its place in the cache and verifies it. `guard` is the entry's lock.
pub(crate) fn copy(
    entry: &Entry,
    guard: &Guard,
    file: &Path,
    expected: Option<&Digest>,
    options: &FetchOptions<'_>,
) -> Result<(), Error> {
    let metadata = fs::metadata(file).map_err(|error| Error::io("copy", file, error))?;
    // Opening a pipe might never end.
    if !metadata.is_file() {
        let reason = "only a regular file can be copied";
        return Err(Error::new("", ErrorKind::NotAFile { file: file.to_owned(), reason }));
    }
    let mut source = File::open(file).map_err(|error| Error::io("copy", file, error))?;
    let mut partial = Partial::open(entry, guard, &format!("file {}", file.display()))?;
    partial.restart(None)?;
    let copied = partial.append_all(&mut source, |received| {
        if let Some(progress) = options.progress {
            progress(Progress { received, total: Some(metadata.len()) });
        }
    });
    match copied {
        Ok(()) => partial.finish(expected),
        Err(error) => {
            partial.discard();
            Err(Error::io("copy", file, error))
        }
    }
}

/// The context of errors: the requested name and its URL.
pub(crate) fn context(source: &str, resolved: &Resolved) -> String {
    match resolved {
        Resolved::Url(url) if SourceUrl::parse(source).is_err() => format!("{} ({url})", redact(source)),
        _ => redact(source),
    }
}

/// The digest that the content must have; `None` only if the caller accepts any.
fn expected_digest(entry: &Entry, url: &SourceUrl, options: &FetchOptions<'_>) -> Result<Option<Digest>, Error> {
    let expected = merge_digests(entry.digest.clone(), options.sha256.clone())?;
    if expected.is_none() && !options.no_verify {
        return Err(Error::new("", ErrorKind::NoDigest { file_name: url.file_name().to_owned() }));
    }
    Ok(expected)
}

/// The longer of two digests, one of which must be a prefix of the other.
fn merge_digests(named: Option<Digest>, requested: Option<Digest>) -> Result<Option<Digest>, Error> {
    match (named, requested) {
        (Some(named), Some(requested)) if named.is_prefix_of(&requested) => Ok(Some(requested)),
        (Some(named), Some(requested)) if requested.is_prefix_of(&named) => Ok(Some(named)),
        (Some(named), Some(requested)) => Err(Error::new("", ErrorKind::DigestConflict { requested, named })),
        (Some(digest), None) | (None, Some(digest)) => Ok(Some(digest)),
        (None, None) => Ok(None),
    }
}

fn offline(entry: &Entry) -> Error {
    Error::new("", ErrorKind::Offline { file: entry.path.clone() })
}
