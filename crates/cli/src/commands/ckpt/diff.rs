//! `mmcv ckpt diff`: compares the tensors of two files.

use std::path::PathBuf;

use clap::Args;
use mmcv_pth::{Checkpoint, CompareOptions, Comparison, OpenOptions, ValueDifference};

use crate::Failure;
use crate::args::UnknownClassesOption;
use crate::output::{display, print, print_json};
use crate::progress::ByteProgress;

/// How many names of each group are shown without `--all`.
const MAX_NAMES: usize = 4;

/// Compares the tensors of two files: names, shapes, types, values.
///
/// The files may have different formats, or be the index `*.index.json` of a sharded checkpoint. Only tensors are compared.
/// Without tolerances, values are equal only if their bits are.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv ckpt diff epoch_11.pth epoch_12.pth
  mmcv ckpt diff model.pth model.safetensors && echo same
  mmcv ckpt diff training.pth weights.safetensors --entry state_dict --json
  mmcv ckpt diff full.pth half.pth --rtol 1e-3
  mmcv ckpt diff R-50.pkl R-50.pth
  mmcv ckpt diff pytorch_model.bin.index.json model.safetensors

Exit status: 0 the tensors are equal, 1 they differ or a file cannot be read, 2 incorrect
usage. If they differ, the differences are on stdout; if a file cannot be read, stdout is empty.")]
pub struct Diff {
    /// The first file.
    a: PathBuf,
    /// The second file.
    b: PathBuf,
    /// Compares only this entry, a dotted path such as `state_dict`, of each file that has it.
    #[arg(long, value_name = "ENTRY")]
    entry: Option<String>,
    /// Treats values that differ by at most this much as equal, regardless of their types.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true, value_parser = tolerance)]
    atol: f64,
    /// A tolerance relative to the second value, added to --atol.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true, value_parser = tolerance)]
    rtol: f64,
    /// Shows all names of each group, one per line.
    #[arg(long)]
    all: bool,
    /// Prints one JSON object with all differences.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    unknown_classes: UnknownClassesOption,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a nonnegative number".to_owned()),
    }
}

impl Diff {
    pub fn run(&self) -> Result<(), Failure> {
        let comparison = self.compare()?;
        if self.json {
            print_json(&comparison)?;
        } else {
            print(&self.text(&comparison))?;
        }
        if comparison.is_same() {
            return Ok(());
        }
        Err(Failure::Text(format!("{} and {} differ", display(&self.a), display(&self.b))))
    }

    fn compare(&self) -> Result<Comparison, Failure> {
        let options = OpenOptions::new().unknown_classes(self.unknown_classes.policy());
        let a = Checkpoint::open_with(&self.a, &options)?;
        let b = Checkpoint::open_with(&self.b, &options)?;
        let bar = ByteProgress::new();
        let progress = |done, total| bar.set_of(done, total);
        let options = CompareOptions {
            entry: self.entry.as_deref(),
            atol: self.atol,
            rtol: self.rtol,
            progress: Some(&progress),
        };
        Ok(mmcv_pth::compare(&a, &b, &options)?)
    }

    fn text(&self, comparison: &Comparison) -> String {
        let mut text = format!("{} the same\n", comparison.same);
        text.push_str(&self.group(&format!("only in {}", display(&self.a)), &quoted(&comparison.only_in_a)));
        text.push_str(&self.group(&format!("only in {}", display(&self.b)), &quoted(&comparison.only_in_b)));
        let (mut shapes, mut dtypes, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for different in &comparison.different {
            let key = &different.key;
            let [shape_a, shape_b] = &different.shapes;
            let [dtype_a, dtype_b] = different.dtypes;
            let distance = different.values.as_ref().map(distance);
            if shape_a != shape_b {
                shapes.push(format!("{key:?}: {shape_a:?} and {shape_b:?}"));
            } else if dtype_a != dtype_b {
                let mut line = format!("{key:?}: {dtype_a} and {dtype_b}");
                if let Some(distance) = distance {
                    line.push_str(&format!(", {distance}"));
                }
                dtypes.push(line);
            } else if let Some(distance) = distance {
                values.push(format!("{key:?}: {distance}"));
            } else {
                values.push(format!("{key:?}: {dtype_a}, which cannot be compared"));
            }
        }
        text.push_str(&self.group("of other shapes", &shapes));
        text.push_str(&self.group("of other types", &dtypes));
        text.push_str(&self.group("of other values", &values));
        text
    }

    /// The lines of a group; empty if it has no items.
    fn group(&self, what: &str, items: &[String]) -> String {
        let count = items.len();
        if count == 0 {
            return String::new();
        }
        if self.all {
            return format!("{count} {what}\n  {}\n", items.join("\n  "));
        }
        if count > MAX_NAMES {
            return format!("{count} {what} ({}; ...)\n", items[..MAX_NAMES].join("; "));
        }
        format!("{count} {what} ({})\n", items.join("; "))
    }
}

fn quoted(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("{name:?}")).collect()
}

/// The largest differences as text.
fn distance(values: &ValueDifference) -> String {
    let ValueDifference { elements, total, max_abs, max_rel } = values;
    if *elements == 0 {
        return "same values".to_owned();
    }
    if *max_abs == 0.0 {
        return format!("{elements} of {total} elements differ only in their bits, such as -0 and 0");
    }
    format!("{elements} of {total} elements differ, by at most {max_abs:.3e}, relative {max_rel:.3e}")
}
