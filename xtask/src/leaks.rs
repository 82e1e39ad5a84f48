//! `cargo xtask leaks`: checks that mmcv-fuse frees the C++ memory it holds.

use std::env::consts::{ARCH, OS};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use clap::Args;

use crate::process::{cargo, output, run};
use crate::setup::{Variant, ensure_libtorch};

/// Runs the tests of mmcv-fuse, and the parity cases in fused form, under LeakSanitizer.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask leaks")]
pub(crate) struct Leaks {}

impl Leaks {
    /// The sanitizer is preloaded, so nothing is recompiled. When a program ends, it prints leaked memory and makes the
    /// program fail.
    pub(crate) fn run(self) -> Result<()> {
        let found = output(Command::new("c++").arg("-print-file-name=liblsan.so"))?;
        let sanitizer = Path::new(found.trim());
        ensure!(
            sanitizer.is_absolute(),
            "this c++ has no LeakSanitizer (liblsan.so), which is part of GCC; install it (Debian, Ubuntu: apt install g++)"
        );
        let runner = format!("CARGO_TARGET_{}_UNKNOWN_{}_GNU_RUNNER", ARCH.to_uppercase(), OS.to_uppercase());
        let preload = format!("env LD_PRELOAD={}", sanitizer.display());
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        let mut tests = cargo(&libtorch);
        run(tests.args(["test", "--package", "mmcv-tests", "--test", "all", "fuse::"]).env(&runner, &preload))?;
        let mut cases = cargo(&libtorch);
        cases.args(["run", "--package", "mmcv-tests", "--bin", "parity", "--", "--fuse", "tests/cases"]);
        run(cases.env(&runner, &preload))
    }
}
