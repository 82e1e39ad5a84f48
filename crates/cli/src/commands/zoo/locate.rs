//! `mmcv zoo where`: what a name resolves to, and the settings in effect.

use clap::Args;
use mmcv_zoo::Zoo;
use serde::Serialize;

use crate::commands::Failure;
use crate::output::{lossy, print, print_json};

/// Shows what a name resolves to, or the settings in effect. Makes no request.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo where
  mmcv zoo where torchvision://mobilenet_v2
  mmcv zoo where --json")]
pub(crate) struct Where {
    /// A URL or a name; without one, the cache folder, the mirrors and other settings are shown.
    name: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl Where {
    pub(crate) fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        match &self.name {
            Some(name) => {
                let report = Location::new(zoo, name)?;
                if self.json { print_json(&report) } else { print(&report.text()) }
            }
            None => {
                let report = Settings::new(zoo)?;
                if self.json { print_json(&report) } else { print(&report.text()) }
            }
        }
    }
}

#[derive(Serialize)]
struct Location {
    name: String,
    url: Option<String>,
    mirrors: Vec<String>,
    digest: Option<String>,
    path: String,
    cached: bool,
}

impl Location {
    fn new(zoo: &Zoo, name: &str) -> Result<Self, Failure> {
        let found = zoo.whereabouts(name)?;
        Ok(Self {
            name: mmcv_zoo::redact(name),
            url: found.url,
            mirrors: found.mirrors,
            digest: found.digest.map(|digest| digest.to_string()),
            path: lossy(&found.file),
            cached: found.cached,
        })
    }

    fn text(&self) -> String {
        lines([
            ("name", &self.name),
            ("url", optional(&self.url)),
            ("mirrors", &list(&self.mirrors)),
            ("digest", optional(&self.digest)),
            ("path", &self.path),
            ("cached", yes_or_no(self.cached)),
        ])
    }
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

    fn text(&self) -> String {
        lines([
            ("home", &self.home),
            ("files", &self.files.to_string()),
            ("table", optional(&self.table)),
            ("config", optional(&self.config)),
            ("lock", optional(&self.lock)),
            ("mirrors", &list(&self.mirrors)),
            ("offline", yes_or_no(self.offline)),
        ])
    }
}

/// The path of a file in the cache folder, if it exists.
fn existing_file(zoo: &Zoo, name: &str) -> Option<String> {
    let file = zoo.home().join(name);
    if file.is_file() { Some(lossy(&file)) } else { None }
}

fn lines<const N: usize>(entries: [(&str, &str); N]) -> String {
    entries.iter().map(|(name, value)| format!("{name:<9} {value}\n")).collect()
}

fn optional(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("none")
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(" ") }
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
