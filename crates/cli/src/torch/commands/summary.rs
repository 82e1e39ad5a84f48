//! `mmcv summary`: the layers of a network and their cost.

use std::path::PathBuf;

use clap::Args;
use mmcv_cli::Failure;
use mmcv_cli::format::{shapes, table, thousands};
use mmcv_cli::output::{display, print, print_json, write_text};
use mmcv_layers::explain::Explanation;
use serde::Serialize;

use crate::draw::svg;
use crate::network::NetworkArgs;

/// Shows the layers of a network: output shape, parameters, multiply-adds, and their share.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv summary model_zoo/configs/mobilenet_v2.yaml
  mmcv summary network.yaml --input 1x3x32x32 --depth 2
  mmcv summary network.yaml --input 1x3x32x32 --svg network.svg")]
pub(crate) struct Summary {
    #[command(flatten)]
    pub(super) network: NetworkArgs,
    /// Shows only this many levels of modules; deeper ones are counted in the module that contains them.
    #[arg(long, value_name = "LEVELS")]
    depth: Option<usize>,
    /// Draws the table, with a bar for each share.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// A row of the table. A module includes everything inside it.
#[derive(Debug, Serialize)]
struct LayerRow {
    /// The full name; empty for the whole network.
    name: String,
    class: &'static str,
    /// The level of nesting; 0 for the whole network.
    depth: usize,
    /// The output shapes of the first forward pass.
    outputs: Vec<Vec<i64>>,
    /// Number of values in parameters.
    parameters: u64,
    /// Multiply-adds of all forward passes.
    multiply_adds: u64,
    /// The fraction of the whole network's multiply-adds.
    share: f64,
}

const COLUMNS: [&str; 5] = ["layer", "output shape", "parameters", "multiply-adds", "share"];
/// The number of columns that hold text; the others hold numbers.
const TEXT_COLUMNS: usize = 2;

impl LayerRow {
    fn cells(&self) -> [String; 5] {
        let local_name = self.name.rsplit('.').next().unwrap_or_default();
        let mut layer = "  ".repeat(self.depth);
        if !local_name.is_empty() {
            layer.push_str(&format!("{local_name}: "));
        }
        layer.push_str(self.class);
        [
            layer,
            shapes(&self.outputs),
            thousands(self.parameters),
            thousands(self.multiply_adds),
            format!("{:.1} %", self.share * 100.0),
        ]
    }
}

impl Summary {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let explanation = self.network.explain_with_input()?;
        let rows = layer_rows(&explanation, self.depth.unwrap_or(usize::MAX));
        if let Some(file) = &self.svg {
            write_text(file, &drawing(self.network.name(), &rows))?;
        }
        if self.json {
            return print_json(&rows);
        }
        let mut cells = vec![COLUMNS.map(str::to_owned)];
        cells.extend(rows.iter().map(LayerRow::cells));
        let mut text = table(&cells, TEXT_COLUMNS);
        if let Some(file) = &self.svg {
            text.push_str(&format!("\ndrawing: {}\n", display(file)));
        }
        print(&text)
    }
}

fn drawing(title: &str, rows: &[LayerRow]) -> String {
    let mut bars = Vec::new();
    for (position, row) in rows.iter().enumerate() {
        let has_children = match rows.get(position + 1) {
            Some(next) => next.depth > row.depth,
            None => false,
        };
        bars.push(svg::Row { cells: row.cells(), share: row.share, is_pale: has_children });
    }
    svg::draw_table(title, COLUMNS, TEXT_COLUMNS, &bars)
}

fn layer_rows(explanation: &Explanation, max_depth: usize) -> Vec<LayerRow> {
    let total = explanation.multiply_adds();
    let mut rows: Vec<LayerRow> = Vec::new();
    // Indices of the current module's row and of those of the modules around it, outermost first.
    let mut enclosing: Vec<usize> = Vec::new();
    for module in explanation.modules() {
        let depth = if module.name.is_empty() { 0 } else { module.name.split('.').count() };
        enclosing.truncate(depth);
        enclosing.push(rows.len());
        let mut parameters = 0;
        for tensor in &module.tensors {
            if tensor.is_parameter {
                parameters += tensor.tensor.numel() as u64;
            }
        }
        let multiply_adds: u64 = module.calls.iter().map(|call| call.multiply_adds).sum();
        rows.push(LayerRow {
            class: module.module.name(),
            depth,
            outputs: module.calls.first().map(|call| call.outputs.clone()).unwrap_or_default(),
            parameters: 0,
            multiply_adds: 0,
            share: 0.0,
            name: module.name,
        });
        for index in &enclosing {
            if let Some(row) = rows.get_mut(*index) {
                row.parameters += parameters;
                row.multiply_adds += multiply_adds;
            }
        }
    }
    for row in &mut rows {
        row.share = if total == 0 { 0.0 } else { row.multiply_adds as f64 / total as f64 };
    }
    rows.retain(|row| row.depth <= max_depth);
    rows
}
