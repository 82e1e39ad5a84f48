//! `mmcv zoo where`: what a name resolves to, and the settings in effect.

use clap::Args;
use mmcv_zoo::{Location, Zoo};
use serde::Serialize;

use crate::Failure;
use crate::output::{lossy, print_report};

/// Shows what a name resolves to, or the settings in effect. Makes no request.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo where
  mmcv zoo where torchvision://mobilenet_v2
  mmcv zoo where --json")]
pub struct Where {
    /// A URL or a name; without one, the cache folder, the mirrors and other settings are shown.
    name: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl Where {
    pub fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        match &self.name {
            Some(name) => {
                let location = zoo.locate(name)?;
                print_report(&NamedLocation { name: mmcv_zoo::redact(name), location }, self.json)
            }
            None => print_report(&Settings::new(zoo)?, self.json),
        }
    }
}

#[derive(Serialize)]
struct NamedLocation {
    name: String,
    #[serde(flatten)]
    location: Location,
}

#[derive(Serialize)]
struct Settings {
    home: String,
    files: usize,
    table: Option<String>,
    config: Option<String>,
    lock: Option<String>,
    mirrors: Vec<String>,
    offline: bool,
}

impl Settings {
    fn new(zoo: &Zoo) -> Result<Self, Failure> {
        let mirrors = zoo.mirrors()?;
        Ok(Self {
            home: lossy(zoo.home()),
            files: zoo.cached()?.len(),
            table: existing_file(zoo, "open_mmlab.json"),
            config: existing_file(zoo, "config.json"),
            lock: existing_file(zoo, "zoo.lock.json"),
            mirrors: mirrors.into_iter().map(|(prefix, mirror)| format!("{prefix}={mirror}")).collect(),
            offline: zoo.is_offline(),
        })
    }
}

/// The path of a file in the cache folder, if it exists.
fn existing_file(zoo: &Zoo, name: &str) -> Option<String> {
    let file = zoo.home().join(name);
    if file.is_file() { Some(lossy(&file)) } else { None }
}
