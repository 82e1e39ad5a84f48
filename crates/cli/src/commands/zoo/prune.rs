//! `mmcv zoo prune`: removes leftover files.

use clap::Args;
use mmcv_zoo::{PruneOptions, Pruned, Zoo};
use serde::Serialize;

use crate::Failure;
use crate::format::{plural, size};
use crate::output::{display, print, print_json};

/// Removes the leftovers of interrupted downloads and of deleted files. Never touches files that are not the cache's.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo prune --dry-run
  mmcv zoo prune
  mmcv zoo prune --all --json")]
pub struct Prune {
    /// Also removes all cached files.
    #[arg(long)]
    all: bool,
    /// Lists what would be removed, without removing it.
    #[arg(long)]
    dry_run: bool,
    /// Prints one JSON object: the files with their sizes, and the sum.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    files: Vec<Pruned>,
    bytes: u64,
    dry_run: bool,
}

impl Prune {
    pub fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        let files = zoo.prune(PruneOptions { all: self.all, dry_run: self.dry_run })?;
        let bytes: u64 = files.iter().map(|file| file.size).sum();
        if self.json {
            return print_json(&Report { files, bytes, dry_run: self.dry_run });
        }
        let mut text: String = files.iter().map(|file| format!("{}\n", display(&file.file))).collect();
        let verb = if self.dry_run { "would be removed" } else { "removed" };
        text.push_str(&format!("{}, {} {verb}\n", plural(files.len(), "file"), size(bytes)));
        print(&text)
    }
}
