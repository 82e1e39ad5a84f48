//! [`CheckpointLoader`]: from a source with a scheme to an open file.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use mmcv_layers::Module;
use mmcv_pth::UnknownClasses;
use mmcv_zoo::{FetchOptions, SCHEMES, Scheme, Zoo, is_scheme_name, redact};
use url::Url;

use crate::error::ErrorKind;
use crate::{CheckpointFile, Error, LoadOptions, LoadReport};

/// The scheme of local files.
const FILE: &str = "file";

/// A local file, and the part of it that a source means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// Only tensors of the state dict with this prefix count, and it is removed: `backbone.` for `mmcls://`.
    pub prefix: Option<String>,
}

impl From<PathBuf> for Located {
    fn from(file: PathBuf) -> Self {
        Self { file, prefix: None }
    }
}

/// The loader of a registered scheme: from the whole source to a local file.
type SchemeLoader =
    Arc<dyn Fn(&str, &FetchOptions<'_>) -> Result<Located, Box<dyn StdError + Send + Sync>> + Send + Sync>;

/// Finds checkpoints by the scheme of their source.
///
/// | source | meaning |
/// | --- | --- |
/// | a path, `~/...`, `file:///...` | a local file |
/// | `https://...`, `http://...` | a URL; its file name contains a SHA-256 prefix |
/// | `torchvision://NAME`, `modelzoo://NAME` (deprecated) | a model of torchvision |
/// | `open-mmlab://NAME`, `openmmlab://NAME` | a model of OpenMMLab's table |
/// | `mmcls://NAME` | the backbone of a model of MMClassification |
///
/// All but the first row are [`mmcv_zoo::SCHEMES`]. Downloads are verified and cached. Reference:
/// `mmengine.runner.CheckpointLoader`.
#[derive(Clone, Default)]
pub struct CheckpointLoader {
    zoo: Option<Zoo>,
    registered: BTreeMap<String, SchemeLoader>,
}

impl fmt::Debug for CheckpointLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointLoader").field("zoo", &self.zoo).field("schemes", &self.schemes()).finish()
    }
}

impl CheckpointLoader {
    /// A loader with the schemes above, which uses the zoo of the environment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the zoo, whose schemes are used.
    #[must_use]
    pub fn with_zoo(mut self, zoo: Zoo) -> Self {
        self.zoo = Some(zoo);
        self
    }

    /// The schemes of this loader, without `://`, sorted.
    #[must_use]
    pub fn schemes(&self) -> Vec<String> {
        let mut schemes = match &self.zoo {
            Some(zoo) => zoo.scheme_names(),
            None => SCHEMES.iter().flat_map(Scheme::all_names).map(str::to_owned).collect(),
        };
        schemes.push(FILE.to_owned());
        schemes.extend(self.registered.keys().cloned());
        schemes.sort();
        schemes
    }

    /// Registers a scheme. `loader` maps the whole source, including `scheme://`, to a local file.
    ///
    /// # Errors
    /// Returns an error if the scheme is taken, or is not a lowercase letter followed by lowercase letters, digits, `+`,
    /// `-` and `.`.
    pub fn register_scheme<L, E>(&mut self, scheme: &str, loader: L) -> Result<(), Error>
    where
        L: Fn(&str, &FetchOptions<'_>) -> Result<Located, E> + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let reason = if !is_scheme_name(scheme) {
            "it is not a lowercase letter followed by lowercase letters, digits, `+`, `-` and `.`"
        } else if self.schemes().iter().any(|known| known == scheme) {
            "it is taken"
        } else {
            let loader: SchemeLoader = Arc::new(move |source, options| loader(source, options).map_err(Into::into));
            self.registered.insert(scheme.to_owned(), loader);
            return Ok(());
        };
        Err(Error::new("", ErrorKind::Scheme { scheme: scheme.to_owned(), reason }))
    }

    /// The local file of a source. It is fetched if necessary; whether a local path exists is not checked.
    ///
    /// # Errors
    /// Returns an error if the scheme is unknown, or if the file cannot be found, fetched or verified.
    pub fn locate(&self, source: &str, options: &FetchOptions<'_>) -> Result<Located, Error> {
        let located = match source.split_once("://") {
            None => return Ok(expand_home(source).into()),
            Some((scheme, _)) => self.locate_by_scheme(&scheme.to_ascii_lowercase(), source, options),
        };
        // The source may contain a password.
        located.map_err(|kind| Error::new(&redact(source), kind))
    }

    fn locate_by_scheme(&self, scheme: &str, source: &str, options: &FetchOptions<'_>) -> Result<Located, ErrorKind> {
        if scheme == FILE {
            return Ok(file_of_url(source)?.into());
        }
        if let Some(loader) = self.registered.get(scheme) {
            return loader(source, options).map_err(ErrorKind::Loader);
        }
        let from_env;
        let zoo = match &self.zoo {
            Some(zoo) => zoo,
            None => {
                from_env = Zoo::from_env()?;
                &from_env
            }
        };
        match zoo.scheme(source) {
            Some(scheme) => {
                let file = zoo.fetch(source, options)?;
                Ok(Located { file, prefix: scheme.prefix().map(str::to_owned) })
            }
            None => Err(ErrorKind::UnknownScheme { scheme: redact(scheme), known: self.schemes() }),
        }
    }

    /// Locates and opens a checkpoint.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`locate`](Self::locate), and if the file cannot be read.
    pub fn open(&self, source: &str, options: &FetchOptions<'_>) -> Result<CheckpointFile, Error> {
        self.open_with(source, options, UnknownClasses::default())
    }

    /// Like [`open`](Self::open), with a choice for classes that are not on the reader's list.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`open`](Self::open).
    pub fn open_with(
        &self,
        source: &str,
        options: &FetchOptions<'_>,
        unknown_classes: UnknownClasses,
    ) -> Result<CheckpointFile, Error> {
        let Located { file, prefix } = self.locate(source, options)?;
        CheckpointFile::open_part(&redact(source), &file, prefix.as_deref(), unknown_classes)
    }

    /// Locates, opens and loads a checkpoint into `module`.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`open`](Self::open) and [`CheckpointFile::load_into`].
    pub fn load_checkpoint(
        &self,
        module: &dyn Module,
        source: &str,
        options: &LoadOptions,
    ) -> Result<LoadReport, Error> {
        self.open_with(source, &FetchOptions::default(), options.unknown_classes)?.load_into(module, options)
    }
}

