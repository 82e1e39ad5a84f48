//! `mmcv zoo verify`: hashes cached files again.

use clap::Args;
use mmcv_zoo::{Status, Verified, Zoo};
use serde::Serialize;

use crate::Failure;
use crate::output::{display, print, print_json};

/// Hashes cached files again, regardless of recorded results. Changes nothing; the exit status is 1 if a file is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo verify
  mmcv zoo verify torchvision://mobilenet_v2 open-mmlab://resnet50_v1c
  mmcv zoo verify --json")]
pub struct Verify {
    /// URLs or names; by default all cached files.
    names: Vec<String>,
    /// Prints one JSON object: a list of files, each with `path`, `status` (good, wrong, unknown, missing) and digests.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    files: &'a [Verified],
}

impl Verify {
    pub fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let files = zoo.verify(&names)?;
        if self.json {
            print_json(&Report { files: &files })?;
        } else {
            print(&files.iter().map(line).collect::<String>())?;
        }
        let bad = files.iter().filter(|file| matches!(file.status, Status::Wrong { .. } | Status::Missing)).count();
        if bad == 0 {
            return Ok(());
        }
        let hint = "`mmcv zoo fetch` replaces a wrong file";
        Err(Failure::Text(format!("{bad} of {} files are wrong or missing; {hint}", files.len())))
    }
}

fn line(file: &Verified) -> String {
    let path = display(&file.file);
    match &file.status {
        Status::Good { .. } => format!("good     {path}\n"),
        Status::Wrong { expected, found } => {
            format!("wrong    {path}: expected SHA-256 {expected}, found {found}\n")
        }
        Status::Unknown { sha256 } => format!("unknown  {path}: no digest is known; its SHA-256 is {sha256}\n"),
        Status::Missing => format!("missing  {path}\n"),
        other => format!("{other:?} {path}\n"),
    }
}
