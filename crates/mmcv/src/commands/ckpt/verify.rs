//! `mmcv ckpt verify`: whether a file is whole, and the one that it should be.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;
use mmcv_pth::Checkpoint;
use mmcv_zoo::Digest;
use serde_json::json;

use crate::commands::{Failure, print, print_json, shown, size};
use crate::progress::Bytes;

/// Reads a file to its last byte: structure, checksums, and the SHA-256 that its name or `--sha256` tells.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv ckpt verify resnet50-0676ba61.pth
  mmcv ckpt verify model.safetensors --sha256 2cf24dba5fb0a30e

Files of the zip format have a checksum for each tensor; in the others only the SHA-256
tells that an element was changed.")]
pub(crate) struct Verify {
    /// The file. A name such as `resnet50-0676ba61.pth` tells how its SHA-256 begins.
    file: PathBuf,
    /// The file's SHA-256, or its beginning (at least 6 hex digits); the name is then not asked.
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    /// Prints one JSON object: format, number of tensors, size, and digests.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let file = self.file.display();
        let checkpoint = Checkpoint::open(&self.file)?;
        let fail = |error: std::io::Error| Failure(format!("{file}: {error}"));
        let opened = File::open(&self.file).map_err(fail)?;
        let bytes = opened.metadata().map_err(fail)?.len();
        let bar = Bytes::of(bytes);
        let found = Digest::of_reader(bar.watch(opened)).map_err(fail)?;
        drop(bar);
        checkpoint.verify()?;
        let (expected, whence) = match &self.sha256 {
            Some(given) => (Some(given.clone()), "--sha256"),
            None => {
                let name = self.file.file_name().and_then(|name| name.to_str());
                (name.and_then(Digest::of_file_name), "its name")
            }
        };
        if let Some(expected) = expected.as_ref().filter(|expected| !expected.is_prefix_of(found.as_str())) {
            return Err(Failure(format!("{file}: wrong SHA-256: expected {expected} ({whence}), found {found}")));
        }
        let (format, tensors) = (checkpoint.format().to_string(), checkpoint.tensors().len());
        if self.json {
            return print_json(&json!({
                "file": shown(&self.file),
                "format": format,
                "tensors": tensors,
                "bytes": bytes,
                "sha256": found.as_str(),
                "expected": expected.as_ref().map(Digest::as_str),
            }));
        }
        let told = match expected {
            Some(expected) => format!("as {whence} tells ({expected})"),
            None => "nothing tells what it should be".to_owned(),
        };
        print(&format!("good: {file}: {format}, {tensors} tensors, {}\nSHA-256 {found}, {told}\n", size(bytes)))
    }
}