/// Registers a scheme for the free functions of this crate; see [`CheckpointLoader::register_scheme`].
///
/// # Errors
/// Returns an error under the same conditions.
pub fn register_scheme<L, E>(scheme: &str, loader: L) -> Result<(), Error>
where
    L: Fn(&str, &FetchOptions<'_>) -> Result<Located, E> + Send + Sync + 'static,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    default_loader().write().unwrap_or_else(PoisonError::into_inner).register_scheme(scheme, loader)
}

/// Loads a checkpoint into `module`: a path, a URL, or a name with a scheme of [`CheckpointLoader`].
///
/// Names, shapes, types and checksums are checked before the first tensor is written.
///
/// # Errors
/// Returns an error if the checkpoint cannot be found, fetched, verified or read, or does not fit `module`.
pub fn load_checkpoint(module: &dyn Module, source: &str, options: &LoadOptions) -> Result<LoadReport, Error> {
    current_loader().load_checkpoint(module, source, options)
}

/// Opens the checkpoint of a source, as [`load_checkpoint`] does.
///
/// # Errors
/// Returns an error if the checkpoint cannot be found, fetched, verified or read.
pub fn open_checkpoint(source: &str, options: &FetchOptions<'_>) -> Result<CheckpointFile, Error> {
    current_loader().open(source, options)
}

/// Like [`open_checkpoint`], with a choice for classes that are not on the reader's list.
///
/// # Errors
/// Returns an error under the same conditions as [`open_checkpoint`].
pub fn open_checkpoint_with(
    source: &str,
    options: &FetchOptions<'_>,
    unknown_classes: UnknownClasses,
) -> Result<CheckpointFile, Error> {
    current_loader().open_with(source, options, unknown_classes)
}

/// Loads a checkpoint file of any format that [`mmcv_pth`] reads into `module`.
///
/// # Errors
/// Returns an error if the file cannot be read or does not fit `module`.
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

/// Expands a leading `~` that is alone or followed by a slash.
fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix('~'), std::env::home_dir()) {
        (Some(""), Some(home)) => home,
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// The percent-decoded path of a `file://` URL.
fn file_of_url(source: &str) -> Result<PathBuf, ErrorKind> {
    let Ok(url) = Url::parse(source) else {
        return Err(ErrorKind::Source { reason: "it is not a usable URL; write file:///absolute/path" });
    };
    let reason = "a file:// URL contains an absolute path and no host: file:///absolute/path";
    url.to_file_path().map_err(|()| ErrorKind::Source { reason })
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
    fn only_a_tilde_before_a_slash_is_expanded() {
        let home = std::env::home_dir().unwrap();
        assert_eq!(expand_home("~/a.pth"), home.join("a.pth"));
        assert_eq!(expand_home("~"), home);
        assert_eq!(expand_home("~a.pth"), Path::new("~a.pth"));
        assert_eq!(expand_home("a/~/b"), Path::new("a/~/b"));
    }

    #[test]
    fn the_read_me_lists_all_schemes() {
        let page = include_str!("../README.md");
        for scheme in CheckpointLoader::new().schemes() {
            assert!(page.contains(&format!("`{scheme}://")), "README.md lacks {scheme}://");
        }
    }
}
