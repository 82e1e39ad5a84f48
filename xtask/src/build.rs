//! `cargo xtask build`.

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, run};
use crate::setup::{Variant, ensure_libtorch};

/// Sets up libtorch and builds the workspace.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask build --release       builds the mmcv command as target/release/mmcv
  cargo xtask build -- --package mmcv-layers")]
pub(crate) struct Build {
    /// Builds with optimizations.
    #[arg(long)]
    release: bool,
    /// Options for `cargo build`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Build {
    pub(crate) fn run(self) -> Result<()> {
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        let mut command = cargo(&libtorch);
        command.arg("build");
        if self.release {
            command.arg("--release");
        }
        run(command.args(self.arguments))
    }
}
