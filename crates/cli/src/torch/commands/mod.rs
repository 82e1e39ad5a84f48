//! The subcommands, one file each.

mod bench;
mod build;
mod doctor;
mod features;
mod layers;
mod predict;
mod summary;
mod zoo;

use clap::Subcommand;
use mmcv_cli::Failure;
use mmcv_cli::commands::{ckpt, config};

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
