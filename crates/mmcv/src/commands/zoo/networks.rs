//! `mmcv zoo networks`: parameters and multiply-adds beside the published ones.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::Args;
use mmcv_layers::Builder;
use mmcv_layers::explain::Explanation;
use mmcv_models::{MODELS, ZooEntry, zoo_entries};
use serde_json::{Value, json};

use super::print_json;
use crate::commands::network::thousands;
use crate::commands::{Failure, print};
use crate::progress;

/// What stands before the table of docs/networks.md.
const PAGE: &str = "# Networks

<!-- Written by `mmcv zoo networks --markdown`; a test keeps it in step. -->

The networks of the zoo's names, with their classifier of 1,000 classes, counted here and as published. Multiply-adds are for
one picture of 224 x 224 pixels, by the conventions of MMCV's `get_model_complexity_info`: norms, activations and pooling
count too, so that the numbers are 1 or 2 % above those that count convolutions and linear layers alone, as torchvision does.
The published numbers are rounded by who published them; `-` where nobody did.

`mmcv zoo show NAME` tells how pictures are prepared and how tensors are named; `mmcv predict NAME PICTURE` and `mmcv features
NAME PICTURE` use a network, and `model_zoo/configs/` has a file for each name. How a network is added:
[adding-a-network.md](adding-a-network.md).
";

/// Builds the networks of the zoo, and counts their parameters and multiply-adds. Makes no request.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo networks resnet
  mmcv zoo networks --json")]
pub(crate) struct Networks {
    /// Only networks whose name contains this.
    pattern: Option<String>,
    /// Prints the page docs/networks.md.
    #[arg(long, conflicts_with = "pattern")]
    markdown: bool,
    /// Prints JSON: a list.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

/// A network with what was counted.
#[derive(Debug)]
struct Row {
    entry: ZooEntry,
    names: Vec<String>,
    parameters: u64,
    multiply_adds: u64,
}

impl Networks {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let pattern = self.pattern.as_deref().unwrap_or_default();
        let mut networks: BTreeMap<String, (ZooEntry, Vec<String>)> = BTreeMap::new();
        for entry in zoo_entries().map_err(anyhow::Error::from)? {
            if entry.network.contains(pattern) {
                let name = entry.name.clone();
                networks.entry(entry.network.clone()).or_insert_with(|| (entry, Vec::new())).1.push(name);
            }
        }
        let bar = progress::networks(networks.len());
        let mut rows = Vec::new();
        for (entry, names) in networks.into_values() {
            let (parameters, multiply_adds) = count(&entry).with_context(|| entry.network.clone())?;
            rows.push(Row { entry, names, parameters, multiply_adds });
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.json {
            return print_json(&rows.iter().map(Row::to_json).collect());
        }
        if self.markdown {
            let lines: String = rows.iter().map(Row::to_markdown).collect();
            let head = "| network | parameters | published | multiply-adds | published | by | names |\n\
                        | --- | --- | --- | --- | --- | --- | --- |\n";
            return print(&format!("{PAGE}\n{head}{lines}"));
        }
        print(&rows.iter().map(Row::to_text).collect::<String>())
    }
}

/// Parameters, and multiply-adds for a picture of 224 x 224 pixels. The network is gone when its numbers are there.
fn count(entry: &ZooEntry) -> Result<(u64, u64)> {
    let builder = Builder::new(&MODELS).at(|path| path.key("model"));
    let explanation = Explanation::new(&builder, &entry.config, false, &[vec![1, 3, 224, 224]])?;
    let modules = explanation.modules();
    let tensors = modules.iter().flat_map(|row| &row.tensors).filter(|tensor| tensor.is_parameter);
    Ok((tensors.map(|row| row.tensor.numel() as u64).sum(), explanation.multiply_adds()))
}

impl Row {
    /// Published parameters and multiply-adds, and who published them.
    fn published(&self) -> [&str; 3] {
        match &self.entry.published {
            Some(published) => [&published.parameters, &published.multiply_adds, &published.source],
            None => ["-"; 3],
        }
    }

    fn giga(&self) -> String {
        format!("{:.3} G", self.multiply_adds as f64 / 1e9)
    }

    fn to_text(&self) -> String {
        let [parameters, multiply_adds, source] = self.published();
        let (name, counted, giga) = (&self.entry.network, thousands(self.parameters), self.giga());
        format!("{name:<24} {counted:>12} ({parameters:>11}) {giga:>9} ({multiply_adds:>8}) {source}\n")
    }

    fn to_markdown(&self) -> String {
        let [parameters, multiply_adds, source] = self.published();
        let names: Vec<String> = self.names.iter().map(|name| format!("`{name}`")).collect();
        let (name, counted, giga) = (&self.entry.network, thousands(self.parameters), self.giga());
        format!("| {name} | {counted} | {parameters} | {giga} | {multiply_adds} | {source} | {} |\n", names.join(" "))
    }

    fn to_json(&self) -> Value {
        json!({
            "network": self.entry.network,
            "names": self.names,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "published": self.entry.published.as_ref().map(|published| json!({
                "parameters": published.parameters,
                "multiply_adds": published.multiply_adds,
                "source": published.source,
            })),
        })
    }
}
