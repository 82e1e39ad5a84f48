//! `mmcv zoo bundle`: a folder of verified files for machines without internet.

use std::path::PathBuf;

use clap::Args;
use mmcv_zoo::{FetchOptions, LockedFile, Zoo};
use serde_json::{Value, json};

use crate::commands::{Failure, name, print, print_json, shown, size};
use crate::progress::Download;

/// Puts verified files into a folder, with a lock file of their whole digests, for machines without internet.
///
/// There the folder is the cache folder (MMCV_HOME=FOLDER MMCV_OFFLINE=1), or a mirror
/// (MMCV_MIRRORS=https://=file:///FOLDER/).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo bundle /mnt/stick torchvision://resnet50 open-mmlab://resnet50_v1c
  MMCV_HOME=/mnt/stick MMCV_OFFLINE=1 mmcv zoo fetch torchvision://resnet50")]
pub(crate) struct Bundle {
    /// The folder; what is in it stays.
    folder: PathBuf,
    /// URLs or names.
    #[arg(required = true)]
    names: Vec<String>,
    /// Accepts any content where no digest is known; the lock file then has the one that was found.
    #[arg(long)]
    no_verify: bool,
    /// Prints one JSON object: the folder and the files.
    #[arg(long)]
    json: bool,
}

impl Bundle {
    pub(crate) fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let bar = Download::new();
        let progress = |progress| bar.show(progress);
        let options = FetchOptions { sha256: None, no_verify: self.no_verify, progress: Some(&progress) };
        let files = zoo.bundle(&self.folder, &names, &options)?;
        drop(bar);
        if self.json {
            let files: Vec<Value> = files.iter().map(to_json).collect();
            return print_json(&json!({ "folder": shown(&self.folder), "files": files }));
        }
        let line = |file: &LockedFile| format!("{} {} ({})\n", file.sha256, name(&file.path), size(file.size));
        print(&files.iter().map(line).collect::<String>())
    }
}

fn to_json(file: &LockedFile) -> Value {
    json!({
        "name": file.name,
        "url": file.url,
        "path": shown(&file.path),
        "sha256": file.sha256.as_str(),
        "size": file.size,
    })
}
