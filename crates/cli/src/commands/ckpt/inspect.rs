//! `mmcv ckpt inspect`: the contents of a checkpoint.

use std::path::PathBuf;

use clap::Args;
use mmcv_pth::OpenOptions;

use crate::Failure;
use crate::args::UnknownClassesOption;
use crate::output::{print, stream_json};

/// Lists the tensors and the other entries of a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv ckpt inspect resnet50-0676ba61.pth
  mmcv ckpt inspect --json --digest model.safetensors
  mmcv ckpt inspect whole_module.pth --unknown-classes opaque")]
pub struct Inspect {
    /// The file.
    file: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// Adds the SHA-256 of each tensor's elements.
    #[arg(long)]
    digest: bool,
    #[command(flatten)]
    unknown_classes: UnknownClassesOption,
}

impl Inspect {
    pub fn run(&self) -> Result<(), Failure> {
        let options = OpenOptions::new().unknown_classes(self.unknown_classes.policy());
        let inspection = mmcv_pth::inspect(&self.file, &options, self.digest)?;
        if self.json { stream_json(&inspection) } else { print(&inspection.to_string()) }
    }
}
