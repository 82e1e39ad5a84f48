//! The zoo: a cache folder with its tables, and the operations of `mmcv zoo` on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cache::Entry;
use crate::error::Error;
use crate::home;
use crate::mirrors::{Mirror, Mirrors};
use crate::options::Network;
use crate::resolve::{self, Resolved};
use crate::settings::Settings;
use crate::source::SourceUrl;
use crate::tables;

/// A cache folder and how files come into it. Holds no open files; nothing is read or written before it is needed.
#[derive(Clone, Debug)]
pub struct Zoo {
    pub(crate) home: PathBuf,
    pub(crate) network: Network,
    mirrors: Mirrors,
    pub(crate) offline: bool,
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
    /// before those of `config.json` in the cache folder and before the URL itself. They serve only files whose digest is
    /// known. `https://=file:///FOLDER/` takes files from a [`bundle`](Self::bundle).
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
            Resolved::Url(url) => Entry::new(&self.home, &url)?.path,
            Resolved::Path(path) => path,
        })
    }

    /// Whether requests are forbidden.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// All mirrors, first those of the environment, then those of `config.json`: URL prefix and mirror, without
    /// passwords, in the order in which they are tried.
    ///
    /// # Errors
    /// `config.json` cannot be read, or is not as it has to be.
    pub fn mirrors(&self) -> Result<Vec<(String, String)>, Error> {
        let settings = Settings::read(&self.home)?;
        Ok(self.mirrors.shown().chain(settings.mirrors.shown()).collect())
    }

    /// The places where a URL's file is looked for before the URL itself.
    pub(crate) fn mirrors_of(&self, url: &SourceUrl) -> Result<Vec<Mirror>, Error> {
        let mut mirrors = self.mirrors.of(url)?;
        mirrors.extend(Settings::read(&self.home)?.mirrors.of(url)?);
        Ok(mirrors)
    }
}
