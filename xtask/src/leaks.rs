//! `cargo xtask leaks`: whether rewriting for inference, which holds memory of C++, gives it back.

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
    /// The sanitizer is loaded before the programs, so that nothing is compiled for it. At the end of a program it
    /// prints what nothing points to any more, and lets the program fail.
    pub(crate) fn run(self) -> Result<()> {
        let found = output(Command::new("c++").arg("-print-file-name=liblsan.so"))?;
        let sanitizer = Path::new(found.trim());
        ensure!(
            sanitizer.is_absolute(),
            "LeakSanitizer (liblsan.so) is part of GCC, and this c++ has none; install it (Debian, Ubuntu: apt install g++)"
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
