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
pub(crate) const LIGHT: [&str; 4] = ["mmcv-registry", "mmcv-pth", "mmcv-zoo", "xtask"];

/// Sets up libtorch and runs every test: light crates, workspace, documentation, parity cases.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask test
  cargo xtask test conv_module              only tests whose names contain this
  cargo xtask test -- --no-fail-fast        options of cargo nextest, or of cargo test where that is not installed")]
pub(crate) struct Test {
    /// Passed on to the test runner. With them, the parity cases are left out.
    arguments: Vec<String>,
}

impl Test {
    pub(crate) fn run(self) -> Result<()> {
        light(&self.arguments)?;
        let libtorch = ensure_libtorch(Variant::Cpu)?;
        run(cargo(&libtorch).args(["build", "--package", "mmcv-cli"]))?;
        if let Err(problem) = weights::fetch(&target().join("debug/mmcv")) {
            eprintln!("warning: {problem:#}; the tests that need the weights will say that they did not run");
        }
        stage("Tests of the workspace");
        run(with_runner(cargo(&libtorch)).arg("--workspace").args(excluded()).args(&self.arguments))?;
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
    let packages = LIGHT.iter().flat_map(|package| ["--package", package]);
    run(with_runner(plain_cargo()).args(packages).args(arguments))
}

/// The packages of [`light`], which have been tested before.
fn excluded() -> impl Iterator<Item = &'static str> {
    LIGHT.iter().flat_map(|package| ["--exclude", package])
}

/// The runner of the parity cases.
fn parity(libtorch: &Path) -> Command {
    let mut command = cargo(libtorch);
    command.args(["run", "--quiet", "--package", "mmcv-tests", "--bin", "parity", "--"]);
    command
}

/// cargo-nextest where it is installed, else cargo's own runner.
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
    version.status().is_ok_and(|status| status.success())
}
