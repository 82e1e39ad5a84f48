//! `mmcv zoo`: names to verified files.

mod bundle;
mod configs;
mod networks;
mod prune;
mod show;
mod verify;
mod whereabouts;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mmcv_zoo::{Digest, FetchOptions};
use serde_json::{Map, Value, json};

use super::{Failure, name as name_of, print, print_bytes, print_json, shown};
use crate::progress::Download;

/// The model zoo: names, URLs and verified files.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  mmcv zoo list resnet50
  mmcv zoo show open-mmlab://detectron2/resnet50_caffe
  mmcv zoo fetch torchvision://mobilenet_v2
  mmcv zoo fetch open-mmlab://detectron2/resnet50_caffe
  mmcv zoo where torchvision://mobilenet_v2
  mmcv zoo verify
  mmcv zoo prune --dry-run
  mmcv zoo bundle /mnt/stick torchvision://resnet50 open-mmlab://resnet50_v1c

Files are kept in $MMCV_HOME, else $XDG_CACHE_HOME/mmcv, else ~/.cache/mmcv.
An open_mmlab.json there adds names, or replaces them. A config.json there may have
  {\"mirrors\": {\"https://download.openmmlab.com/\": [\"https://mirror.example/\"]},
   \"digests\": {\"https://example.org/model.pth\": \"<its SHA-256>\"}}
MMCV_MIRRORS=\"PREFIX=MIRROR ...\" comes before these mirrors; MMCV_OFFLINE=1 forbids requests.
SSL_CERT_FILE and SSL_CERT_DIR name the certificates to trust, in place of the system's.")]
pub(crate) enum Zoo {
    /// Lists the names and where they lead.
    #[command(after_help = "Examples:
  mmcv zoo list
  mmcv zoo list resnet50
  mmcv zoo list --json")]
    List {
        /// Only names that contain this, in upper or lower case.
        pattern: Option<String>,
        /// Prints one JSON object: name to URL or path.
        #[arg(long)]
        json: bool,
    },
    /// Downloads a file where it is not cached, verifies it, and prints its path.
    #[command(after_help = "Examples:
  mmcv zoo fetch torchvision://mobilenet_v2
  mmcv zoo fetch open-mmlab://detectron2/resnet50_caffe --json
  mmcv zoo fetch https://example.org/resnet50-0676ba61.pth
  mmcv zoo fetch https://example.org/model.pth --sha256 2cf24dba5fb0a30e
  mmcv ckpt inspect $(mmcv zoo fetch torchvision://resnet18)")]
    Fetch {
        /// A URL, a name of the list, or open-mmlab://NAME, torchvision://NAME.
        name: String,
        #[command(flatten)]
        verification: Verification,
        /// Prints one JSON object: name and path.
        #[arg(long)]
        json: bool,
    },
    /// Prints the cache folder, or where `fetch NAME` puts or finds the file. Makes no request.
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
    /// Puts a local file into the cache, as if it had been fetched; its digest has to be right.
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
    Show(show::Show),
    Networks(networks::Networks),
    Configs(configs::Configs),
    Verify(verify::Verify),
    Prune(prune::Prune),
    Where(whereabouts::Where),
    Bundle(bundle::Bundle),
}

/// How a file is verified.
#[derive(Debug, Args)]
pub(crate) struct Verification {
    /// The file's SHA-256, or its beginning (at least 6 hex digits), for names that carry none.
    #[arg(long, value_name = "HEX")]
    sha256: Option<Digest>,
    /// Accepts any content where no digest is known.
    #[arg(long)]
    no_verify: bool,
}

impl Zoo {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let zoo = mmcv_zoo::Zoo::from_env()?;
        match self {
            Self::List { pattern, json } => list(&zoo, pattern.as_deref().unwrap_or_default(), json),
            Self::Fetch { name, verification, json } => {
                let bar = Download::new();
                let progress = |progress| bar.show(progress);
                let path = zoo.fetch(&name, &FetchOptions { progress: Some(&progress), ..verification.options() })?;
                print_path(Some(&name), &path, json)
            }
            Self::Path { name: None, json } => print_path(None, zoo.home(), json),
            Self::Path { name: Some(name), json } => print_path(Some(&name), &zoo.path(&name)?, json),
            Self::Import { name, file, verification, json } => {
                print_path(Some(&name), &zoo.import(&name, &file, &verification.options())?, json)
            }
            Self::Show(command) => command.run(),
            Self::Networks(command) => command.run(),
            Self::Configs(command) => command.run(),
            Self::Verify(command) => command.run(&zoo),
            Self::Prune(command) => command.run(&zoo),
            Self::Where(command) => command.run(&zoo),
            Self::Bundle(command) => command.run(&zoo),
        }
    }
}

impl Verification {
    pub(super) fn options(&self) -> FetchOptions<'static> {
        FetchOptions { sha256: self.sha256.clone(), no_verify: self.no_verify, progress: None }
    }
}

fn list(zoo: &mmcv_zoo::Zoo, pattern: &str, json: bool) -> Result<(), Failure> {
    let wanted = pattern.to_lowercase();
    let mut entries = Map::new();
    for (name, target) in zoo.list()? {
        if name.to_lowercase().contains(&wanted) {
            entries.insert(name, redacted(target));
        }
    }
    if entries.is_empty() {
        log::warn!("no name contains {pattern:?}; `mmcv zoo list` has all of them");
    }
    if json {
        return print_json(&Value::Object(entries));
    }
    let mut text = String::new();
    for (name, target) in &entries {
        text.push_str(&format!("{:<32} {}\n", mmcv_zoo::escape(name), target.as_str().unwrap_or("no URL")));
    }
    print(&text)
}

/// A value of the table, without secrets in its texts.
fn redacted(value: Value) -> Value {
    match value {
        Value::String(text) => mmcv_zoo::redact(&text).into(),
        Value::Array(items) => items.into_iter().map(redacted).collect(),
        Value::Object(entries) => entries.into_iter().map(|(key, value)| (key, redacted(value))).collect(),
        other => other,
    }
}

/// A line with the path, to a program as it is, or a JSON object.
fn print_path(name: Option<&str>, path: &Path, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&json!({ "name": name.map(mmcv_zoo::redact), "path": shown(path) }));
    }
    if std::io::stdout().is_terminal() {
        return print(&format!("{}\n", name_of(path)));
    }
    let mut line = path.as_os_str().as_encoded_bytes().to_vec();
    line.push(b'\n');
    print_bytes(&line)
}
