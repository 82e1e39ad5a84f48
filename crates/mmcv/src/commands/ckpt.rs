//! `mmcv ckpt`: what is in a checkpoint.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Failure, print};

/// Checkpoint files: `.pth` of any age, TorchScript, safetensors. Nothing in them is executed.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  mmcv ckpt inspect resnet50-0676ba61.pth
  mmcv ckpt inspect --json --digest model.safetensors")]
pub(crate) enum Ckpt {
    /// Lists the tensors and the other entries of a file.
    Inspect {
        /// The file.
        file: PathBuf,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
        /// Adds the SHA-256 of each tensor's elements.
        #[arg(long)]
        digest: bool,
    },
}

impl Ckpt {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Inspect { file, json, digest } => {
                let refuse = |error: mmcv_pth::Error| Failure(error.to_string());
                let inspection = mmcv_pth::inspect(&file, &mmcv_pth::Options::default(), digest).map_err(refuse)?;
                if json {
                    let text = serde_json::to_string_pretty(&inspection).map_err(anyhow::Error::from)?;
                    return print(&format!("{text}\n"));
                }
                print(&inspection.to_string())
            }
        }
    }
}
