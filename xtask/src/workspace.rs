//! Paths of the workspace.

use std::env;
use std::path::{Path, PathBuf};

/// The version of libtorch that tch binds.
pub(crate) const LIBTORCH_VERSION: &str = "2.13.0";

/// The root folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo's build folder: `CARGO_TARGET_DIR`, else `target`.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The `mmcv` program of the release build.
pub(crate) fn mmcv() -> PathBuf {
    target().join("release/mmcv")
}
