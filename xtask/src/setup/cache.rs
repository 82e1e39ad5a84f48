//! The cache folder, and the file lock that lets one process at a time install.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::{env, io};

use anyhow::{Context, Result};

use crate::process::stage;
use crate::workspace::root;

/// The folder for libtorch: outside `target/` if such a folder is writable.
pub(super) fn folder() -> Result<PathBuf> {
    if let Some(folder) = variable("MMCV_RS_CACHE") {
        let folder = env::current_dir()?.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("MMCV_RS_CACHE is {}, which cannot be created", folder.display()))?;
        return Ok(folder);
    }
    let xdg = variable("XDG_CACHE_HOME");
    let home = variable("HOME").map(|home| home.join(".cache"));
    for cache in [xdg, home].into_iter().flatten() {
        let folder = cache.join("mmcv-rs");
        if is_writable(&folder) {
            return Ok(folder);
        }
    }
    Ok(root().join("target"))
}

/// The path in a variable; empty counts as unset.
fn variable(name: &str) -> Option<PathBuf> {
    match env::var_os(name) {
        Some(value) if !value.is_empty() => Some(value.into()),
        _ => None,
    }
}

/// Whether files can be created in this folder.
fn is_writable(folder: &Path) -> bool {
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    fs::create_dir_all(folder).is_ok() && fs::write(&probe, "").is_ok() && fs::remove_file(&probe).is_ok()
}

/// Locks a file, and waits while another process holds it. The lock ends with the returned file, or with the process.
pub(super) fn lock(path: &Path) -> Result<File> {
    try_lock(path).with_context(|| format!("cannot lock {}", path.display()))
}

fn try_lock(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = File::create(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            stage(format_args!("Waiting for another process to install libtorch ({})", path.display()));
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(file)
}
