//! `mmcv ckpt verify`: whether a file is whole, and the one that it should be.

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};

use clap::Args;
use mmcv_pth::{Checkpoint, FileCheckpoint};
use mmcv_zoo::Digest;
use serde_json::{Value, json};

use super::reading::Reading;
use crate::commands::{Failure, name, plural, print, print_json, shown, size};
use crate::progress::Bytes;

/// Reads a file to its last byte: structure, checksums, and the SHA-256 that its name or `--sha256` tells.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv ckpt verify resnet50-0676ba61.pth
  mmcv ckpt verify model.safetensors --sha256 2cf24dba5fb0a30e
  mmcv ckpt verify pytorch_model.bin.index.json --json
  mmcv ckpt verify checkpoint-123456.pth --no-name-digest

Files of the zip format have a checksum for each tensor; in the others only the SHA-256
tells that an element was changed.")]
pub(crate) struct Verify {
    /// The file, or the index `*.index.json` of several, which are read, too. A name such as `resnet50-0676ba61.pth` tells
    /// how its SHA-256 begins.
    file: PathBuf,
    /// The file's SHA-256, or its beginning (at least 6 hex digits); the name is then not asked.
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    /// Does not take the end of the file's name for a digest, as where it is a date or a counter.
    #[arg(long)]
    no_name_digest: bool,
    /// Prints one JSON object: format, number of tensors, size, digests, and the files of an index.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

/// A file that was read to its end.
struct Read {
    sha256: Digest,
    bytes: u64,
}

impl Read {
    fn whole(path: &Path) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| Failure(format!("{}: {error}", name(path)));
        let mut file = File::open(path).map_err(fail)?;
        let bytes = file.metadata().map_err(fail)?.len();
        let bar = Bytes::of(bytes);
        let sha256 = Digest::of_reader(bar.watch(&mut file)).map_err(fail)?;
        if file.stream_position().map_err(fail)? < bytes {
            return Err(Failure(format!("{}: became shorter while it was read", name(path))));
        }
        Ok(Self { sha256, bytes })
    }
}

impl Verify {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let file = name(&self.file);
        let checkpoint = Checkpoint::open_with(&self.file, &self.reading.options())?;
        let read = Read::whole(&self.file)?;
        let found = &read.sha256;
        checkpoint.verify()?;
        let (expected, whence) = match &self.sha256 {
            Some(given) => (Some(given.clone()), "--sha256"),
            None if self.no_name_digest => (None, ""),
            None => {
                let name = self.file.file_name().and_then(|name| name.to_str());
                (name.and_then(Digest::of_file_name), "its name")
            }
        };
        if let Some(expected) = expected.as_ref().filter(|expected| !expected.is_prefix_of(found.as_str())) {
            let doubt = match self.sha256 {
                Some(_) => String::new(),
                None => doubt(expected),
            };
            let message = format!("{file}: wrong SHA-256: expected {expected} ({whence}), found {found}{doubt}");
            return Err(Failure(message));
        }
        let tensors = checkpoint.tensors().count();
        let shards = match checkpoint.file() {
            Some(_) => Vec::new(),
            None => checkpoint
                .files()
                .iter()
                .map(|shard| Ok((shard, Read::whole(shard.path())?)))
                .collect::<Result<_, Failure>>()?,
        };
        let format = checkpoint.file().map_or("index".to_owned(), |one| one.format().to_string());
        if self.json {
            let mut told = json!({
                "file": shown(&self.file),
                "format": format,
                "tensors": tensors,
                "bytes": read.bytes,
                "sha256": found.as_str(),
                "expected": expected.as_ref().map(Digest::as_str),
            });
            if checkpoint.file().is_none() {
                told["files"] = shards.iter().map(|(shard, read)| shard_json(shard, read)).collect();
            }
            return print_json(&told);
        }
        let told = match expected {
            Some(expected) => format!("as {whence} tells ({expected})"),
            None => "nothing tells what it should be".to_owned(),
        };
        let mut text = format!(
            "good: {file}: {format}, {}, {}\nSHA-256 {found}, {told}\n",
            plural(tensors, "tensor"),
            size(read.bytes)
        );
        for (shard, read) in shards {
            text.push_str(&format!("SHA-256 {}, {}, {}\n", read.sha256, name(shard.path()), size(read.bytes)));
        }
        print(&text)
    }
}

/// What may be wrong about a digest that a name seems to have.
fn doubt(digest: &Digest) -> String {
    let digest = digest.as_str();
    let kind = if digest.bytes().all(|byte| byte.is_ascii_digit()) {
        "a date or a counter"
    } else if digest.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        "a word"
    } else {
        return String::new();
    };
    format!("; `{digest}` may be {kind} and no digest: `--no-name-digest` passes it by")
}

fn shard_json(shard: &FileCheckpoint, read: &Read) -> Value {
    json!({
        "file": shown(shard.path()),
        "format": shard.format().to_string(),
        "tensors": shard.tensors().len(),
        "bytes": read.bytes,
        "sha256": read.sha256.as_str(),
    })
}
