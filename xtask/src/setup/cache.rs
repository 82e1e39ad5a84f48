//! The cache folder, and the lock that lets one process at a time install.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::stage;
use crate::workspace::root;

/// The folder in which libtorch is kept: outside of `target/` where such a folder can be written.
pub(super) fn folder() -> Result<PathBuf> {
    if let Some(folder) = variable("MMCV_RS_CACHE") {
        let folder = env::current_dir()?.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("MMCV_RS_CACHE is {}, which cannot be created", folder.display()))?;
        return Ok(folder);
    }
    let caches = [variable("XDG_CACHE_HOME"), variable("HOME").map(|home| home.join(".cache"))];
    let folder = caches.into_iter().flatten().map(|cache| cache.join("mmcv-rs")).find(|folder| is_writable(folder));
    Ok(folder.unwrap_or_else(|| root().join("target")))
}

/// A variable that holds an absolute path, or a relative one that the user has chosen; empty counts as unset.
fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Can files be made in this folder?
fn is_writable(folder: &Path) -> bool {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&probe, ""));
    let removed = fs::remove_file(&probe);
    written.and(removed).is_ok()
}

/// Waits until no other process holds the lock file. The lock ends with the file that is returned, or with the process.
pub(super) fn lock(path: &Path) -> Result<File> {
    let context = || format!("cannot lock {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(context)?;
    }
    let file = File::create(path).with_context(context)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            stage(format_args!("Waiting for another process that installs libtorch ({})", path.display()));
            file.lock().with_context(context)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
    }
    Ok(file)
}
