//! `mmcv ckpt`: lists, verifies, compares and converts checkpoints.

mod convert;
mod diff;
mod inspect;
mod verify;

use std::io;

use clap::Subcommand;
use mmcv_pth::ErrorKind;

use super::{Failure, hints};

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
pub(crate) enum Ckpt {
    Inspect(inspect::Inspect),
    Convert(convert::Convert),
    Diff(diff::Diff),
    Verify(verify::Verify),
}

impl Ckpt {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect(command) => command.run(),
            Self::Convert(command) => command.run(),
            Self::Diff(command) => command.run(),
            Self::Verify(command) => command.run(),
        }
    }
}

impl From<mmcv_pth::Error> for Failure {
    fn from(error: mmcv_pth::Error) -> Self {
        let is_missing = matches!(&*error.kind, ErrorKind::Io(io) if io.kind() == io::ErrorKind::NotFound);
        let is_name = is_missing && error.path.to_string_lossy().contains("://");
        let hint = if is_name {
            "; `mmcv zoo fetch NAME` prints the file of a name or URL"
        } else {
            hints::of_reading(&error.kind)
        };
        Self(format!("{error}{hint}"))
    }
}
