//! `mmcv build`: the network that a config describes.

use clap::Args;
use mmcv_cli::Failure;
use mmcv_cli::format::{shape, shapes, thousands};
use mmcv_cli::output::{print, print_json};
use mmcv_layers::explain::{Explanation, ModuleRow, TensorRow, repr};
use serde::Serialize;

use crate::network::NetworkArgs;

/// Builds the network of a config file and prints its modules as Python's repr does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv build network.yaml
  mmcv build network.yaml --input 1x3x32x32        also checks that all shapes match
  mmcv build faster-rcnn_r50_fpn_1x_coco.py --no-init  loads no pretrained backbone
  mmcv build network.yaml --explain                where each tensor and its values come from
  mmcv build network.yaml --cfg-options model.norm_cfg.type=GN model.norm_cfg.num_groups=4 --json")]
pub(crate) struct Build {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// Shows for each module its config key, its tensors, what initialized them, and its output shapes.
    #[arg(long)]
    explain: bool,
    /// Prints JSON with everything that --explain shows.
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let explanation = self.network.explain()?;
        if self.json {
            return print_json(&NetworkReport::new(self.network.name(), &explanation));
        }
        let mut text = format!("{}\n", repr(explanation.module()));
        if self.explain {
            for row in explanation.modules() {
                text.push_str(&module_text(&row));
            }
        }
        text.push_str(&format!("\n{}\n", totals_text(&explanation)));
        print(&text)
    }
}

/// One module: a line, and one more for each of its tensors.
fn module_text(row: &ModuleRow<'_>) -> String {
    let name = if row.name.is_empty() { "(root)" } else { &row.name };
    let mut text = format!("\n{name}: {}", row.module.name());
    if let Some(origin) = row.origin {
        let path = if origin.path.is_root() { "the config itself".to_owned() } else { origin.path.to_string() };
        let default = if row.is_default { ", by default" } else { "" };
        text.push_str(&format!(" ({} of {path}{default})", origin.type_name));
    }
    for call in &row.calls {
        text.push_str(&format!(" {} -> {}", shapes(&call.inputs), shapes(&call.outputs)));
        if call.multiply_adds > 0 {
            text.push_str(&format!(", {} multiply-adds", thousands(call.multiply_adds)));
        }
    }
    text.push('\n');
    for row in &row.tensors {
        text.push_str(&tensor_text(row));
    }
    text
}

fn tensor_text(row: &TensorRow<'_>) -> String {
    let kind = match (row.is_parameter, row.tensor.requires_grad()) {
        (true, true) => "",
        (true, false) => ", frozen",
        (false, _) => ", buffer",
    };
    let mut text = format!("  {} [{}]{kind}", row.name, shape(&row.tensor.size()));
    if let Some(initial) = row.initial {
        let source = if initial.by.is_empty() { "its own initialization" } else { &initial.by };
        text.push_str(&format!(": {} by {source}", initial.values));
    }
    text.push('\n');
    text
}

/// The last line: the totals over all modules.
fn totals_text(explanation: &Explanation) -> String {
    let totals = Totals::new(explanation);
    let mut text = format!("parameters: {}", thousands(totals.parameters));
    if totals.trained != totals.parameters {
        text.push_str(&format!(" ({} trainable)", thousands(totals.trained)));
    }
    text.push_str(&format!("; values in buffers: {}", thousands(totals.buffers)));
    if explanation.was_run() {
        text.push_str(&format!("; multiply-adds: {}", thousands(explanation.multiply_adds())));
    }
    text
}

/// Numbers of values.
struct Totals {
    parameters: u64,
    trained: u64,
    buffers: u64,
}

impl Totals {
    fn new(explanation: &Explanation) -> Self {
        let mut totals = Self { parameters: 0, trained: 0, buffers: 0 };
        for module in explanation.modules() {
            for row in &module.tensors {
                let values = row.tensor.numel() as u64;
                if row.is_parameter {
                    totals.parameters += values;
                    totals.trained += if row.tensor.requires_grad() { values } else { 0 };
                } else {
                    totals.buffers += values;
                }
            }
        }
        totals
    }
}

#[derive(Serialize)]
struct NetworkReport<'a> {
    config: &'a str,
    #[serde(rename = "type")]
    type_name: String,
    repr: String,
    parameters: u64,
    trained_parameters: u64,
    buffers: u64,
    multiply_adds: Option<u64>,
    inputs: Option<&'a [Vec<i64>]>,
    outputs: Option<&'a [Vec<i64>]>,
    unmatched_rules: &'a [String],
    modules: Vec<ModuleReport<'a>>,
}

impl<'a> NetworkReport<'a> {
    fn new(config: &'a str, explanation: &'a Explanation) -> Self {
        let totals = Totals::new(explanation);
        let modules: Vec<_> = explanation.modules().into_iter().map(ModuleReport::new).collect();
        let root_call = modules.first().and_then(|root| root.calls.first());
        let (inputs, outputs) = (root_call.map(|call| call.inputs), root_call.map(|call| call.outputs));
        Self {
            config,
            type_name: explanation.module().name().to_owned(),
            repr: repr(explanation.module()),
            parameters: totals.parameters,
            trained_parameters: totals.trained,
            buffers: totals.buffers,
            multiply_adds: if explanation.was_run() { Some(explanation.multiply_adds()) } else { None },
            inputs,
            outputs,
            unmatched_rules: explanation.unmatched_rules(),
            modules,
        }
    }
}

#[derive(Serialize)]
struct ModuleReport<'a> {
    name: String,
    class: &'a str,
    arguments: String,
    #[serde(rename = "type")]
    type_name: Option<&'a str>,
    key: Option<String>,
    key_is_default: bool,
    calls: Vec<CallReport<'a>>,
    multiply_adds: u64,
    tensors: Vec<TensorReport<'a>>,
}

impl<'a> ModuleReport<'a> {
    fn new(row: ModuleRow<'a>) -> Self {
        Self {
            name: row.name,
            class: row.module.name(),
            arguments: row.module.extra_repr(),
            type_name: row.origin.map(|origin| origin.type_name),
            key: row.origin.map(|origin| origin.path.to_string()),
            key_is_default: row.is_default,
            multiply_adds: row.calls.iter().map(|call| call.multiply_adds).sum(),
            calls: row.calls.iter().map(|call| CallReport { inputs: &call.inputs, outputs: &call.outputs }).collect(),
            tensors: row.tensors.into_iter().map(TensorReport::new).collect(),
        }
    }
}

#[derive(Serialize)]
struct CallReport<'a> {
    inputs: &'a [Vec<i64>],
    outputs: &'a [Vec<i64>],
}

#[derive(Serialize)]
struct TensorReport<'a> {
    name: String,
    kind: &'static str,
    shape: Vec<i64>,
    dtype: String,
    trained: bool,
    values: Option<&'a str>,
    initialised_by: Option<&'a str>,
}

impl<'a> TensorReport<'a> {
    fn new(row: TensorRow<'a>) -> Self {
        Self {
            kind: if row.is_parameter { "parameter" } else { "buffer" },
            shape: row.tensor.size(),
            dtype: format!("{:?}", row.tensor.kind()).to_lowercase(),
            trained: row.is_parameter && row.tensor.requires_grad(),
            values: row.initial.map(|initial| initial.values.as_str()),
            initialised_by: row.initial.map(|initial| initial.by.as_str()),
            name: row.name,
        }
    }
}
