//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

/// The version of libtorch that tch binds.
pub(crate) const LIBTORCH_VERSION: &str = "2.13.0";

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder in which cargo builds: `target`, or where `CARGO_TARGET_DIR` says.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The `mmcv` program of the release build.
pub(crate) fn mmcv() -> PathBuf {
    target().join("release/mmcv")
}
