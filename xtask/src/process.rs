//! Programs that this one starts.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt};

use anyhow::{Context, Result, ensure};

use crate::workspace;

/// Prints the next step to stderr; stdout belongs to the programs that are started.
pub(crate) fn stage(text: impl fmt::Display) {
    eprintln!("==> {text}");
}

/// Cargo for the whole workspace, with this libtorch.
pub(crate) fn cargo(libtorch: &Path) -> Command {
    let mut cargo = plain_cargo();
    // The default is left to .cargo/config.toml: another value would recompile torch-sys.
    if libtorch != default_libtorch() {
        cargo.env("LIBTORCH", libtorch);
    }
    cargo
}

/// Cargo for packages that need no libtorch.
pub(crate) fn plain_cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace::root());
    // `cargo run` sets these for this program only; they would make some build scripts run again.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(name);
        }
    }
    if let Some(libtorch) = env::var_os("LIBTORCH")
        && Path::new(&libtorch) == default_libtorch()
    {
        cargo.env_remove("LIBTORCH");
    }
    cargo
}

/// The value of `LIBTORCH` in `.cargo/config.toml`.
pub(crate) fn default_libtorch() -> PathBuf {
    workspace::root().join("target/libtorch")
}

/// Runs a program to its end.
///
/// # Errors
/// Returns an error if it cannot be started, or exits with a status other than 0.
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

/// Whether the program is on the search path.
pub(crate) fn exists(program: impl AsRef<OsStr>) -> bool {
    let program = Path::new(program.as_ref());
    if program.components().count() > 1 {
        return program.is_file();
    }
    let Some(path) = env::var_os("PATH") else { return false };
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The command line, without the folder of the program.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
