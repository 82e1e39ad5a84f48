//! `mmcv ckpt inspect`: what is in a checkpoint.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;

use super::reading::Reading;
use crate::commands::{Failure, Stdout, print};

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 1 << 16;

/// Lists the tensors and the other entries of a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv ckpt inspect resnet50-0676ba61.pth
  mmcv ckpt inspect --json --digest model.safetensors
  mmcv ckpt inspect whole_module.pth --unknown-classes opaque")]
pub(crate) struct Inspect {
    /// The file.
    file: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    /// Adds the SHA-256 of each tensor's elements.
    #[arg(long)]
    digest: bool,
    #[command(flatten)]
    reading: Reading,
}

impl Inspect {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let inspection = mmcv_pth::inspect(&self.file, &self.reading.options(), self.digest)?;
        if self.json {
            return print_json(&inspection);
        }
        print(&inspection.to_string())
    }
}

/// Prints a line of JSON, without ever holding all of it in memory.
fn print_json(inspection: &mmcv_pth::Inspection) -> Result<(), Failure> {
    let mut stdout = BufWriter::with_capacity(BUFFER_BYTES, Stdout::lock());
    let written = serde_json::to_writer(&mut stdout, inspection).map_err(std::io::Error::from);
    written
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure(format!("stdout: {error}")))
}
