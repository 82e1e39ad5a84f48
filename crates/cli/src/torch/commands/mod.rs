//! The subcommands, one file each.

mod bench;
mod build;
mod doctor;
mod export;
mod features;
mod layers;
mod predict;
pub(crate) mod quantize;
mod summary;
mod zoo;

use clap::Subcommand;
use mmcv_cli::Failure;
use mmcv_cli::commands::{ckpt, config, launch, merge};

use crate::origin::with_places;

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
    Export(export::Export),
    Quantize(quantize::Quantize),
    Launch(launch::Launch),
    Merge(merge::Merge),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = self.config_name().map(str::to_owned);
        self.run_command().map_err(|failure| with_places(failure, config.as_deref()))
    }

    /// The config file or model zoo name that the command was given.
    fn config_name(&self) -> Option<&str> {
        match self {
            Self::Build(command) => Some(command.network.name()),
            Self::Summary(command) => Some(command.network.name()),
            Self::Predict(command) => Some(command.weights.name()),
            Self::Features(command) => Some(command.weights.name()),
            Self::Bench(command) => command.only_config(),
            Self::Export(command) => Some(command.name()),
            Self::Quantize(command) => Some(command.weights.name()),
            Self::Doctor(_)
            | Self::Layers(_)
            | Self::Zoo(_)
            | Self::Ckpt(_)
            | Self::Config(_)
            | Self::Launch(_)
            | Self::Merge(_) => None,
        }
    }

    fn run_command(self) -> Result<(), Failure> {
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
            Self::Export(command) => command.run(),
            Self::Quantize(command) => command.run(),
            Self::Launch(command) => command.run(),
            Self::Merge(command) => command.run(),
        }
    }
}
