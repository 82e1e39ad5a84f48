//! `mmcv zoo networks`: parameters and multiply-adds beside the published ones.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use mmcv_layers::Builder;
use mmcv_layers::explain::{Explanation, ModuleRow};
use mmcv_models::{MODELS, ZooEntry, zoo_entries};
use serde_json::{Value, json};

use super::print_json;
use crate::commands::network::thousands;
use crate::commands::{Failure, print};
use crate::progress;

/// What stands before the table of docs/networks.md.
const PAGE: &str = "# Networks

<!-- Written by `mmcv zoo networks --markdown`; a test keeps it in step. -->

The networks of the zoo's names, with their classifier of 1,000 classes, counted here and as published; `-` where nobody did.
Multiply-adds are for one picture of 224 x 224 pixels, and come twice: all of them by the conventions of MMCV's
`get_model_complexity_info`, where norms, activations, pooling and biases count too; and those of the kernels of convolutions and
linear layers alone. mmpretrain publishes the first (for HRNet without the 2,048,000 of the last layer), torchvision the second,
HRNet's authors the second in units of 2^30 (Gi). They round; the paper of ResNet cuts.

`mmcv zoo show NAME` tells how pictures are prepared and how tensors are named; `mmcv predict NAME PICTURE` and `mmcv features
NAME PICTURE` use a network, and `model_zoo/configs/` has a file for each name. How a network is added:
[adding-a-network.md](adding-a-network.md).
";

/// Builds the networks of the zoo, and counts their parameters and multiply-adds. Makes no request.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv zoo networks resnet50
  mmcv zoo networks --json
  mmcv zoo networks --markdown > docs/networks.md")]
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
    /// Those of the kernels of convolutions and linear layers alone.
    of_kernels: u64,
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
        if networks.is_empty() {
            return Err(anyhow!("no network's name contains {pattern:?}: `mmcv zoo show` lists them").into());
        }
        let bar = progress::networks(networks.len());
        let mut rows = Vec::new();
        for (entry, names) in networks.into_values() {
            let network = entry.network.clone();
            rows.push(Row::new(entry, names).context(network)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.json {
            return print_json(&rows.iter().map(Row::to_json).collect());
        }
        if self.markdown {
            let lines: String = rows.iter().map(Row::to_markdown).collect();
            let head = "| network | parameters | published | multiply-adds | of kernels | published | by | names |\n\
                        | --- | --- | --- | --- | --- | --- | --- | --- |\n";
            return print(&format!("{PAGE}\n{head}{lines}"));
        }
        let head = columns(["network", "parameters", "published", "multiply-adds", "of kernels", "published", "by"]);
        print(&rows.iter().map(Row::to_text).fold(head, |text, line| text + &line))
    }
}

/// The products of the elements of kernels with inputs, in all calls of a module with a matrix or a kernel.
fn of_kernels(module: &ModuleRow<'_>) -> u64 {
    let kernel = module.tensors.iter().find(|row| row.is_parameter && row.name == "weight" && row.tensor.dim() > 1);
    let Some(kernel) = kernel.map(|row| row.tensor) else { return 0 };
    let of_each_output =
        kernel.numel() as u64 / kernel.size().first().map_or(1, |outputs| outputs.unsigned_abs().max(1));
    let outputs = module.calls.iter().flat_map(|call| &call.outputs);
    outputs.map(|shape| shape.iter().product::<i64>().unsigned_abs() * of_each_output).sum()
}

/// A line of the table for people.
fn columns([name, parameters, published, all, of_kernels, published_too, source]: [&str; 7]) -> String {
    format!("{name:<23} {parameters:>11} {published:>11} {all:>14} {of_kernels:>11} {published_too:>10}  {source}\n")
}

impl Row {
    /// Counts with a picture of 224 x 224 pixels. The network is gone when its numbers are there.
    fn new(entry: ZooEntry, names: Vec<String>) -> Result<Self> {
        let builder = Builder::new(&MODELS).at(|path| path.key("model"));
        let explanation = Explanation::new(&builder, &entry.config, false, &[vec![1, 3, 224, 224]])?;
        let modules = explanation.modules();
        let parameters = modules.iter().flat_map(|row| &row.tensors).filter(|tensor| tensor.is_parameter);
        let parameters = parameters.map(|row| row.tensor.numel() as u64).sum();
        let of_kernels = modules.iter().map(of_kernels).sum();
        let multiply_adds = explanation.multiply_adds();
        Ok(Self { entry, names, parameters, multiply_adds, of_kernels })
    }

    /// Published parameters and multiply-adds, and who published them.
    fn published(&self) -> [&str; 3] {
        match &self.entry.published {
            Some(published) => [&published.parameters, &published.multiply_adds, &published.source],
            None => ["-"; 3],
        }
    }

    /// Multiply-adds, and those of kernels alone.
    fn giga(&self) -> [String; 2] {
        [self.multiply_adds, self.of_kernels].map(|count| format!("{:.3} G", count as f64 / 1e9))
    }

    fn to_text(&self) -> String {
        let [parameters, multiply_adds, source] = self.published();
        let (counted, [all, of_kernels]) = (thousands(self.parameters), self.giga());
        columns([&self.entry.network, &counted, parameters, &all, &of_kernels, multiply_adds, source])
    }

    fn to_markdown(&self) -> String {
        let [parameters, multiply_adds, source] = self.published();
        let names: Vec<String> = self.names.iter().map(|name| format!("`{name}`")).collect();
        let (name, counted, [all, of_kernels]) = (&self.entry.network, thousands(self.parameters), self.giga());
        let names = names.join(" ");
        format!("| {name} | {counted} | {parameters} | {all} | {of_kernels} | {multiply_adds} | {source} | {names} |\n")
    }

    fn to_json(&self) -> Value {
        json!({
            "network": self.entry.network,
            "names": self.names,
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "multiply_adds_of_kernels": self.of_kernels,
            "published": self.entry.published.as_ref().map(|published| json!({
                "parameters": published.parameters,
                "multiply_adds": published.multiply_adds,
                "source": published.source,
            })),
        })
    }
}
