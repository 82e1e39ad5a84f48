//! `mmcv zoo show`: the network and the preprocessing of a model zoo name.

use clap::Args;
use mmcv_cli::Failure;
use mmcv_cli::output::{print, print_json, print_report};
use mmcv_models::{ZooEntry, zoo_entries, zoo_entry};
use mmcv_registry::Config;
use serde::Serialize;

use super::config_text::{flow, recipe_text};

/// Shows the network of a name's weights, their preprocessing, and the naming of their tensors.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo show
  mmcv zoo show open-mmlab://detectron2/resnet50_caffe
  mmcv zoo show torchvision://resnet50 --config > resnet50.yaml")]
pub(crate) struct Show {
    /// A name or a URL; without one, all names that have a network in mmcv-rs are listed.
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
        let Some(name) = &self.name else { return self.list() };
        let entry = zoo_entry(name).map_err(anyhow::Error::from)?;
        if self.config {
            return print(&recipe_text(&entry));
        }
        if self.json {
            return print_json(&Report { config: Some(&entry.config), ..Report::new(&entry) });
        }
        print_report(&Report::new(&entry), false)
    }

    fn list(&self) -> Result<(), Failure> {
        let entries = zoo_entries().map_err(anyhow::Error::from)?;
        if self.json {
            let names = entries.iter().map(|entry| NameReport { name: &entry.name, network: &entry.network });
            return print_json(&names.collect::<Vec<_>>());
        }
        let lines = entries.iter().map(|entry| format!("{:<44} {}\n", entry.name, entry.network));
        print(&lines.collect::<String>())
    }
}

#[derive(Serialize)]
struct NameReport<'a> {
    name: &'a str,
    network: &'a str,
}

#[derive(Serialize)]
struct Report<'a> {
    name: &'a str,
    source: Option<&'a Config>,
    network: &'a str,
    backbone: Option<String>,
    style: Option<String>,
    dialect: &'a str,
    colours: Option<&'a Config>,
    mean: Option<&'a Config>,
    std: Option<&'a Config>,
    resize_edge: Option<&'a Config>,
    crop_size: Option<&'a Config>,
    partial: bool,
    parameters: Option<&'a str>,
    #[serde(rename = "multiply-adds")]
    multiply_adds: Option<&'a str>,
    #[serde(rename = "published by")]
    published_by: Option<&'a str>,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a Config>,
}

impl<'a> Report<'a> {
    fn new(entry: &'a ZooEntry) -> Self {
        let config = &entry.config;
        let published = entry.published.as_ref();
        Self {
            name: &entry.name,
            source: value(config, ["checkpoint", "source"]),
            network: &entry.network,
            backbone: value(config, ["model", "backbone"]).map(flow),
            style: entry.style(),
            dialect: entry.dialect.as_deref().unwrap_or("the network's own names"),
            colours: value(config, ["preprocess", "channel_order"]),
            mean: value(config, ["preprocess", "mean"]),
            std: value(config, ["preprocess", "std"]),
            resize_edge: value(config, ["preprocess", "resize_edge"]),
            crop_size: value(config, ["preprocess", "crop_size"]),
            partial: entry.partial,
            parameters: published.map(|published| published.parameters.as_str()),
            multiply_adds: published.map(|published| published.multiply_adds.as_str()),
            published_by: published.map(|published| published.source.as_str()),
            file: format!("model_zoo/configs/{}", entry.config_file()),
            config: None,
        }
    }
}

fn value<'a>(config: &'a Config, [outer, inner]: [&str; 2]) -> Option<&'a Config> {
    config.get(outer)?.get(inner)
}
