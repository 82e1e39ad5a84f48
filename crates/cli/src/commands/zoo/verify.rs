//! `mmcv zoo verify`: hashes cached files again.

use clap::Args;
use mmcv_zoo::{Status, Verified, Zoo};
use serde_json::{Value, json};

use crate::commands::{Failure, name, print, print_json, shown};

/// Hashes cached files again, whatever is remembered of them. Changes nothing; exit status 1 where one is wrong.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo verify
  mmcv zoo verify torchvision://mobilenet_v2 open-mmlab://resnet50_v1c
  mmcv zoo verify --json")]
pub(crate) struct Verify {
    /// URLs or names; all cached files where there are none.
    names: Vec<String>,
    /// Prints one JSON object: a list of files, each with `path`, `status` (good, wrong, unknown, missing) and digests.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let files = zoo.verify(&names)?;
        if self.json {
            let files: Vec<Value> = files.iter().map(to_json).collect();
            print_json(&json!({ "files": files }))?;
        } else {
            print(&files.iter().map(line).collect::<String>())?;
        }
        let bad = |file: &&Verified| matches!(file.status, Status::Wrong { .. } | Status::Missing);
        match files.iter().filter(bad).count() {
            0 => Ok(()),
            count => {
                let remedy = "`mmcv zoo fetch` replaces a file that is wrong";
                Err(Failure(format!("{count} of {} files are wrong or missing; {remedy}", files.len())))
            }
        }
    }
}

fn line(file: &Verified) -> String {
    let path = name(&file.file);
    match &file.status {
        Status::Good { .. } => format!("good     {path}\n"),
        Status::Wrong { expected, found } => {
            format!("wrong    {path}: expected SHA-256 {expected}, found {found}\n")
        }
        Status::Unknown { sha256 } => format!("unknown  {path}: nothing tells its digest; it is {sha256}\n"),
        Status::Missing => format!("missing  {path}\n"),
        other => format!("{other:?} {path}\n"),
    }
}

fn to_json(file: &Verified) -> Value {
    let path = shown(&file.file);
    match &file.status {
        Status::Good { sha256 } => json!({ "path": path, "status": "good", "sha256": sha256.as_str() }),
        Status::Wrong { expected, found } => {
            json!({ "path": path, "status": "wrong", "expected": expected.as_str(), "sha256": found.as_str() })
        }
        Status::Unknown { sha256 } => json!({ "path": path, "status": "unknown", "sha256": sha256.as_str() }),
        Status::Missing => json!({ "path": path, "status": "missing" }),
        other => json!({ "path": path, "status": format!("{other:?}") }),
    }
}
