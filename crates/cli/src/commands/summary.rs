//! `mmcv summary`: the layers of a network and what they cost.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use mmcv_layers::explain::Explanation;
use serde_json::{Value, json};

use super::network::{Network, shapes, thousands};
use super::table::table;
use super::{Failure, name, print};
use crate::svg;

/// Shows the layers of a network: output shape, parameters, multiply-adds, and their share.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv summary model_zoo/configs/mobilenet_v2.yaml
  mmcv summary network.yaml --input 1x3x32x32 --depth 2
  mmcv summary network.yaml --input 1x3x32x32 --svg network.svg")]
pub(crate) struct Summary {
    #[command(flatten)]
    network: Network,
    /// How many levels of modules are shown; what is further inside counts for the module that it is in.
    #[arg(long, value_name = "LEVELS")]
    depth: Option<usize>,
    /// Draws the table with a bar for each share.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// One line of the table; a module counts with all that is inside.
#[derive(Debug)]
pub(crate) struct Line {
    /// The full name; empty for the whole network.
    pub(crate) name: String,
    /// How deep inside it is.
    pub(crate) depth: usize,
    /// The class.
    pub(crate) class: &'static str,
    /// The shapes of the outputs of its first forward pass.
    pub(crate) outputs: Vec<Vec<i64>>,
    /// Values in parameters.
    pub(crate) parameters: u64,
    /// Of all its forward passes.
    pub(crate) multiply_adds: u64,
    /// The part of the whole network's multiply-adds, from 0 to 1.
    pub(crate) share: f64,
}

impl Line {
    /// What the table shows in its columns.
    pub(crate) fn cells(&self) -> [String; 5] {
        let own = self.name.rsplit('.').next().unwrap_or_default();
        let layer = if own.is_empty() { self.class.to_owned() } else { format!("{own}: {}", self.class) };
        [
            format!("{}{layer}", "  ".repeat(self.depth)),
            shapes(&self.outputs),
            thousands(self.parameters),
            thousands(self.multiply_adds),
            format!("{:.1} %", self.share * 100.0),
        ]
    }
}

/// The names of the columns.
pub(crate) const COLUMNS: [&str; 5] = ["layer", "output shape", "parameters", "multiply-adds", "share"];

impl Summary {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let explanation = self.network.explain(true)?;
        let lines = lines(&explanation, self.depth.unwrap_or(usize::MAX));
        if let Some(file) = &self.svg {
            let drawing = svg::table(&self.network.name(), &lines);
            mmcv_pth::replace_file(file, |temporary| {
                std::fs::write(temporary, drawing).with_context(|| format!("cannot write {}", file.display()))
            })?;
        }
        if self.json {
            return print(&format!("{:#}\n", lines.iter().map(to_json).collect::<Value>()));
        }
        let drawn = self.svg.map_or_else(String::new, |file| format!("\npicture: {}\n", name(&file)));
        print(&format!("{}{drawn}", text(&lines)))
    }
}

fn lines(explanation: &Explanation, most_depth: usize) -> Vec<Line> {
    let total = explanation.multiply_adds();
    let mut lines: Vec<Line> = Vec::new();
    // The lines of the modules around the one that is looked at, outermost first.
    let mut around: Vec<usize> = Vec::new();
    for row in explanation.modules() {
        let depth = if row.name.is_empty() { 0 } else { row.name.split('.').count() };
        around.truncate(depth);
        around.push(lines.len());
        lines.push(Line {
            depth,
            class: row.module.name(),
            outputs: row.calls.first().map_or_else(Vec::new, |call| call.outputs.clone()),
            parameters: 0,
            multiply_adds: 0,
            share: 0.0,
            name: row.name,
        });
        let parameters: u64 =
            row.tensors.iter().filter(|row| row.is_parameter).map(|row| row.tensor.numel() as u64).sum();
        let multiply_adds: u64 = row.calls.iter().map(|call| call.multiply_adds).sum();
        for outer in &around {
            if let Some(line) = lines.get_mut(*outer) {
                line.parameters += parameters;
                line.multiply_adds += multiply_adds;
            }
        }
    }
    for line in &mut lines {
        line.share = if total == 0 { 0.0 } else { line.multiply_adds as f64 / total as f64 };
    }
    lines.retain(|line| line.depth <= most_depth);
    lines
}

/// The table for people.
fn text(lines: &[Line]) -> String {
    let rows: Vec<[String; 5]> =
        std::iter::once(COLUMNS.map(str::to_owned)).chain(lines.iter().map(Line::cells)).collect();
    table(&rows, 2)
}

fn to_json(line: &Line) -> Value {
    json!({
        "name": line.name,
        "class": line.class,
        "depth": line.depth,
        "outputs": line.outputs,
        "parameters": line.parameters,
        "multiply_adds": line.multiply_adds,
        "share": line.share,
    })
}
