//! `mmcv zoo`: names to verified files.

mod bundle;
mod locate;
mod prune;
mod verify;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use mmcv_zoo::FetchOptions;
use serde::Serialize;
use serde_json::Value;

use crate::Failure;
use crate::args::Verification;
use crate::output::{as_map, display, lossy, print, print_bytes, print_json};
use crate::progress::ByteProgress;

/// The commands for names and files.
#[derive(Debug, Subcommand)]
pub enum Files {
    /// Lists the names and their URLs.
    #[command(after_help = "Examples:
  mmcv zoo list
  mmcv zoo list resnet50
  mmcv zoo list --json")]
    List {
        /// Lists only names that contain this text; case is ignored.
        pattern: Option<String>,
        /// Prints one JSON object that maps names to URLs or paths.
        #[arg(long)]
        json: bool,
    },
    /// Downloads and verifies a file unless it is cached, and prints its path.
    #[command(after_help = "Examples:
  mmcv zoo fetch torchvision://mobilenet_v2
  mmcv zoo fetch open-mmlab://detectron2/resnet50_caffe --json
  mmcv zoo fetch https://example.org/resnet50-0676ba61.pth
  mmcv zoo fetch https://example.org/model.pth --sha256 2cf24dba5fb0a30e
  mmcv ckpt inspect $(mmcv zoo fetch torchvision://resnet18)")]
    Fetch {
        /// A URL, a listed name, or open-mmlab://NAME, torchvision://NAME and the like.
        name: String,
        #[command(flatten)]
        verification: Verification,
        /// Prints one JSON object: name and path.
        #[arg(long)]
        json: bool,
    },
    /// Prints the cache folder, or the path that `fetch NAME` downloads to. Makes no request.
    #[command(after_help = "Examples:
  mmcv zoo path
  mmcv zoo path torchvision://mobilenet_v2
  mmcv zoo path https://example.org/resnet50-0676ba61.pth --json")]
    Path {
        /// A URL or a name.
        name: Option<String>,
        /// Prints one JSON object: name and path.
        #[arg(long)]
        json: bool,
    },
    /// Copies a local file into the cache as if it had been fetched; its digest must match.
    #[command(after_help = "Examples:
  mmcv zoo import torchvision://mobilenet_v2 Downloads/mobilenet_v2-b0353104.pth
  mmcv zoo import https://example.org/model.pth model.pth --sha256 2cf24dba5fb0a30e")]
    Import {
        /// A URL or a name.
        name: String,
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        verification: Verification,
        /// Prints one JSON object: name and path.
        #[arg(long)]
        json: bool,
    },
    Verify(verify::Verify),
    Prune(prune::Prune),
    Where(locate::Where),
    Bundle(bundle::Bundle),
}

impl Files {
    pub fn run(self) -> Result<(), Failure> {
        let zoo = mmcv_zoo::Zoo::from_env()?;
        match self {
            Self::List { pattern, json } => list(&zoo, pattern.as_deref().unwrap_or_default(), json),
            Self::Fetch { name, verification, json } => {
                let path = fetch(&zoo, &name, &verification)?;
                print_path(Some(&name), &path, json)
            }
            Self::Path { name: None, json } => print_path(None, zoo.home(), json),
            Self::Path { name: Some(name), json } => print_path(Some(&name), &zoo.path(&name)?, json),
            Self::Import { name, file, verification, json } => {
                print_path(Some(&name), &zoo.import(&name, &file, &verification.options())?, json)
            }
            Self::Verify(command) => command.run(&zoo),
            Self::Prune(command) => command.run(&zoo),
            Self::Where(command) => command.run(&zoo),
            Self::Bundle(command) => command.run(&zoo),
        }
    }
}

fn fetch(zoo: &mmcv_zoo::Zoo, name: &str, verification: &Verification) -> Result<PathBuf, Failure> {
    let bar = ByteProgress::new();
    let progress = |progress| bar.show(progress);
    Ok(zoo.fetch(name, &FetchOptions { progress: Some(&progress), ..verification.options() })?)
}

/// Names with their URLs or paths.
#[derive(Serialize)]
#[serde(transparent)]
struct Names {
    #[serde(serialize_with = "as_map")]
    entries: Vec<(String, Value)>,
}

fn list(zoo: &mmcv_zoo::Zoo, pattern: &str, json: bool) -> Result<(), Failure> {
    let lowercase = pattern.to_lowercase();
    let mut entries = Vec::new();
    for (name, target) in zoo.list()? {
        if name.to_lowercase().contains(&lowercase) {
            entries.push((name, redacted(target)));
        }
    }
    if entries.is_empty() {
        log::warn!("no name contains {pattern:?}; `mmcv zoo list` shows all of them");
    }
    if json {
        return print_json(&Names { entries });
    }
    let mut text = String::new();
    for (name, target) in &entries {
        text.push_str(&format!("{:<32} {}\n", mmcv_zoo::escape(name), target.as_str().unwrap_or("no URL")));
    }
    print(&text)
}

/// A value of the table with the secrets in its strings masked.
fn redacted(value: Value) -> Value {
    match value {
        Value::String(text) => mmcv_zoo::redact(&text).into(),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::Object(entries) => entries.into_iter().map(|(key, value)| (key, redacted(value))).collect(),
        other => other,
    }
}

#[derive(Serialize)]
struct PathReport {
    name: Option<String>,
    path: String,
}

/// Prints a path as a line, with its exact bytes unless stdout is a terminal, or as a JSON object.
fn print_path(name: Option<&str>, path: &Path, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&PathReport { name: name.map(mmcv_zoo::redact), path: lossy(path) });
    }
    if std::io::stdout().is_terminal() {
        return print(&format!("{}\n", display(path)));
    }
    let mut line = path.as_os_str().as_encoded_bytes().to_vec();
    line.push(b'\n');
    print_bytes(&line)
}
