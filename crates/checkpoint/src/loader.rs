//! [`CheckpointLoader`]: from a source with a scheme to an open file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use mmcv_layers::Module;
use mmcv_pth::UnknownClasses;
use mmcv_zoo::{FetchOptions, Zoo};
use url::Url;

use crate::error::ErrorKind;
use crate::{CheckpointFile, Error, LoadOptions, LoadReport};

/// Schemes that the zoo knows, and what they keep of a file's state dict.
const ZOO_SCHEMES: [(&str, Option<&str>); 7] = [
    ("http", None),
    ("https", None),
    ("mmcls", Some("backbone.")),
    ("modelzoo", None),
    ("open-mmlab", None),
    ("openmmlab", None),
    ("torchvision", None),
];

/// A local file, and which part of it a source means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// Only tensors of the state dict under this prefix count, and it is removed. `mmcls://` keeps `backbone.`.
    pub prefix: Option<String>,
}

impl From<PathBuf> for Located {
    fn from(file: PathBuf) -> Self {
        Self { file, prefix: None }
    }
}

/// What a scheme of one's own does: from the whole source to a local file.
type Scheme =
    Arc<dyn Fn(&str, &FetchOptions<'_>) -> Result<Located, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// Finds checkpoints by the scheme of their source.
///
/// | source | what it is |
/// | --- | --- |
/// | a path, `~/...`, `file:///...` | a local file |
/// | `https://...`, `http://...` | a URL; its file name carries a SHA-256 prefix |
/// | `torchvision://NAME`, `modelzoo://NAME` (deprecated) | a model of torchvision |
/// | `open-mmlab://NAME`, `openmmlab://NAME` | a model of OpenMMLab's table |
/// | `mmcls://NAME` | the backbone of a model of MMClassification |
///
/// Downloads are verified and cached, see [`mmcv_zoo`]. Reference: `mmengine.runner.CheckpointLoader`.
#[derive(Clone, Default)]
pub struct CheckpointLoader {
    zoo: Option<Zoo>,
    own: BTreeMap<String, Scheme>,
}

impl fmt::Debug for CheckpointLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointLoader").field("zoo", &self.zoo).field("schemes", &self.schemes()).finish()
    }
}

impl CheckpointLoader {
    /// A loader with the schemes above. The zoo is that of the environment when it is needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same loader with another zoo.
    #[must_use]
    pub fn with_zoo(mut self, zoo: Zoo) -> Self {
        self.zoo = Some(zoo);
        self
    }

    /// The schemes of this loader, without `://`, sorted.
    #[must_use]
    pub fn schemes(&self) -> Vec<String> {
        let built_in = ZOO_SCHEMES.iter().map(|(scheme, _)| (*scheme).to_owned());
        let mut schemes: Vec<_> = built_in.chain(["file".to_owned()]).chain(self.own.keys().cloned()).collect();
        schemes.sort();
        schemes
    }

    /// Adds a scheme: `loader` is handed the whole source, `scheme://` included, and gives the local file.
    ///
    /// # Errors
    /// Where the scheme is taken, or is not made of lower-case letters, digits, `+`, `-` and `.` after a letter.
    pub fn register_scheme<L, E>(&mut self, scheme: &str, loader: L) -> Result<(), Error>
    where
        L: Fn(&str, &FetchOptions<'_>) -> Result<Located, E> + Send + Sync + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let refuse = |reason| Err(Error::new("", ErrorKind::Scheme { scheme: scheme.to_owned(), reason }));
        let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        if !scheme.starts_with(|first: char| first.is_ascii_lowercase()) || !scheme.bytes().all(usual) {
            return refuse("a scheme is a lower-case letter and then lower-case letters, digits, `+`, `-` or `.`");
        }
        if self.schemes().iter().any(|known| known == scheme) {
            return refuse("it is taken");
        }
        let loader: Scheme = Arc::new(move |source, options| loader(source, options).map_err(Into::into));
        self.own.insert(scheme.to_owned(), loader);
        Ok(())
    }

    /// The local file of a source, which is fetched where it has to be.
    ///
    /// # Errors
    /// Where the scheme is unknown, or the file cannot be found, fetched or verified. That a path exists is not checked.
    pub fn locate(&self, source: &str, options: &FetchOptions<'_>) -> Result<Located, Error> {
        // Sources of the zoo may hold a password, and it is the zoo that knows how to hide one.
        let Some((scheme, _)) = source.split_once("://") else { return Ok(expand_home(source).into()) };
        let scheme = scheme.to_ascii_lowercase();
        if let Some((_, prefix)) = ZOO_SCHEMES.iter().find(|(known, _)| *known == scheme) {
            let fetched = match &self.zoo {
                Some(zoo) => zoo.fetch(source, options),
                None => Zoo::from_env().and_then(|zoo| zoo.fetch(source, options)),
            };
            let file = fetched.map_err(|error| Error::new(&mmcv_zoo::redact(source), error))?;
            return Ok(Located { file, prefix: prefix.map(str::to_owned) });
        }
        let located = match self.own.get(&scheme) {
            Some(loader) => loader(source, options).map_err(ErrorKind::Loader),
            None if scheme == "file" => file_of_url(source).map(Located::from),
            None => Err(ErrorKind::UnknownScheme { scheme: mmcv_zoo::redact(&scheme), known: self.schemes() }),
        };
        located.map_err(|kind| Error::new(&mmcv_zoo::redact(source), kind))
    }

