//! Programs that this one starts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Says on stderr what is done next; stdout is left to the programs that are started.
pub(crate) fn stage(text: impl fmt::Display) {
    eprintln!("==> {text}");
}

/// Cargo, for the whole workspace, with the given libtorch.
pub(crate) fn cargo(libtorch: &Path) -> Command {
    let mut cargo = plain_cargo();
    // The one of .cargo/config.toml is left to cargo: another value would compile torch-sys anew.
    if libtorch != default_libtorch() {
        cargo.env("LIBTORCH", libtorch);
    }
    cargo
}

/// Cargo, for what needs no libtorch.
pub(crate) fn plain_cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace::root());
    // What `cargo run` has set for this program only: it would make some build scripts run again.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    if env::var_os("LIBTORCH").is_some_and(|libtorch| libtorch == default_libtorch()) {
        cargo.env_remove("LIBTORCH");
    }
    cargo
}

/// What `.cargo/config.toml` sets `LIBTORCH` to.
pub(crate) fn default_libtorch() -> PathBuf {
    workspace::root().join("target/libtorch")
}

/// Runs a program to its end.
///
/// # Errors
/// Where it cannot be started, or ends with another status than 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let program = describe(command);
    let status = command.status().with_context(|| format!("cannot start `{program}`"))?;
    ensure!(status.success(), "`{program}` failed: {status}");
    Ok(())
}

/// Runs a program and returns what it printed on stdout.
///
/// # Errors
/// As [`run`].
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = describe(command);
    let output = command.output().with_context(|| format!("cannot start `{program}`"))?;
    ensure!(output.status.success(), "`{program}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Is the program found on the search path?
pub(crate) fn exists(program: impl AsRef<OsStr>) -> bool {
    let program = Path::new(program.as_ref());
    if program.components().count() > 1 {
        return program.is_file();
    }
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// The command as one would type it.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
