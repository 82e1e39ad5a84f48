//! `mmcv zoo networks`: parameters and multiply-adds beside the published ones.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use mmcv_layers::Builder;
use mmcv_layers::explain::{Explanation, ModuleRow};
use mmcv_models::{MODELS, ZooEntry, zoo_entries};
use serde::Serialize;

use mmcv_cli::Failure;
use mmcv_cli::format::thousands;
use mmcv_cli::output::{print, print_json};
use mmcv_cli::progress;

/// The page docs/networks.md up to its table.
const PAGE: &str = "# Networks

<!-- Written by `mmcv zoo networks --markdown`; a test keeps it in step. -->

The networks of the model zoo, with their classifier of 1,000 classes, as counted here and as published; `-` if nobody has
published the figure. Multiply-adds are for one image of 224 x 224 pixels and are listed twice: by the conventions of MMCV's
`get_model_complexity_info`, which also counts norms, activations, pooling and biases; and for the kernels of convolutions
and linear layers alone. mmpretrain publishes the first (for HRNet without the 2,048,000 of the last layer), torchvision the
second, HRNet's authors the second in units of 2^30 (Gi). Published figures are rounded; the ResNet paper truncates them.

`mmcv zoo show NAME` shows the preprocessing and the key mapping of a name; `mmcv predict NAME IMAGE` and `mmcv features
NAME IMAGE` use its network, and `model_zoo/configs/` has a file for each name. To add a network, see
[adding-a-network.md](adding-a-network.md).
";

/// Builds the networks of the model zoo and counts their parameters and multiply-adds. Makes no request.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo networks resnet50
  mmcv zoo networks --json
  mmcv zoo networks --markdown > docs/networks.md")]
pub(crate) struct Networks {
    /// Counts only networks whose name contains this text.
    pattern: Option<String>,
    /// Prints the page docs/networks.md.
    #[arg(long, conflicts_with = "pattern")]
    markdown: bool,
    /// Prints JSON: a list.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

/// A network with its counts.
#[derive(Debug, Serialize)]
struct Row {
    network: String,
    /// The model zoo names of its weights.
    names: Vec<String>,
    parameters: u64,
    multiply_adds: u64,
    /// Multiply-adds of the kernels of convolutions and linear layers alone.
    multiply_adds_of_kernels: u64,
    published: Option<PublishedFigures>,
}

#[derive(Debug, Serialize)]
struct PublishedFigures {
    parameters: String,
    multiply_adds: String,
    source: String,
}

impl Networks {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let rows = self.rows()?;
        if self.json {
            return print_json(&rows);
        }
        if self.markdown {
            let lines: String = rows.iter().map(Row::to_markdown).collect();
            let head = "| network | parameters | published | multiply-adds | of kernels | published | by | names |\n\
                        | --- | --- | --- | --- | --- | --- | --- | --- |\n";
            return print(&format!("{PAGE}\n{head}{lines}"));
        }
        let mut text =
            columns(["network", "parameters", "published", "multiply-adds", "of kernels", "published", "by"]);
        for row in &rows {
            text.push_str(&row.to_text());
        }
        print(&text)
    }

    /// Builds the chosen networks, sorted by name.
    fn rows(&self) -> Result<Vec<Row>, Failure> {
        let pattern = self.pattern.as_deref().unwrap_or_default();
        let mut networks: BTreeMap<String, Vec<ZooEntry>> = BTreeMap::new();
        for entry in zoo_entries().map_err(anyhow::Error::from)? {
            if entry.network.contains(pattern) {
                networks.entry(entry.network.clone()).or_default().push(entry);
            }
        }
        if networks.is_empty() {
            return Err(anyhow!("no network's name contains {pattern:?}: `mmcv zoo show` lists them").into());
        }
        let bar = progress::items(networks.len(), "networks");
        let mut rows = Vec::new();
        for (network, entries) in networks {
            rows.push(Row::new(&network, &entries).context(network)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(rows)
    }
}

/// Multiply-adds of the kernel in all calls of a module; 0 for a module without a weight matrix or kernel.
fn kernel_multiply_adds(module: &ModuleRow<'_>) -> u64 {
    for row in &module.tensors {
        if row.is_parameter && row.name == "weight" && row.tensor.dim() > 1 {
            let outputs = row.tensor.size().first().copied().unwrap_or(1).unsigned_abs().max(1);
            let per_output = row.tensor.numel() as u64 / outputs;
            let elements: u64 = module.calls.iter().flat_map(|call| &call.outputs).map(|shape| elements(shape)).sum();
            return elements * per_output;
        }
    }
    0
}

fn elements(shape: &[i64]) -> u64 {
    shape.iter().product::<i64>().unsigned_abs()
}

/// A line of the text table.
fn columns([name, parameters, published, all, of_kernels, published_too, source]: [&str; 7]) -> String {
    format!("{name:<23} {parameters:>11} {published:>11} {all:>14} {of_kernels:>11} {published_too:>10}  {source}\n")
}

impl Row {
    /// Builds the network of the first entry and counts with one image of 224 x 224 pixels.
    fn new(network: &str, entries: &[ZooEntry]) -> Result<Self> {
        let entry = entries.first().context("the network has no weights")?;
        let builder = Builder::new(&MODELS).at(|path| path.key("model"));
        let explanation = Explanation::new(&builder, &entry.config, false, &[vec![1, 3, 224, 224]])?;
        let (mut parameters, mut multiply_adds_of_kernels) = (0, 0);
        for module in explanation.modules() {
            multiply_adds_of_kernels += kernel_multiply_adds(&module);
            for row in &module.tensors {
                if row.is_parameter {
                    parameters += row.tensor.numel() as u64;
                }
            }
        }
        Ok(Self {
            network: network.to_owned(),
            names: entries.iter().map(|entry| entry.name.clone()).collect(),
            parameters,
            multiply_adds: explanation.multiply_adds(),
            multiply_adds_of_kernels,
            published: entry.published.as_ref().map(PublishedFigures::new),
        })
    }

    /// Published parameters, multiply-adds and their source.
    fn published(&self) -> [&str; 3] {
        match &self.published {
            Some(figures) => [&figures.parameters, &figures.multiply_adds, &figures.source],
            None => ["-"; 3],
        }
    }

    fn to_text(&self) -> String {
        let [parameters, multiply_adds, source] = self.published();
        let (all, of_kernels) = (giga(self.multiply_adds), giga(self.multiply_adds_of_kernels));
        let counted = thousands(self.parameters);
        columns([&self.network, &counted, parameters, &all, &of_kernels, multiply_adds, source])
    }

    fn to_markdown(&self) -> String {
        let [parameters, multiply_adds, source] = self.published();
        let (all, of_kernels) = (giga(self.multiply_adds), giga(self.multiply_adds_of_kernels));
        let (network, counted) = (&self.network, thousands(self.parameters));
        let names = self.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
        format!(
            "| {network} | {counted} | {parameters} | {all} | {of_kernels} | {multiply_adds} | {source} | {names} |\n"
        )
    }
}

impl PublishedFigures {
    fn new(published: &mmcv_models::PublishedFigures) -> Self {
        Self {
            parameters: published.parameters.clone(),
            multiply_adds: published.multiply_adds.clone(),
            source: published.source.clone(),
        }
    }
}

fn giga(count: u64) -> String {
    format!("{:.3} G", count as f64 / 1e9)
}