    /// Locates and opens a checkpoint.
    ///
    /// # Errors
    /// As [`locate`](Self::locate), and where the file cannot be read.
    pub fn open(&self, source: &str, options: &FetchOptions<'_>) -> Result<CheckpointFile, Error> {
        self.open_with(source, options, UnknownClasses::default())
    }

    /// As [`open`](Self::open), where `unknown_classes` says what happens to classes that are on no list.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(
        &self,
        source: &str,
        options: &FetchOptions<'_>,
        unknown_classes: UnknownClasses,
    ) -> Result<CheckpointFile, Error> {
        let Located { file, prefix } = self.locate(source, options)?;
        CheckpointFile::open_part(&mmcv_zoo::redact(source), &file, prefix.as_deref(), unknown_classes)
    }

    /// Locates, opens and loads a checkpoint into `module`.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`CheckpointFile::load_into`].
    pub fn load_checkpoint(
        &self,
        module: &dyn Module,
        source: &str,
        options: &LoadOptions,
    ) -> Result<LoadReport, Error> {
        self.open_with(source, &FetchOptions::default(), options.unknown_classes)?.load_into(module, options)
    }
}

/// Adds a scheme to the loader that the free functions of this crate use; see [`CheckpointLoader::register_scheme`].
///
/// # Errors
/// As there.
pub fn register_scheme<L, E>(scheme: &str, loader: L) -> Result<(), Error>
where
    L: Fn(&str, &FetchOptions<'_>) -> Result<Located, E> + Send + Sync + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    default_loader().write().unwrap_or_else(PoisonError::into_inner).register_scheme(scheme, loader)
}

/// Loads a checkpoint into `module` with the default loader: a path, a URL, or a name with one of the schemes of
/// [`CheckpointLoader`].
///
/// Names, shapes and types are checked before the first tensor is written.
///
/// # Errors
/// Where the source cannot be found, fetched, verified or read, or does not fit `module`.
pub fn load_checkpoint(module: &dyn Module, source: &str, options: &LoadOptions) -> Result<LoadReport, Error> {
    current_loader().load_checkpoint(module, source, options)
}

/// Opens the checkpoint of a source with the default loader.
///
/// # Errors
/// Where the source cannot be found, fetched, verified or read.
pub fn open_checkpoint(source: &str, options: &FetchOptions<'_>) -> Result<CheckpointFile, Error> {
    current_loader().open(source, options)
}

/// As [`open_checkpoint`], where `unknown_classes` says what happens to classes that are on no list.
///
/// # Errors
/// As there.
pub fn open_checkpoint_with(
    source: &str,
    options: &FetchOptions<'_>,
    unknown_classes: UnknownClasses,
) -> Result<CheckpointFile, Error> {
    current_loader().open_with(source, options, unknown_classes)
}

/// Loads a checkpoint file into `module`. The file may be in any format that [`mmcv_pth`] reads.
///
/// # Errors
/// Where the file cannot be read or does not fit `module`.
pub fn load_file(module: &dyn Module, file: &Path, options: &LoadOptions) -> Result<LoadReport, Error> {
    CheckpointFile::open_with(file, options.unknown_classes)?.load_into(module, options)
}

fn default_loader() -> &'static RwLock<CheckpointLoader> {
    static DEFAULT: OnceLock<RwLock<CheckpointLoader>> = OnceLock::new();
    DEFAULT.get_or_init(RwLock::default)
}

/// A copy, so that no lock is held while a file is fetched.
fn current_loader() -> CheckpointLoader {
    default_loader().read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A path, with a leading `~` expanded where it stands alone or before a slash.
fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix('~'), std::env::home_dir()) {
        (Some(""), Some(home)) => home,
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// The path of a `file://` URL, percent-decoded.
fn file_of_url(source: &str) -> Result<PathBuf, ErrorKind> {
    let refuse = |reason| ErrorKind::Source { reason };
    let url = Url::parse(source).map_err(|_| refuse("it is no usable URL; write file:///absolute/path"))?;
    url.to_file_path().map_err(|()| refuse("a file:// URL holds an absolute path and no host: file:///absolute/path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_urls_are_decoded() {
        assert_eq!(file_of_url("file:///a/b%20c.pth").unwrap(), Path::new("/a/b c.pth"));
        assert_eq!(file_of_url("file://localhost/a.pth").unwrap(), Path::new("/a.pth"));
        assert!(file_of_url("file://host/a.pth").is_err());
    }

    #[test]
    fn only_a_tilde_before_a_slash_is_a_home() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(expand_home("~/a.pth"), home.join("a.pth"));
        assert_eq!(expand_home("~"), home);
        assert_eq!(expand_home("~a.pth"), Path::new("~a.pth"));
        assert_eq!(expand_home("a/~/b"), Path::new("a/~/b"));
    }
}
