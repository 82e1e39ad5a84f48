//! `mmcv ckpt`: lists, verifies, compares and converts checkpoints.

mod convert;
mod diff;
mod inspect;
mod verify;

use clap::Subcommand;

use crate::Failure;

/// Checkpoint files: zip and legacy `.pth`, TorchScript, safetensors, Detectron2's `.pkl`, sharded checkpoints with an index.
/// Nothing in them is executed.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  mmcv ckpt inspect resnet50-0676ba61.pth
  mmcv ckpt inspect --json --digest model.safetensors
  mmcv ckpt verify resnet50-0676ba61.pth
  mmcv ckpt inspect whole_module.pth --unknown-classes opaque
  mmcv ckpt convert epoch_12.pth weights.safetensors --entry state_dict
  mmcv ckpt diff epoch_11.pth epoch_12.pth")]
pub enum Ckpt {
    Inspect(inspect::Inspect),
    Convert(convert::Convert),
    Diff(diff::Diff),
    Verify(verify::Verify),
}

impl Ckpt {
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect(command) => command.run(),
            Self::Convert(command) => command.run(),
            Self::Diff(command) => command.run(),
            Self::Verify(command) => command.run(),
        }
    }
}
