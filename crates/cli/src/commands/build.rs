//! `mmcv build`: what a config describes.

use clap::Args;
use mmcv_layers::explain::{Explanation, ModuleRow, TensorRow, repr};
use serde_json::{Value, json};

use super::network::{Network, shape, shapes, thousands};
use super::{Failure, print};

/// Builds the network of a config file, and shows its modules as Python does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv build network.yaml
  mmcv build network.yaml --input 1x3x32x32        also checks that all shapes fit
  mmcv build network.yaml --explain                where each tensor and its values come from
  mmcv build network.yaml --cfg-options model.norm_cfg.type=GN model.norm_cfg.num_groups=4 --json")]
pub(crate) struct Build {
    #[command(flatten)]
    network: Network,
    /// Shows for each module its key in the config, its tensors and what initialised them, and the shapes of its outputs.
    #[arg(long)]
    explain: bool,
    /// Prints JSON: all that --explain shows.
    #[arg(long)]
    json: bool,
}

impl Build {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let explanation = self.network.explain(false)?;
        if self.json {
            return print(&format!("{:#}\n", to_json(&self.network.name(), &explanation)));
        }
        let mut text = format!("{}\n", repr(explanation.module()));
        if self.explain {
            text.push_str(&explanation.modules().iter().map(explained).collect::<String>());
        }
        text.push_str(&format!("\n{}\n", totals(&explanation)));
        print(&text)
    }
}

/// One module for people: a line, and one for each of its tensors.
fn explained(row: &ModuleRow<'_>) -> String {
    let name = if row.name.is_empty() { "(the whole)" } else { &row.name };
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
    for TensorRow { name, tensor, is_parameter, initial } in &row.tensors {
        let kind = match (is_parameter, tensor.requires_grad()) {
            (true, true) => "",
            (true, false) => ", not trained",
            (false, _) => ", buffer",
        };
        let values = initial.map_or_else(String::new, |initial| {
            let by = if initial.by.is_empty() { "its own initialisation" } else { &initial.by };
            format!(": {} by {by}", initial.values)
        });
        text.push_str(&format!("  {name} [{}]{kind}{values}\n", shape(&tensor.size())));
    }
    text
}

/// The last line: what all modules have together.
fn totals(explanation: &Explanation) -> String {
    let Totals { parameters, trained, buffers } = Totals::of(explanation);
    let mut text = format!("parameters: {}", thousands(parameters));
    if trained != parameters {
        text.push_str(&format!(" ({} trained)", thousands(trained)));
    }
    text.push_str(&format!("; values in buffers: {}", thousands(buffers)));
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
    fn of(explanation: &Explanation) -> Self {
        let mut totals = Self { parameters: 0, trained: 0, buffers: 0 };
        for row in explanation.modules().iter().flat_map(|row| &row.tensors) {
            let values = row.tensor.numel() as u64;
            if row.is_parameter {
                totals.parameters += values;
                totals.trained += if row.tensor.requires_grad() { values } else { 0 };
            } else {
                totals.buffers += values;
            }
        }
        totals
    }
}

fn to_json(config: &str, explanation: &Explanation) -> Value {
    let Totals { parameters, trained, buffers } = Totals::of(explanation);
    let modules = explanation.modules();
    let root = modules.first().and_then(|row| row.calls.first());
    json!({
        "config": config,
        "type": explanation.module().name(),
        "repr": repr(explanation.module()),
        "parameters": parameters,
        "trained_parameters": trained,
        "buffers": buffers,
        "multiply_adds": explanation.was_run().then(|| explanation.multiply_adds()),
        "inputs": root.map(|call| &call.inputs),
        "outputs": root.map(|call| &call.outputs),
        "unmatched_rules": explanation.unmatched_rules(),
        "modules": modules.iter().map(module_to_json).collect::<Vec<_>>(),
    })
}

fn module_to_json(row: &ModuleRow<'_>) -> Value {
    let calls: Vec<_> =
        row.calls.iter().map(|call| json!({ "inputs": call.inputs, "outputs": call.outputs })).collect();
    json!({
        "name": row.name,
        "class": row.module.name(),
        "arguments": row.module.extra_repr(),
        "type": row.origin.map(|origin| origin.type_name),
        "key": row.origin.map(|origin| origin.path.to_string()),
        "key_is_default": row.is_default,
        "calls": calls,
        "multiply_adds": row.calls.iter().map(|call| call.multiply_adds).sum::<u64>(),
        "tensors": row.tensors.iter().map(tensor_to_json).collect::<Vec<_>>(),
    })
}

fn tensor_to_json(row: &TensorRow<'_>) -> Value {
    json!({
        "name": row.name,
        "kind": if row.is_parameter { "parameter" } else { "buffer" },
        "shape": row.tensor.size(),
        "dtype": format!("{:?}", row.tensor.kind()).to_lowercase(),
        "trained": row.is_parameter && row.tensor.requires_grad(),
        "values": row.initial.map(|initial| &initial.values),
        "initialised_by": row.initial.map(|initial| &initial.by),
    })
}
