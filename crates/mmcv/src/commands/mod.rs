//! The sub-commands, one file each.

mod bench;
mod build;
mod ckpt;
mod doctor;
mod layers;
mod network;
mod predict;
mod summary;
mod table;
mod weights;
mod zoo;

use std::fmt;
use std::io::Write;
use std::path::Path;

use clap::Subcommand;

pub(crate) use predict::Prediction;
pub(crate) use summary::{COLUMNS, Line};

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Doctor(doctor::Doctor),
    Build(build::Build),
    Summary(summary::Summary),
    Layers(layers::Layers),
    #[command(subcommand)]
    Zoo(zoo::Zoo),
    #[command(subcommand)]
    Ckpt(ckpt::Ckpt),
    Predict(predict::Predict),
    Bench(bench::Bench),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Doctor(command) => command.run(),
            Self::Build(command) => command.run(),
            Self::Summary(command) => command.run(),
            Self::Layers(command) => command.run(),
            Self::Zoo(command) => command.run(),
            Self::Ckpt(command) => command.run(),
            Self::Predict(command) => command.run(),
            Self::Bench(command) => command.run(),
        }
    }
}

/// Why a command failed, as it is printed after `error: `: a line, and a line for each cause.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let mut text = String::new();
        let mut last = String::new();
        for (depth, cause) in error.chain().enumerate() {
            let line = cause.to_string();
            // A cause that says the same as what it caused is no news.
            if depth > 0 && last.contains(&line) {
                continue;
            }
            let lead = if depth == 0 { "" } else { "\n  caused by: " };
            text.push_str(&format!("{lead}{line}"));
            last = line;
        }
        Self(text)
    }
}

impl From<mmcv_zoo::Error> for Failure {
    fn from(error: mmcv_zoo::Error) -> Self {
        Self(error.report())
    }
}

/// A path as JSON can hold it: bytes that are no UTF-8 are replaced.
fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Prints to stdout; fails where it is closed.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure(format!("stdout: {error}")))
}
