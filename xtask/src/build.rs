//! `cargo xtask build`.

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, run};
use crate::setup::{Variant, ensure_libtorch};

/// Sets up libtorch and builds the workspace.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask build --release       the mmcv command is then target/release/mmcv
  cargo xtask build -- --package mmcv-layers")]
pub(crate) struct Build {
    /// With optimisation.
    #[arg(long)]
    release: bool,
    /// Passed on to `cargo build`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Build {
    pub(crate) fn run(self) -> Result<()> {
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        run(cargo(&libtorch).arg("build").args(self.release.then_some("--release")).args(self.arguments))
    }
}
