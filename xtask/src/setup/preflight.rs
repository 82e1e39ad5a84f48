//! What has to be there before a download is worth its time; each failure says what to do.

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
    if let Some(given) = env::var_os("CXX").filter(|given| !given.is_empty()) {
        // It may come with arguments, as `ccache g++`.
        let program = given.to_string_lossy().split_whitespace().next().unwrap_or_default().to_owned();
        ensure!(exists(&program), "CXX is {}, and there is no such program; correct or unset it", given.display());
        return Ok(());
    }
    if exists("c++") {
        return Ok(());
    }
    match ["g++", "clang++"].into_iter().find(|program| exists(program)) {
        Some(program) => bail!("there is no c++ on the PATH, but {program}: run again with CXX={program}"),
        None => bail!(
            "no C++ compiler was found (c++, g++, clang++), and the binding of libtorch is written in C++; install one \
             (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++), or set CXX"
        ),
    }
}

/// The platform for which the wheels are known.
pub(super) fn platform() -> Result<()> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")),
        "libtorch can be installed for x86-64 Linux with glibc only, and this is {} on {}; install libtorch 2.13 for \
         it, and set LIBTORCH to its folder (the one with lib/ and include/)",
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
    /// A Python that keeps the lock, as its stdin: where xtask is killed and Python lives on, the next run waits for it.
    pub(super) fn command(&self) -> Result<Command> {
        let mut command = Command::new(PROGRAM);
        command.stdin(self.lock.try_clone().context("cannot hand the lock on")?);
        Ok(command)
    }
}

/// Finds `python3` and its pip. `lock` is held as long as the value, and the programs that it starts, are there.
pub(super) fn python(lock: File) -> Result<Python> {
    output(Command::new(PROGRAM).args(["-c", "import sys; sys.exit(sys.version_info < (3, 8))"])).context(
        "python3 (3.8 or newer) is needed to download libtorch; install it (Debian, Ubuntu: apt install python3 \
         python3-pip), or install libtorch 2.13 yourself and set LIBTORCH to its folder",
    )?;
    let pip = output(Command::new(PROGRAM).args(["-m", "pip", "--version"])).is_ok();
    Ok(Python { lock, pip })
}

/// The space that the download needs.
pub(super) fn free_space(python: &Python, folder: &Path, variant: Variant) -> Result<()> {
    let script = "import shutil, sys; print(shutil.disk_usage(sys.argv[1]).free // 1000**2)";
    let free = output(python.command()?.args(["-c", script]).arg(folder))?;
    let (free, needed) = (free.trim().parse::<u64>()?, variant.disk_megabytes());
    ensure!(
        free >= needed,
        "{} has {free} MB free, and {needed} MB are needed to install libtorch; make room, or set MMCV_RS_CACHE to a \
         folder on another disk",
        folder.display()
    );
    Ok(())
}
