//! `mmcv zoo show`: what a name of the zoo stands for.

use clap::Args;
use mmcv_models::{ZooEntry, zoo_entries, zoo_entry};
use serde_json::{Value, json};

use super::print_json;
use crate::commands::config_text::{flow, recipe_text};
use crate::commands::{Failure, print};

/// Shows which network a name's weights belong to, how pictures are prepared for it, and how its tensors are named.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo show
  mmcv zoo show open-mmlab://detectron2/resnet50_caffe
  mmcv zoo show torchvision://resnet50 --config > resnet50.yaml")]
pub(crate) struct Show {
    /// A name or a URL; without one, all names that have a network here.
    name: Option<String>,
    /// Prints the config file of the name: model, preprocess, checkpoint and classes.
    #[arg(long, requires = "name")]
    config: bool,
    /// Prints JSON: one object, or a list.
    #[arg(long, conflicts_with = "config")]
    json: bool,
}

impl Show {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let Some(name) = &self.name else { return self.all() };
        let entry = zoo_entry(name).map_err(anyhow::Error::from)?;
        if self.config {
            return print(&recipe_text(&entry));
        }
        let facts = facts(&entry);
        if self.json {
            let mut object: Value = facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            object["config"] = serde_json::from_str(&entry.config.to_json()).unwrap_or_default();
            return print_json(&object);
        }
        let line = |(key, value): &(&str, Value)| format!("{key:<13} {}\n", text(value));
        print(&facts.iter().map(line).collect::<String>())
    }

    fn all(&self) -> Result<(), Failure> {
        let entries = zoo_entries().map_err(anyhow::Error::from)?;
        if self.json {
            return print_json(
                &entries.iter().map(|entry| json!({ "name": entry.name, "network": entry.network })).collect(),
            );
        }
        print(&entries.iter().map(|entry| format!("{:<44} {}\n", entry.name, entry.network)).collect::<String>())
    }
}

fn facts(entry: &ZooEntry) -> Vec<(&'static str, Value)> {
    let part = |keys: &[&str]| keys.iter().try_fold(&entry.config, |config, key| config.get(key));
    let value = |keys: &[&str]| {
        part(keys).map_or(Value::Null, |config| serde_json::from_str(&config.to_json()).unwrap_or_default())
    };
    let published = entry.published.as_ref();
    vec![
        ("name", entry.name.as_str().into()),
        ("source", value(&["checkpoint", "source"])),
        ("network", entry.network.as_str().into()),
        ("backbone", part(&["model", "backbone"]).map_or(Value::Null, |backbone| flow(backbone).into())),
        ("style", json!(entry.style())),
        ("dialect", entry.dialect.as_deref().unwrap_or("the network's own names").into()),
        ("colours", value(&["preprocess", "channel_order"])),
        ("mean", value(&["preprocess", "mean"])),
        ("std", value(&["preprocess", "std"])),
        ("resize_edge", value(&["preprocess", "resize_edge"])),
        ("crop_size", value(&["preprocess", "crop_size"])),
        ("partial", entry.partial.into()),
        ("parameters", json!(published.map(|published| &published.parameters))),
        ("multiply-adds", json!(published.map(|published| &published.multiply_adds))),
        ("published by", json!(published.map(|published| &published.source))),
        ("file", format!("model_zoo/configs/{}", entry.config_file()).into()),
    ]
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes: the classifier may be missing, and not all tensors may be used".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
