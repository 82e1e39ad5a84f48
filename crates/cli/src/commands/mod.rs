//! The subcommands, one file each.

mod bench;
mod build;
mod ckpt;
mod config;
mod doctor;
mod features;
mod hints;
mod layers;
mod predict;
mod summary;
mod zoo;

use std::fmt;

use clap::Subcommand;

use crate::output::escape_lines;

/// The subcommands.
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
    Config(config::ConfigCommand),
    Predict(predict::Predict),
    Features(features::Features),
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
            Self::Config(command) => command.run(),
            Self::Predict(command) => command.run(),
            Self::Features(command) => command.run(),
            Self::Bench(command) => command.run(),
        }
    }
}

/// Why a command failed, as printed after `error: `: one line, and one more for each cause.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_lines(&self.0))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let mut text = String::new();
        let mut last = String::new();
        for (depth, cause) in error.chain().enumerate() {
            let line = match cause.downcast_ref() {
                Some(error) => mmcv_layers::first_line(error),
                None => cause.to_string(),
            };
            // Skip a cause whose text is already part of the error above it.
            if depth > 0 && last.contains(&line) {
                continue;
            }
            let hint = match cause.downcast_ref::<mmcv_checkpoint::Error>().map(|error| &*error.kind) {
                Some(mmcv_checkpoint::ErrorKind::File(error)) => hints::of_reading(&error.kind),
                _ => "",
            };
            let lead = if depth == 0 { "" } else { "\n  caused by: " };
            text.push_str(&format!("{lead}{line}{hint}"));
            last = line;
        }
        text.push_str(&hints::of_chain(error.chain()));
        Self(text)
    }
}

impl From<mmcv_zoo::Error> for Failure {
    fn from(error: mmcv_zoo::Error) -> Self {
        Self(format!("{}{}", error.report(), hints::of_zoo(&error)))
    }
}
