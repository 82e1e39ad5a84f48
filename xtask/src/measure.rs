//! `cargo xtask measure`: measures of the sources and the house rules that need a parser.

use anyhow::Result;
use clap::Args;

use crate::process::{plain_cargo, run};

/// Measures the sources, and checks them against limits and house rules.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask measure
  cargo xtask measure --json > measures.json

The limits are in xtask/measure/src/measures.rs, the house rules in docs/style.md.")]
pub(crate) struct Measure {
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Measure {
    pub(crate) fn run(self) -> Result<()> {
        measure(if self.json { &["--json"] } else { &[] })
    }
}

/// Runs the package `xtask-measure`: a parser is too much for `xtask` itself, which is compiled before anything else.
pub(crate) fn measure(arguments: &[&str]) -> Result<()> {
    run(plain_cargo().args(["run", "--quiet", "--package", "xtask-measure", "--"]).args(arguments))
}
