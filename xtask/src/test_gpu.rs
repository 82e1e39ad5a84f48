//! `cargo xtask test-gpu`: the suite on the first CUDA device.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::process::{cargo, output, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::test::with_runner;
use crate::workspace::target;

/// The parity cases, one test each.
const PARITY: [&str; 5] = ["test", "--package", "mmcv-tests", "--test", "parity"];

/// The exit status where there is no CUDA device.
const NO_DEVICE: u8 = 3;

/// Sets up libtorch with CUDA, builds against it, and runs the suite on cuda:0. Exits with 3 where there is no device.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask test-gpu

It builds in target/cuda, so that the other build stays as it is.")]
pub(crate) struct TestGpu {}

impl TestGpu {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let libtorch = ensure_libtorch(Variant::Cuda)?;
        stage("Building with CUDA");
        run(on_gpu(&libtorch).args(["build", "--package", "mmcv-cli", "--package", "mmcv-tests", "--all-targets"]))?;
        let report = output(Command::new(folder().join("debug/mmcv")).args(["doctor", "--json"]))?;
        ensure!(
            field(&report, "cuda_library_loaded") == Some("true"),
            "the programs were built without libtorch_cuda.so: `mmcv doctor --json` says\n{report}"
        );
        if field(&report, "cuda_devices") != Some("0") {
            run(with_runner(on_gpu(&libtorch)).args(["--package", "mmcv-tests"]))?;
            run(on_gpu(&libtorch).args(PARITY))?;
            return Ok(ExitCode::SUCCESS);
        }
        let reason = field(&report, "cuda_error").unwrap_or_default();
        ensure!(
            reason.contains("Found no NVIDIA driver"),
            "there is no CUDA device, and moving a tensor to one fails for another reason than that: {reason:?}"
        );
        let tests = count(&libtorch)?;
        eprintln!("no CUDA device (Found no NVIDIA driver): {tests} tests did not run");
        Ok(ExitCode::from(NO_DEVICE))
    }
}

/// Cargo, with the libtorch that has CUDA, in a target folder of its own.
fn on_gpu(libtorch: &Path) -> Command {
    let mut command = cargo(libtorch);
    command.env("CARGO_TARGET_DIR", folder()).env("MMCV_TEST_DEVICE", "cuda:0");
    command
}

fn folder() -> std::path::PathBuf {
    target().join("cuda")
}

/// The number of tests in the suite.
fn count(libtorch: &Path) -> Result<usize> {
    let suite: &[&str] = &["test", "--package", "mmcv-tests"];
    let mut tests = 0;
    for arguments in [suite, &PARITY] {
        let list = output(on_gpu(libtorch).args(arguments).args(["--quiet", "--", "--list"]))
            .context("cannot count the tests")?;
        tests += list.lines().filter(|line| line.ends_with(": test")).count();
    }
    Ok(tests)
}

/// A value of `mmcv doctor --json`, whose object has one line per entry.
fn field<'a>(report: &'a str, name: &str) -> Option<&'a str> {
    report.lines().find_map(|line| {
        let value = line.trim().strip_prefix('"')?.strip_prefix(name)?.strip_prefix("\":")?;
        Some(value.trim().trim_end_matches(',').trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn values_are_found_by_their_names() {
        let report = "{\n  \"cuda_devices\": 0,\n  \"cuda_error\": \"Found no NVIDIA driver\"\n}";
        assert_eq!(field(report, "cuda_devices"), Some("0"));
        assert_eq!(field(report, "cuda_error"), Some("Found no NVIDIA driver"));
        assert_eq!(field(report, "cuda"), None);
    }
}
