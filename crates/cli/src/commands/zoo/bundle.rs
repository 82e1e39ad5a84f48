//! `mmcv zoo bundle`: a folder of verified files for machines without internet access.

use std::path::PathBuf;

use clap::Args;
use mmcv_zoo::{FetchOptions, LockedFile, Zoo};
use serde::Serialize;

use crate::Failure;
use crate::format::size;
use crate::output::{display, lossy, print, print_json};
use crate::progress::ByteProgress;

/// Copies verified files to a folder, with a lockfile of their full digests, for machines without internet access.
///
/// There, use the folder as the cache folder (MMCV_HOME=FOLDER MMCV_OFFLINE=1) or as a mirror
/// (MMCV_MIRRORS=https://=file:///FOLDER/).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo bundle /mnt/stick torchvision://resnet50 open-mmlab://resnet50_v1c
  MMCV_HOME=/mnt/stick MMCV_OFFLINE=1 mmcv zoo fetch torchvision://resnet50")]
pub struct Bundle {
    /// The folder; files that are already in it are kept.
    folder: PathBuf,
    /// URLs or names.
    #[arg(required = true)]
    names: Vec<String>,
    /// Accepts any content if no digest is known; the lockfile then has the digest that was found.
    #[arg(long)]
    no_verify: bool,
    /// Prints one JSON object: the folder and the files.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    folder: String,
    files: Vec<FileReport>,
}

#[derive(Serialize)]
struct FileReport {
    name: String,
    url: Option<String>,
    path: String,
    sha256: String,
    size: u64,
}

impl Bundle {
    pub fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        let files = self.bundle(zoo)?;
        if self.json {
            let files = files.into_iter().map(FileReport::new).collect();
            return print_json(&Report { folder: lossy(&self.folder), files });
        }
        let mut text = String::new();
        for file in &files {
            text.push_str(&format!("{} {} ({})\n", file.sha256, display(&file.path), size(file.size)));
        }
        print(&text)
    }

    fn bundle(&self, zoo: &Zoo) -> Result<Vec<LockedFile>, Failure> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let bar = ByteProgress::new();
        let progress = |progress| bar.show(progress);
        let options = FetchOptions { sha256: None, no_verify: self.no_verify, progress: Some(&progress) };
        Ok(zoo.bundle(&self.folder, &names, &options)?)
    }
}

impl FileReport {
    fn new(file: LockedFile) -> Self {
        let (path, sha256) = (lossy(&file.path), file.sha256.to_string());
        Self { name: file.name, url: file.url, path, sha256, size: file.size }
    }
}
