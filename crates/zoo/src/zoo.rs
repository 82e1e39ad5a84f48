//! [`Zoo`]: a cache folder, its settings, and the known schemes.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::cache_dir;
use crate::cache::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::options::Network;
use crate::scheme::{self, SCHEMES, Scheme, Table, is_scheme_name};
use crate::source_url::SourceUrl;
use crate::tables::expected_digest::ExpectedDigest;
use crate::tables::lockfile::Lockfile;
use crate::tables::mirrors::{Mirror, Mirrors};
use crate::tables::settings::Settings;
use crate::tables::user_files::UserFiles;

/// A cache folder and how files get into it.
///
/// Nothing is read or written before it is needed. The user's files in the folder (`open_mmlab.json`, `config.json` and
/// `zoo.lock.json`) are read once: a new `Zoo` sees later changes, a clone does not.
#[derive(Clone)]
pub struct Zoo {
    home: PathBuf,
    network: Network,
    mirrors: Mirrors,
    offline: bool,
    added_schemes: Vec<&'static Scheme>,
    files: Arc<UserFiles>,
}

impl fmt::Debug for Zoo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zoo")
            .field("home", &self.home)
            .field("network", &self.network)
            .field("mirrors", &self.mirrors)
            .field("offline", &self.offline)
            .field("schemes", &self.scheme_names())
            .finish_non_exhaustive()
    }
}

impl Zoo {
    /// The zoo of the environment. Its folder is `$MMCV_HOME`, else `$XDG_CACHE_HOME/mmcv`, else `~/.cache/mmcv`;
    /// `MMCV_OFFLINE=1` forbids requests; `MMCV_MIRRORS` sets mirrors as [`with_mirrors`](Self::with_mirrors) does.
    ///
    /// # Errors
    /// Returns an error if none of the folders is known, or if a mirror is malformed.
    pub fn from_env() -> Result<Self, Error> {
        let home = cache_dir::cache_folder(|name| env::var_os(name), env::home_dir())?;
        let offline = env::var_os("MMCV_OFFLINE").unwrap_or_default();
        let mirrors = env::var_os("MMCV_MIRRORS").unwrap_or_default();
        let zoo = Self::new(home)?.with_mirrors(&mirrors.to_string_lossy())?;
        Ok(zoo.with_offline(!offline.is_empty() && offline != "0"))
    }

    /// The zoo in a folder, which need not exist yet.
    ///
    /// # Errors
    /// Returns an error if the folder is relative and the current folder is unknown.
    pub fn new(home: impl AsRef<Path>) -> Result<Self, Error> {
        let home = home.as_ref();
        let absolute = std::path::absolute(home).map_err(|error| Error::io("make this path absolute", home, error))?;
        Ok(Self {
            home: absolute,
            network: Network::default(),
            mirrors: Mirrors::default(),
            offline: false,
            added_schemes: Vec::new(),
            files: Arc::default(),
        })
    }

    /// Sets time-outs and retries.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Sets mirrors: `PREFIX=MIRROR` pairs of URL prefixes, separated by spaces or commas. They are tried in order, before
    /// those of `config.json` in the cache folder and before the URL itself, for files whose digest is known.
    /// `https://=file:///FOLDER/` takes files from a [`bundle`](Self::bundle).
    ///
    /// # Errors
    /// Returns an error if a pair is malformed.
    pub fn with_mirrors(mut self, pairs: &str) -> Result<Self, Error> {
        self.mirrors = Mirrors::parse(pairs)?;
        Ok(self)
    }

    /// Sets whether requests are forbidden.
    #[must_use]
    pub fn with_offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Adds a scheme to the built-in [`SCHEMES`].
    ///
    /// # Errors
    /// Returns an error if one of its names is taken, or is not a valid name as by [`is_scheme_name`].
    pub fn with_scheme(mut self, scheme: &'static Scheme) -> Result<Self, Error> {
        for name in scheme.all_names() {
            let reason = if !is_scheme_name(name) {
                "it is not a lowercase letter followed by lowercase letters, digits, `+`, `-` and `.`"
            } else if name == "file" || self.find_scheme(name).is_some() {
                "the name is taken"
            } else {
                continue;
            };
            return Err(Error::new("", ErrorKind::InvalidScheme { scheme: name, reason }));
        }
        self.added_schemes.push(scheme);
        Ok(self)
    }

    /// The cache folder, as an absolute path. It need not exist.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Whether requests are forbidden.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// All schemes, those added last.
    pub fn schemes(&self) -> impl Iterator<Item = &'static Scheme> {
        SCHEMES.iter().chain(self.added_schemes.iter().copied())
    }

    /// The names and aliases of all schemes, without `://`.
    pub fn scheme_names(&self) -> Vec<String> {
        self.schemes().flat_map(Scheme::all_names).map(str::to_owned).collect()
    }

    /// The scheme of a source, such as that of `torchvision://` for `torchvision://resnet50`. A name without `://` is
    /// one of `open-mmlab://`. `None` if the scheme is unknown.
    pub fn scheme(&self, source: &str) -> Option<&'static Scheme> {
        let (scheme, _) = split_scheme(source);
        self.find_scheme(&scheme)
    }

    /// The source with the main name of its scheme: `open-mmlab://NAME` for `NAME` and `openmmlab://NAME`. Unknown schemes
    /// and deprecated aliases are only lowercased.
    pub fn canonical_name(&self, source: &str) -> String {
        let (alias, name) = split_scheme(source);
        match self.find_scheme(&alias) {
            Some(scheme) if !scheme.is_deprecated_alias(&alias) => format!("{}://{name}", scheme.name()),
            _ => format!("{alias}://{name}"),
        }
    }

    fn find_scheme(&self, name: &str) -> Option<&'static Scheme> {
        self.schemes().find(|scheme| scheme.all_names().any(|known| known == name))
    }

    /// All mirrors, first those of the environment, then those of `config.json`: URL prefix and mirror, without secrets,
    /// in the order in which they are tried.
    ///
    /// # Errors
    /// Returns an error if `config.json` cannot be read or is invalid.
    pub fn mirrors(&self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.mirrors.redacted().chain(self.settings()?.mirrors.redacted()).collect())
    }

    /// The mirrors of one file.
    pub(crate) fn mirrors_of(&self, url: &SourceUrl) -> Result<Vec<Mirror>, Error> {
        let mut mirrors = self.mirrors.of(url)?;
        mirrors.extend(self.settings()?.mirrors.of(url)?);
        Ok(mirrors)
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn settings(&self) -> Result<&Settings, Error> {
        self.files.settings(&self.home)
    }

    pub(crate) fn lockfile(&self) -> Result<&Lockfile, Error> {
        self.files.lockfile(&self.home)
    }

    pub(crate) fn user_names(&self) -> Result<&Table, Error> {
        self.files.names(&self.home)
    }

    /// The place of a URL's file in the cache.
    pub(crate) fn entry(&self, url: &SourceUrl) -> Result<Entry, Error> {
        let expected = ExpectedDigest::of(url, self.settings()?, self.lockfile()?)?;
        Ok(Entry::new(&self.home, url, expected))
    }

    /// The place of a file of the user in the cache folder.
    pub(crate) fn user_entry(&self, path: &Path) -> Entry {
        Entry::at(&self.home, path.to_owned(), crate::digest::Digest::of_path(path))
    }
}

/// The scheme of a source in lowercase, and the rest of the source.
pub(crate) fn split_scheme(source: &str) -> (String, &str) {
    match source.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (scheme::DEFAULT.to_owned(), source),
    }
}
