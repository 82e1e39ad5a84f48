//! `cargo xtask setup`: downloads libtorch once.
//!
//! libtorch is kept in a cache folder, so a second clone needs no download, and `target/libtorch` is a link to it. A `LIBTORCH`
//! that is already set takes precedence.

mod archive;
mod cache;
mod preflight;
mod variant;

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::process::{default_libtorch, stage};
use crate::workspace::{LIBTORCH_VERSION, root};
pub(crate) use variant::Variant;

/// Downloads and unpacks libtorch, if that is not done already.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask setup
  cargo xtask setup --cuda
  LIBTORCH=/opt/libtorch cargo xtask setup      uses this one, and checks its version

libtorch is kept in $MMCV_RS_CACHE, else $XDG_CACHE_HOME/mmcv-rs, else ~/.cache/mmcv-rs; target/libtorch is a link to it.
The package index is the one configured for pip (PIP_INDEX_URL).")]
pub(crate) struct Setup {
    /// Installs libtorch with CUDA (about 4 GB), as target/libtorch-cuda.
    #[arg(long)]
    cuda: bool,
}

impl Setup {
    pub(crate) fn run(self) -> Result<()> {
        let variant = if self.cuda { Variant::Cuda } else { Variant::Cpu };
        let libtorch = ensure_libtorch(variant)?;
        stage(format_args!("libtorch {LIBTORCH_VERSION} is ready: {}", libtorch.display()));
        Ok(())
    }
}

/// Installs libtorch if necessary, and returns its folder, the value for `LIBTORCH`.
pub(crate) fn ensure_libtorch(variant: Variant) -> Result<PathBuf> {
    preflight::compiler()?;
    if let Some(folder) = env::var_os("LIBTORCH").map(PathBuf::from).filter(|folder| *folder != default_libtorch()) {
        check_users(&folder, variant).with_context(|| {
            format!(
                "LIBTORCH is {}; correct it, or unset it to let `cargo xtask setup` install libtorch",
                folder.display()
            )
        })?;
        return Ok(folder);
    }
    let link = root().join("target").join(variant.link());
    if !is_complete(&link, variant) {
        let folder = install(variant)?;
        point(&link, &folder)?;
    }
    Ok(link)
}

/// Installs libtorch into the cache folder, if it is not there.
fn install(variant: Variant) -> Result<PathBuf> {
    let cache = cache::folder()?;
    let folder = cache.join(format!("libtorch-{LIBTORCH_VERSION}-{}", variant.name()));
    let libtorch = variant.inside(&folder);
    if is_complete(&libtorch, variant) {
        return Ok(libtorch);
    }
    let lock = cache::lock(&beside(&folder, "lock"))?;
    // Another process may have installed it in the meantime.
    if is_complete(&libtorch, variant) {
        return Ok(libtorch);
    }
    preflight::platform()?;
    let python = preflight::python(lock)?;
    let part = beside(&folder, "part");
    let fresh = part.join("libtorch");
    fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
    preflight::free_space(&python, &part, variant)?;
    stage(format_args!("Installing libtorch {LIBTORCH_VERSION} in {}", folder.display()));
    archive::obtain(&python, variant, &part, &fresh)?;
    let unpacked = variant.inside(&fresh);
    fs::write(unpacked.join("build-version"), LIBTORCH_VERSION)?;
    ensure!(is_complete(&unpacked, variant), "{} was unpacked, but is not a complete libtorch", fresh.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::rename(&fresh, &folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    Ok(libtorch)
}

/// Appends `.extension`. (`with_extension` would replace the end of the version.)
fn beside(folder: &Path, extension: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

/// Whether this is a libtorch of the right version and variant, judged by file names alone.
fn is_complete(libtorch: &Path, variant: Variant) -> bool {
    version(libtorch).as_deref() == Some(LIBTORCH_VERSION)
        && libtorch.join("include/torch").is_dir()
        && variant.libraries().iter().all(|library| libtorch.join("lib").join(library).is_file())
}

/// Checks the libtorch that `LIBTORCH` names.
fn check_users(libtorch: &Path, variant: Variant) -> Result<()> {
    let library = libtorch.join("lib/libtorch_cpu.so");
    ensure!(!cfg!(target_os = "linux") || library.is_file(), "there is no {}", library.display());
    let library = libtorch.join("lib/libtorch_cuda.so");
    ensure!(variant == Variant::Cpu || library.is_file(), "it has no CUDA: there is no {}", library.display());
    match version(libtorch) {
        Some(version) if same_minor(&version, LIBTORCH_VERSION) => Ok(()),
        Some(version) => bail!("it is libtorch {version}; tch needs {LIBTORCH_VERSION}"),
        None => {
            stage(format_args!("{} does not state its version; {LIBTORCH_VERSION} is needed", libtorch.display()));
            Ok(())
        }
    }
}

/// The version, without a suffix such as `+cpu`: from `build-version`, or from the Python package's `version.py`.
fn version(libtorch: &Path) -> Option<String> {
    let text = match fs::read_to_string(libtorch.join("build-version")) {
        Ok(text) => text,
        Err(_) => version_of_python(&fs::read_to_string(libtorch.join("version.py")).ok()?)?,
    };
    Some(text.trim().split('+').next()?.to_owned())
}

/// The string in a line such as `__version__ = '2.13.0+cu130'`.
fn version_of_python(text: &str) -> Option<String> {
    for line in text.lines() {
        if let Some(version) = line.strip_prefix("__version__ = ") {
            return Some(version.trim_matches(['\'', '"']).to_owned());
        }
    }
    None
}

/// Whether two versions differ at most in the third number, as `2.13.0` and `2.13.1`, which have the same interface.
fn same_minor(one: &str, other: &str) -> bool {
    one.split('.').take(2).eq(other.split('.').take(2))
}

/// Points `link` at `folder`, atomically.
fn point(link: &Path, folder: &Path) -> Result<()> {
    if link.is_dir() && !link.is_symlink() {
        bail!("{} is not libtorch {LIBTORCH_VERSION}; remove that folder and run this again", link.display());
    }
    let fresh = beside(link, &format!("{}.new", std::process::id()));
    let parent = link.parent().context("a link has a parent")?;
    fs::create_dir_all(parent)?;
    let mut linked = symlink(folder, &fresh);
    if linked.is_ok() {
        linked = fs::rename(&fresh, link);
    }
    linked.with_context(|| format!("cannot link {} to {}", link.display(), folder.display()))
}

#[cfg(unix)]
fn symlink(folder: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(folder, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_variants_do_not_share_their_files() {
        assert_eq!(beside(Path::new("/c/libtorch-2.13.0-cpu"), "lock"), Path::new("/c/libtorch-2.13.0-cpu.lock"));
    }

    #[test]
    fn versions_of_one_minor_release_are_accepted() {
        assert!(same_minor("2.13.1", LIBTORCH_VERSION));
        assert!(!same_minor("2.12.0", LIBTORCH_VERSION));
        assert!(!same_minor("2.1", LIBTORCH_VERSION));
    }
}
