//! `cargo xtask parity`: replays cases of the Python reference.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::process::{cargo, run};
use crate::setup::{Variant, ensure_libtorch};
use crate::workspace::target;

/// Replays parity cases; the last line is `N passed, N failed`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask parity tests/cases/conv tests/cases/norm
  cargo xtask parity --fuse tests/cases")]
pub(crate) struct Parity {
    /// Replays the cases in evaluation mode with the modules in fused form, within 1e-4.
    #[arg(long)]
    fuse: bool,

    /// Folders with NAME.json and NAME.safetensors files.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
}

impl Parity {
    /// The runner has the last word: nothing is printed after it.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        run(cargo(&libtorch).args(["build", "--package", "mmcv-tests", "--bin", "parity"]))?;
        let runner = target().join("debug/parity");
        let status = Command::new(&runner)
            .args(self.fuse.then_some("--fuse"))
            .args(self.folders)
            .status()
            .with_context(|| format!("cannot start {}", runner.display()))?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
