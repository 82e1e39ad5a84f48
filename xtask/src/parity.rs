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
#[command(after_help = "Examples:
  cargo xtask parity tests/cases/conv tests/cases/norm
  cargo xtask parity tests/cases/conv/conv1d.json
  cargo xtask parity tests/cases --filter conv_module/
  cargo xtask parity --fuse tests/cases
  cargo xtask parity --fuse --winograd tests/cases

A failure shows the first differing element and its distance in ulps, the config, and the line of the generator.")]
pub(crate) struct Parity {
    /// Replays the cases in evaluation mode with fused modules, within 1e-4.
    #[arg(long)]
    fuse: bool,

    /// With --fuse, computes all convolutions by Winograd's algorithm that can be.
    #[arg(long, requires = "fuse")]
    winograd: bool,

    /// Replays only the cases whose GROUP/NAME contains this text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// NAME.json files with NAME.safetensors beside them, or folders of such files.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
}

impl Parity {
    /// Prints nothing after the runner, whose last line is the total.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        run(cargo(&libtorch).args(["build", "--package", "mmcv-tests", "--bin", "parity"]))?;
        let runner = target().join("debug/parity");
        let mut command = Command::new(&runner);
        if self.fuse {
            command.arg("--fuse");
        }
        if self.winograd {
            command.arg("--winograd");
        }
        if let Some(text) = self.filter {
            command.args(["--filter", &text]);
        }
        let status = command
            .arg("--")
            .args(self.paths)
            .status()
            .with_context(|| format!("cannot start {}", runner.display()))?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
