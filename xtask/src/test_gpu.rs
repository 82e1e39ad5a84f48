//! `cargo xtask test-gpu`: the suite on the first CUDA device.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::process::{cargo, output, run, stage};
use crate::setup::{Variant, ensure_libtorch};
use crate::test::with_runner;
use crate::workspace::target;

/// The parity cases, one test each.
const PARITY: [&str; 5] = ["test", "--package", "mmcv-tests", "--test", "parity"];

/// The tests of several processes, which go through NCCL on CUDA devices.
const DISTRIBUTED: [&str; 5] = ["test", "--package", "mmcv-distributed", "--features", "nccl"];

/// The exit status if there is no CUDA device.
const NO_DEVICE: u8 = 3;

/// Sets up libtorch with CUDA, builds against it, with NCCL for training on several devices, and runs the suite on cuda:0. Exits with 3
/// if there is no device.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask test-gpu

It builds in target/cuda, and leaves the CPU build untouched.")]
pub(crate) struct TestGpu {}

impl TestGpu {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let libtorch = ensure_libtorch(Variant::Cuda)?;
        stage("Building with CUDA");
        run(on_gpu(&libtorch).args(["build", "--package", "mmcv-cli", "--package", "mmcv-tests", "--all-targets"]))?;
        run(with_nccl(&libtorch)?.args([
            "build",
            "--package",
            "mmcv-distributed",
            "--features",
            "nccl",
            "--all-targets",
        ]))?;
        let report = output(Command::new(folder().join("debug/mmcv")).args(["doctor", "--json"]))?;
        let report: Value = serde_json::from_str(&report).context("cannot read the output of `mmcv doctor --json`")?;
        ensure!(
            report["cuda_library_loaded"] == true,
            "the programs were built without libtorch_cuda.so; `mmcv doctor --json` prints\n{report:#}"
        );
        if report["cuda_devices"] != 0 {
            run(with_runner(on_gpu(&libtorch)).args(["--package", "mmcv-tests"]))?;
            run(on_gpu(&libtorch).args(PARITY))?;
            run(with_nccl(&libtorch)?.args(DISTRIBUTED))?;
            return Ok(ExitCode::SUCCESS);
        }
        let reason = report["cuda_error"].as_str().unwrap_or_default();
        ensure!(
            reason.contains("Found no NVIDIA driver"),
            "there is no CUDA device, but moving a tensor to one fails for another reason: {reason:?}"
        );
        let tests = count(&libtorch)?;
        eprintln!("no CUDA device (Found no NVIDIA driver): {tests} tests did not run");
        Ok(ExitCode::from(NO_DEVICE))
    }
}

/// Cargo with the CUDA libtorch and a separate target folder.
fn on_gpu(libtorch: &Path) -> Command {
    let mut command = cargo(libtorch);
    command.env("CARGO_TARGET_DIR", folder()).env("MMCV_TEST_DEVICE", "cuda:0");
    command
}

/// The same with the headers of NCCL.
fn with_nccl(libtorch: &Path) -> Result<Command> {
    let nvidia = libtorch.join("../nvidia");
    let folders = ["cu13/include", "cu13/include/cccl", "nccl/include"].map(|folder| nvidia.join(folder));
    for folder in &folders {
        ensure!(
            folder.is_dir(),
            "there is no {}, with headers of CUDA or NCCL; remove what {} is a link to, and run this again to install them",
            folder.display(),
            libtorch.display()
        );
    }
    let mut command = on_gpu(libtorch);
    command.env("MMCV_NCCL_INCLUDE", std::env::join_paths(folders)?);
    Ok(command)
}

fn folder() -> std::path::PathBuf {
    target().join("cuda")
}

/// The number of tests in the suite.
fn count(libtorch: &Path) -> Result<usize> {
    let suite: &[&str] = &["test", "--package", "mmcv-tests"];
    let mut tests = 0;
    for arguments in [suite, &PARITY, &DISTRIBUTED] {
        let list = output(with_nccl(libtorch)?.args(arguments).args(["--quiet", "--", "--list"]))
            .context("cannot count the tests")?;
        tests += list.matches(": test\n").count();
    }
    Ok(tests)
}
