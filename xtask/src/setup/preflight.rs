//! Checks before the download; each error says what to do.

use std::env;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Variant;
use crate::process::{exists, output};

const PROGRAM: &str = "python3";

/// The C++ compiler that torch-sys needs.
pub(super) fn compiler() -> Result<()> {
    if let Some(compiler) = env::var_os("CXX")
        && !compiler.is_empty()
    {
        // It may have arguments, as in `ccache g++`.
        let compiler = compiler.to_string_lossy();
        let program = compiler.split_whitespace().next().unwrap_or_default();
        ensure!(exists(program), "CXX is {compiler}, and there is no such program; correct or unset it");
        return Ok(());
    }
    if exists("c++") {
        return Ok(());
    }
    for program in ["g++", "clang++"] {
        ensure!(!exists(program), "there is no c++ on the PATH, but {program}: run again with CXX={program}");
    }
    bail!(
        "no C++ compiler was found (c++, g++, clang++), and the binding of libtorch is written in C++; install one \
         (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++), or set CXX"
    )
}

/// Checks that wheels exist for this platform.
pub(super) fn platform() -> Result<()> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")),
        "libtorch can only be installed for x86-64 Linux with glibc, and this is {} on {}; install libtorch 2.13 yourself, \
         and set LIBTORCH to its folder (the one with lib/ and include/)",
        env::consts::ARCH,
        env::consts::OS,
    );
    Ok(())
}

/// Python, which downloads and unpacks.
pub(super) struct Python {
    lock: File,
    /// Whether it has pip.
    pub(super) pip: bool,
}

impl Python {
    /// A Python that holds the lock as its stdin: if xtask is killed and Python lives on, the next run waits for it.
    pub(super) fn command(&self) -> Result<Command> {
        let mut command = Command::new(PROGRAM);
        command.stdin(self.lock.try_clone().context("cannot share the lock")?);
        Ok(command)
    }
}

/// Finds `python3` and its pip. `lock` is held until the returned value and all programs it started are gone.
pub(super) fn python(lock: File) -> Result<Python> {
    output(Command::new(PROGRAM).args(["-c", "import sys; sys.exit(sys.version_info < (3, 8))"])).context(
        "python3 (3.8 or newer) is needed to download libtorch; install it (Debian, Ubuntu: apt install python3 \
         python3-pip), or install libtorch 2.13 yourself and set LIBTORCH to its folder",
    )?;
    let pip = output(Command::new(PROGRAM).args(["-m", "pip", "--version"])).is_ok();
    Ok(Python { lock, pip })
}

/// Checks that the disk has room for the download.
pub(super) fn free_space(python: &Python, folder: &Path, variant: Variant) -> Result<()> {
    let script = "import shutil, sys; print(shutil.disk_usage(sys.argv[1]).free // 1000**2)";
    let free = output(python.command()?.args(["-c", script]).arg(folder))?;
    let (free, needed) = (free.trim().parse::<u64>()?, variant.disk_megabytes());
    ensure!(
        free >= needed,
        "{} has {free} MB free, and installing libtorch takes {needed} MB; make room, or set MMCV_RS_CACHE to a \
         folder on another disk",
        folder.display()
    );
    Ok(())
}
