//! `mmcv zoo where`: where names lead, and which settings hold.

use clap::Args;
use mmcv_zoo::Zoo;
use serde_json::{Value, json};

use crate::commands::{Failure, print, print_json, shown};

/// Tells where a name leads, or which settings hold. Makes no request.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo where
  mmcv zoo where torchvision://mobilenet_v2
  mmcv zoo where --json")]
pub(crate) struct Where {
    /// A URL or a name; where there is none, the cache folder, the mirrors and so on are told.
    name: Option<String>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

impl Where {
    pub(crate) fn run(&self, zoo: &Zoo) -> Result<(), Failure> {
        let facts = match &self.name {
            Some(name) => of_name(zoo, name)?,
            None => settings(zoo)?,
        };
        if self.json {
            return print_json(&facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
        }
        print(&facts.iter().map(|(key, value)| format!("{key:<9} {}\n", text(value))).collect::<String>())
    }
}

type Facts = Vec<(&'static str, Value)>;

fn of_name(zoo: &Zoo, name: &str) -> Result<Facts, Failure> {
    let found = zoo.locate(name)?;
    Ok(vec![
        ("name", mmcv_zoo::redact(name).into()),
        ("url", json!(found.url)),
        ("mirrors", json!(found.mirrors)),
        ("digest", json!(found.digest.as_ref().map(mmcv_zoo::Digest::as_str))),
        ("path", shown(&found.file).into()),
        ("cached", found.cached.into()),
    ])
}

fn settings(zoo: &Zoo) -> Result<Facts, Failure> {
    let there = |name: &str| Some(zoo.home().join(name)).filter(|file| file.is_file()).map(|file| shown(&file));
    let mirrors: Vec<String> =
        zoo.mirrors()?.into_iter().map(|(prefix, mirror)| format!("{prefix}={mirror}")).collect();
    Ok(vec![
        ("home", shown(zoo.home()).into()),
        ("files", zoo.cached()?.len().into()),
        ("table", json!(there("open_mmlab.json"))),
        ("config", json!(there("config.json"))),
        ("lock", json!(there("zoo.lock.json"))),
        ("mirrors", json!(mirrors)),
        ("offline", zoo.is_offline().into()),
    ])
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
