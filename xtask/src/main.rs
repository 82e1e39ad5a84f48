//! `cargo xtask`: setup, demo, tests, parity, benchmarks and checks of the workspace.
//!
//! It must run before libtorch is installed, so it does not depend on libtorch and starts everything else as a process.
#![allow(clippy::print_stderr)]

mod bench;
mod bench_configs;
mod build;
mod check;
mod demo;
mod deny;
mod leaks;
mod measure;
mod parity;
mod process;
mod setup;
mod test;
mod test_gpu;
mod tidy;
mod weights;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Setup, demo, tests, parity, benchmarks and checks of mmcv-rs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
#[command(after_help = "Examples:
  cargo xtask demo                  sets everything up and classifies the bundled image
  cargo xtask demo cat.jpg          the same with your image
  cargo xtask test                  sets everything up and runs every test
  cargo xtask parity tests/cases    replays cases of the Python reference
  cargo xtask bench                 compares with PyTorch, ONNX Runtime, OpenVINO, ncnn and MNN
  cargo xtask build --release       builds target/release/mmcv")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Setup(setup::Setup),
    Build(build::Build),
    Demo(demo::Demo),
    Test(test::Test),
    TestGpu(test_gpu::TestGpu),
    Parity(parity::Parity),
    Bench(bench::Bench),
    BenchConfigs(bench_configs::BenchConfigs),
    Leaks(leaks::Leaks),
    Check(check::Check),
    Tidy(tidy::Tidy),
    Measure(measure::Measure),
    Deny(deny::Deny),
}

impl Command {
    fn run(self) -> Result<ExitCode> {
        match self {
            Self::Setup(command) => command.run()?,
            Self::Build(command) => command.run()?,
            Self::Demo(command) => command.run()?,
            Self::Test(command) => command.run()?,
            Self::TestGpu(command) => return command.run(),
            Self::Parity(command) => return command.run(),
            Self::Bench(command) => command.run()?,
            Self::BenchConfigs(command) => command.run()?,
            Self::Leaks(command) => command.run()?,
            Self::Check(command) => command.run()?,
            Self::Tidy(command) => command.run()?,
            Self::Measure(command) => command.run()?,
            Self::Deny(command) => command.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
