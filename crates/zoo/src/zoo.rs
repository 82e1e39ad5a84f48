//! The zoo: a cache folder with its tables, and the operations of `mmcv zoo` on it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cache::{self, Cached, Entry};
use crate::digest::Digest;
use crate::download::Download;
use crate::error::{Error, ErrorKind};
use crate::home;
use crate::mirrors::Mirrors;
use crate::options::{FetchOptions, Network, Progress};
use crate::partial::Partial;
use crate::resolve::{self, Resolved};
use crate::source::{SourceUrl, redact};
use crate::tables;

/// A cache folder and how files come into it. Holds no open files; nothing is read or written before it is needed.
#[derive(Clone, Debug)]
pub struct Zoo {
    home: PathBuf,
    network: Network,
    mirrors: Mirrors,
    offline: bool,
}

impl Zoo {
    /// The zoo of the environment: its folder is `$MMCV_HOME`, else `$XDG_CACHE_HOME/mmcv`, else `~/.cache/mmcv`, and
    /// `MMCV_OFFLINE=1` forbids requests, `MMCV_MIRRORS` is read as by [`with_mirrors`](Self::with_mirrors).
    ///
    /// # Errors
    /// None of the folders is known, or a mirror is malformed.
    pub fn from_env() -> Result<Self, Error> {
        let home = home::cache_folder(|name| std::env::var_os(name), std::env::home_dir())?;
        let offline = std::env::var_os("MMCV_OFFLINE").is_some_and(|value| !value.is_empty() && value != "0");
        let mirrors = std::env::var_os("MMCV_MIRRORS").unwrap_or_default();
        Self { offline, ..Self::new(home)? }.with_mirrors(&mirrors.to_string_lossy())
    }

    /// The zoo in a folder, which need not be there yet.
    ///
    /// # Errors
    /// The folder is relative, and the current one is not known.
    pub fn new(home: impl AsRef<Path>) -> Result<Self, Error> {
        let home = home.as_ref();
        let absolute = std::path::absolute(home).map_err(|error| Error::io("make this path absolute", home, error))?;
        Ok(Self { home: absolute, network: Network::default(), mirrors: Mirrors::default(), offline: false })
    }

    /// The same zoo with other time-outs and retries.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// The same zoo with mirrors: `PREFIX=MIRROR` pairs of URL prefixes, separated by spaces or commas, tried in order
    /// before the URL itself. They serve only files whose digest is known.
    ///
    /// # Errors
    /// A pair is malformed.
    pub fn with_mirrors(mut self, pairs: &str) -> Result<Self, Error> {
        self.mirrors = Mirrors::parse(pairs)?;
        Ok(self)
    }

    /// The same zoo, which makes no request if `offline`.
    #[must_use]
    pub fn with_offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// The cache folder, absolute. It need not exist.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The merged map of `open-mmlab://`: model name to URL or path. Values that are no text come as they stand in the
    /// user's `open_mmlab.json`; they are refused when they are used.
    ///
    /// # Errors
    /// The user's table cannot be read, or is not a JSON object.
    pub fn list(&self) -> Result<BTreeMap<String, Value>, Error> {
        tables::merged(&self.home)
    }

    /// Looks up a name (`resnet50_v1c`, `open-mmlab://...`, `torchvision://...` and so on) or checks a URL.
    ///
    /// # Errors
    /// The name is unknown, has no URL, leads out of the cache folder, or the URL cannot be used.
    pub fn resolve(&self, name: &str) -> Result<Resolved, Error> {
        resolve::resolve(&self.home, name)
    }

    /// Where [`fetch`](Self::fetch) puts or finds the file, absolute. Makes no request.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn path(&self, name: &str) -> Result<PathBuf, Error> {
        Ok(match self.resolve(name)? {
            Resolved::Url(url) => Entry::new(&self.home, &url).path,
            Resolved::Path(path) => path,
        })
    }

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
        let entry = Entry::new(&self.home, url);
        let expected = expected_digest(&entry, url, options)?;
        if self.is_good(&entry, expected.as_ref())? {
            return Ok(entry.path);
        }
        let _lock = match entry.lock() {
            Err(_) if self.offline => return Err(offline(&entry)),
            lock => lock?,
        };
        // Another process may have been faster.
        match entry.check(expected.as_ref())? {
            Cached::Good => return Ok(entry.path),
            Cached::Wrong { expected, found } => {
                log::warn!("{}: expected SHA-256 {expected}, found {found}: removed", entry.path.display());
                entry.remove()?;
            }
            Cached::Missing => {}
        }
        if self.offline {
            return Err(offline(&entry));
        }
        self.download(url, &entry, expected.as_ref(), options)?;
        Ok(entry.path)
    }

    /// Downloads from the first place that has the right content.
    fn download(
        &self,
        url: &SourceUrl,
        entry: &Entry,
        expected: Option<&Digest>,
        options: &FetchOptions<'_>,
    ) -> Result<(), Error> {
        let mirrors = self.mirrors.of(url)?;
        let download =
            |url| Download { network: &self.network, url, entry, expected, progress: options.progress }.run();
        if expected.is_some() {
            for mirror in &mirrors {
                match download(mirror) {
                    Ok(()) => return Ok(()),
                    Err(error) => log::warn!("mirror {mirror}: {error}"),
                }
            }
        }
        download(url)
    }

    fn import_file(&self, url: &SourceUrl, file: &Path, options: &FetchOptions<'_>) -> Result<PathBuf, Error> {
        let entry = Entry::new(&self.home, url);
        let expected = expected_digest(&entry, url, options)?;
        let fail = |error| Error::io("copy", file, error);
        let mut source = File::open(file).map_err(fail)?;
        let total = source.metadata().map_err(fail)?;
        if !total.is_file() {
            let reason = "only a regular file can be imported";
            return Err(Error::new("", ErrorKind::NotAFile { file: file.to_owned(), reason }));
        }
        let _lock = entry.lock()?;
        if self.is_good(&entry, expected.as_ref())? {
            return Ok(entry.path);
        }
        entry.remove()?;
        let mut partial = Partial::open(&entry, "import")?;
        partial.restart(None)?;
        let report = |received| {
            if let Some(progress) = options.progress {
                progress(Progress { received, total: Some(total.len()) });
            }
        };
        partial.append_all(&mut source, report).map_err(fail)?;
        partial.finish(expected.as_ref())?;
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

/// What an error is about: the name as asked for, and the URL that it stands for.
fn subject(name: &str, resolved: &Resolved) -> String {
    match resolved {
        Resolved::Url(url) if SourceUrl::parse(name).is_err() => format!("{} ({url})", redact(name)),
        _ => redact(name),
    }
}

/// The digest that the content must have; `None` only if the caller accepts any.
fn expected_digest(entry: &Entry, url: &SourceUrl, options: &FetchOptions<'_>) -> Result<Option<Digest>, Error> {
    let expected = combine(entry.named.clone(), options.sha256.as_ref())?;
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
