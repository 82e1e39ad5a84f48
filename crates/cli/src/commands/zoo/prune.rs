//! `mmcv zoo prune`: removes leftovers.

use clap::Args;
use mmcv_zoo::{PruneOptions, Zoo};
use serde_json::{Value, json};

use crate::commands::{Failure, name, plural, print, print_json, shown, size};

/// Removes what interrupted downloads and removed files have left; never the user's own files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo prune --dry-run
  mmcv zoo prune
  mmcv zoo prune --all --json")]
pub(crate) struct Prune {
    /// Also removes all cached files.
    #[arg(long)]
    all: bool,
    /// Removes nothing, and tells what would be.
    #[arg(long)]
    dry_run: bool,
    /// Prints one JSON object: the files with their sizes, and the sum.
    #[arg(long)]
    json: bool,
}

impl Prune {
    pub(crate) fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        let files = zoo.prune(PruneOptions { all: self.all, dry_run: self.dry_run })?;
        let bytes: u64 = files.iter().map(|file| file.size).sum();
        if self.json {
            let files: Vec<Value> =
                files.iter().map(|file| json!({ "path": shown(&file.file), "size": file.size })).collect();
            return print_json(&json!({ "files": files, "bytes": bytes, "dry_run": self.dry_run }));
        }
        let mut text: String = files.iter().map(|file| format!("{}\n", name(&file.file))).collect();
        let done = if self.dry_run { "would be removed" } else { "removed" };
        text.push_str(&format!("{}, {} {done}\n", plural(files.len(), "file"), size(bytes)));
        print(&text)
    }
}
