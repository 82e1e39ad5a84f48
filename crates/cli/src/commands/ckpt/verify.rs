//! `mmcv ckpt verify`: checks that a file is complete and has the expected digest.

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};

use clap::Args;
use mmcv_pth::{Checkpoint, FileCheckpoint, OpenOptions};
use mmcv_zoo::Digest;
use serde::Serialize;

use crate::Failure;
use crate::args::UnknownClassesOption;
use crate::format::{plural, size};
use crate::output::{display, lossy, print, print_json};
use crate::progress::ByteProgress;

/// Reads a whole file and checks its structure, its checksums, and the SHA-256 given by its name or by `--sha256`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv ckpt verify resnet50-0676ba61.pth
  mmcv ckpt verify model.safetensors --sha256 2cf24dba5fb0a30e
  mmcv ckpt verify pytorch_model.bin.index.json --json
  mmcv ckpt verify checkpoint-123456.pth --no-name-digest

Zip files have a checksum for each tensor; in the other formats only the SHA-256 shows that
an element has changed.")]
pub struct Verify {
    /// The file, or the index `*.index.json` of a sharded checkpoint, whose files are read too. A name such as
    /// `resnet50-0676ba61.pth` ends with the first digits of the SHA-256.
    file: PathBuf,
    /// The file's SHA-256 or its first digits (at least 6, hexadecimal), in place of those in the name.
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    /// Ignores the digits at the end of the name, for example if they are a date or a counter.
    #[arg(long)]
    no_name_digest: bool,
    /// Prints one JSON object: format, number of tensors, size, digests, and the files of an index.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unknown_classes: UnknownClassesOption,
}

#[derive(Serialize)]
struct Report {
    file: String,
    format: String,
    tensors: usize,
    bytes: u64,
    sha256: String,
    expected: Option<String>,
    /// The files of an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<ShardReport>>,
}

#[derive(Serialize)]
struct ShardReport {
    file: String,
    format: String,
    tensors: usize,
    bytes: u64,
    sha256: String,
}

impl Verify {
    pub fn run(&self) -> Result<(), Failure> {
        let options = OpenOptions::new().unknown_classes(self.unknown_classes.policy());
        let checkpoint = Checkpoint::open_with(&self.file, &options)?;
        let (sha256, bytes) = hash(&self.file)?;
        checkpoint.verify()?;
        let expected = self.expected_digest();
        if let Some(expected) = &expected {
            self.check_digest(expected, &sha256)?;
        }
        let (format, files) = match checkpoint.file() {
            Some(file) => (file.format().to_string(), None),
            None => ("index".to_owned(), Some(shard_reports(&checkpoint)?)),
        };
        let report = Report {
            file: lossy(&self.file),
            format,
            tensors: checkpoint.tensors().count(),
            bytes,
            sha256: sha256.to_string(),
            expected: expected.map(|digest| digest.to_string()),
            files,
        };
        if self.json { print_json(&report) } else { print(&self.text(&report)) }
    }

    fn expected_digest(&self) -> Option<Digest> {
        if self.sha256.is_some() {
            return self.sha256.clone();
        }
        if self.no_name_digest {
            return None;
        }
        Digest::of_file_name(self.file.file_name()?.to_str()?)
    }

    /// Where [`expected_digest`](Self::expected_digest) comes from.
    fn digest_source(&self) -> &'static str {
        if self.sha256.is_some() { "--sha256" } else { "its name" }
    }

    fn check_digest(&self, expected: &Digest, found: &Digest) -> Result<(), Failure> {
        if expected.is_prefix_of(found) {
            return Ok(());
        }
        let (file, source) = (display(&self.file), self.digest_source());
        let mut message = format!("{file}: wrong SHA-256: expected {expected} ({source}), found {found}");
        if self.sha256.is_none()
            && let Some(kind) = lookalike(expected)
        {
            let hint = "`--no-name-digest` ignores it";
            message.push_str(&format!("; `{expected}` may be {kind} rather than a digest: {hint}"));
        }
        Err(Failure::Text(message))
    }

    fn text(&self, report: &Report) -> String {
        let Report { format, sha256, .. } = report;
        let (tensors, bytes) = (plural(report.tensors, "tensor"), size(report.bytes));
        let mut text = format!("good: {}: {format}, {tensors}, {bytes}\nSHA-256 {sha256}, ", display(&self.file));
        match &report.expected {
            Some(expected) => text.push_str(&format!("matches {} ({expected})\n", self.digest_source())),
            None => text.push_str("no digest to compare it with\n"),
        }
        for shard in report.files.iter().flatten() {
            let (file, bytes) = (mmcv_zoo::escape(&shard.file), size(shard.bytes));
            text.push_str(&format!("SHA-256 {}, {file}, {bytes}\n", shard.sha256));
        }
        text
    }
}

/// The SHA-256 of a file, and its size.
fn hash(path: &Path) -> Result<(Digest, u64), Failure> {
    match try_hash(path) {
        Ok((_, _, true)) => Err(Failure::Text(format!("{}: it became shorter while it was read", display(path)))),
        Ok((sha256, bytes, false)) => Ok((sha256, bytes)),
        Err(error) => Err(Failure::Text(format!("{}: {error}", display(path)))),
    }
}

/// [`hash`], and whether fewer bytes were read than the file had at the beginning.
fn try_hash(path: &Path) -> std::io::Result<(Digest, u64, bool)> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let bar = ByteProgress::with_total(bytes);
    let sha256 = Digest::of_reader(bar.wrap_read(&mut file))?;
    let is_cut = file.stream_position()? < bytes;
    Ok((sha256, bytes, is_cut))
}

/// What hexadecimal digits at the end of a name may be if they are not a digest.
fn lookalike(digest: &Digest) -> Option<&'static str> {
    let digest = digest.as_str();
    if digest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("a date or a counter");
    }
    if digest.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Some("a word");
    }
    None
}

fn shard_reports(checkpoint: &Checkpoint) -> Result<Vec<ShardReport>, Failure> {
    checkpoint.files().iter().map(ShardReport::new).collect()
}

impl ShardReport {
    fn new(shard: &FileCheckpoint) -> Result<Self, Failure> {
        let (sha256, bytes) = hash(shard.path())?;
        Ok(Self {
            file: lossy(shard.path()),
            format: shard.format().to_string(),
            tensors: shard.tensors().len(),
            bytes,
            sha256: sha256.to_string(),
        })
    }
}
