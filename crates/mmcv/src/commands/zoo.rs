//! `mmcv zoo`: names to verified files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mmcv_zoo::{Digest, FetchOptions};

use super::{Failure, print};
use crate::progress::Download;

/// The model zoo: names, URLs and verified files.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  mmcv zoo list resnet50
  mmcv zoo fetch torchvision://mobilenet_v2
  mmcv zoo fetch open-mmlab://detectron2/resnet50_caffe
  mmcv zoo path

Files are kept in $MMCV_HOME, else $XDG_CACHE_HOME/mmcv, else ~/.cache/mmcv.
An open_mmlab.json there adds names, or replaces them.")]
pub(crate) enum Zoo {
    /// Lists the names and where they lead.
    List {
        /// Only names that contain this.
        pattern: Option<String>,
        /// Prints one JSON object: name to URL or path.
        #[arg(long)]
        json: bool,
    },
    /// Downloads a file where it is not cached, verifies it, and prints its path.
    Fetch {
        /// A URL, a name of the list, or open-mmlab://NAME, torchvision://NAME.
        name: String,
        #[command(flatten)]
        verification: Verification,
    },
    /// Prints the cache folder, or where `fetch NAME` puts or finds the file. Makes no request.
    Path {
        /// A URL or a name.
        name: Option<String>,
    },
    /// Puts a local file into the cache, as if it had been fetched; its digest has to be right.
    Import {
        /// A URL or a name.
        name: String,
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        verification: Verification,
    },
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
            Self::Fetch { name, verification } => {
                let bar = Download::new();
                let progress = |progress| bar.show(progress);
                print_path(zoo.fetch(&name, &FetchOptions { progress: Some(&progress), ..verification.options() })?)
            }
            Self::Path { name: None } => print_path(zoo.home().to_owned()),
            Self::Path { name: Some(name) } => print_path(zoo.path(&name)?),
            Self::Import { name, file, verification } => {
                print_path(zoo.import(&name, &file, &verification.options())?)
            }
        }
    }
}

impl Verification {
    pub(super) fn options(&self) -> FetchOptions<'static> {
        FetchOptions { sha256: self.sha256.clone(), no_verify: self.no_verify, progress: None }
    }
}

fn list(zoo: &mmcv_zoo::Zoo, pattern: &str, json: bool) -> Result<(), Failure> {
    let entries = zoo.list()?.into_iter().filter(|(name, _)| name.contains(pattern));
    if json {
        let map: serde_json::Map<_, _> = entries.collect();
        return print(&format!("{:#}\n", serde_json::Value::Object(map)));
    }
    let text: String =
        entries.map(|(name, target)| format!("{name:<32} {}\n", target.as_str().unwrap_or("no URL"))).collect();
    print(&text)
}

fn print_path(path: PathBuf) -> Result<(), Failure> {
    use std::io::Write;
    let mut line = path.into_os_string().into_encoded_bytes();
    line.push(b'\n');
    std::io::stdout().write_all(&line).map_err(|error| Failure(format!("stdout: {error}")))
}
