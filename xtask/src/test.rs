//! `cargo xtask test`: every test, the fastest first.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use clap::Args;

use crate::process::{cargo, plain_cargo, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::weights;
use crate::workspace::{root, target};

/// The packages that need no libtorch.
pub(crate) const LIGHT: [&str; 8] =
    ["mmcv-derive", "mmcv-kernels", "mmcv-pyconfig", "mmcv-registry", "mmcv-pth", "mmcv-zoo", "xtask", "xtask-measure"];

/// Sets up libtorch and runs every test: light crates, workspace, documentation examples, parity cases.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask test
  cargo xtask test conv_module              only tests whose names contain this
  cargo xtask test -- --no-fail-fast        options of cargo nextest, or of cargo test if that is not installed")]
pub(crate) struct Test {
    /// Arguments for the test runner; the parity cases are then skipped.
    arguments: Vec<String>,
}

impl Test {
    pub(crate) fn run(self) -> Result<()> {
        light(&self.arguments)?;
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        run(cargo(&libtorch).args(["build", "--package", "mmcv-cli"]))?;
        if let Err(problem) = weights::fetch(&target().join("debug/mmcv")) {
            eprintln!("warning: {problem:#}; tests that need the weights will be skipped");
        }
        stage("Tests of the workspace");
        let mut tests = with_runner(cargo(&libtorch));
        tests.arg("--workspace");
        for package in LIGHT {
            tests.args(["--exclude", package]);
        }
        run(tests.args(&self.arguments))?;
        stage("Examples in the documentation");
        run(cargo(&libtorch).args(["test", "--quiet", "--workspace", "--doc"]).args(&self.arguments))?;
        if self.arguments.is_empty() {
            stage("Parity with the Python reference");
            run(parity(&libtorch).arg(root().join("tests/cases")))?;
        }
        Ok(())
    }
}

/// The tests that need no libtorch.
pub(crate) fn light(arguments: &[String]) -> Result<()> {
    stage("Tests that need no libtorch");
    let mut command = with_runner(plain_cargo());
    for package in LIGHT {
        command.args(["--package", package]);
    }
    run(command.args(arguments))
}

/// The runner of the parity cases.
fn parity(libtorch: &Path) -> Command {
    let mut command = cargo(libtorch);
    command.args(["run", "--quiet", "--package", "mmcv-tests", "--bin", "parity", "--"]);
    command
}

/// Adds the sub-command of cargo-nextest if it is installed, else of cargo's own runner.
pub(crate) fn with_runner(mut cargo: Command) -> Command {
    if has_nextest() {
        cargo.args(["nextest", "run", "--no-tests", "pass"]);
    } else {
        cargo.args(["test", "--lib", "--bins", "--tests", "--examples"]);
    }
    cargo
}

fn has_nextest() -> bool {
    let mut version = plain_cargo();
    version.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    matches!(version.status(), Ok(status) if status.success())
}
