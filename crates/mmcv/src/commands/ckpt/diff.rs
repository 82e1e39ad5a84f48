//! `mmcv ckpt diff`: the tensors of two files, compared.

use std::path::PathBuf;

use clap::Args;
use mmcv_pth::{Checkpoint, CompareOptions, Comparison, TensorDifference};
use serde_json::{Map, Value, json};

use super::reading::Reading;
use crate::commands::{Failure, name, print, print_json};
use crate::progress::Bytes;

/// Names that are shown of each group without `--all`.
const SHOWN: usize = 4;

/// Compares the tensors of two files: names, shapes, types, values.
///
/// The files may be of different formats, or the index `*.index.json` of several. What is no tensor is not compared. Without tolerances only the same bits are
/// the same.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv ckpt diff epoch_11.pth epoch_12.pth
  mmcv ckpt diff model.pth model.safetensors && echo same
  mmcv ckpt diff training.pth weights.safetensors --entry state_dict --json
  mmcv ckpt diff full.pth half.pth --rtol 1e-3
  mmcv ckpt diff R-50.pkl R-50.pth
  mmcv ckpt diff pytorch_model.bin.index.json model.safetensors

Exit status: 0 the tensors are the same, 1 they differ or a file cannot be read, 2 wrong
usage. Where they differ, stdout tells how; where a file cannot be read, it has nothing.")]
pub(crate) struct Diff {
    /// The first file.
    a: PathBuf,
    /// The second file.
    b: PathBuf,
    /// Takes only what is below this entry, a dotted path such as `state_dict`, in a file that has it.
    #[arg(long, value_name = "ENTRY")]
    entry: Option<String>,
    /// Values that are at most this far apart count as the same, whatever their types.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true, value_parser = tolerance)]
    atol: f64,
    /// The same in proportion to the second value; both add up.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true, value_parser = tolerance)]
    rtol: f64,
    /// Shows all names of each group, one a line.
    #[arg(long)]
    all: bool,
    /// Prints one JSON object with all differences.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reading: Reading,
}

fn tolerance(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value: &f64| *value >= 0.0 && value.is_finite());
    value.ok_or_else(|| "expected a number that is not negative".to_owned())
}

impl Diff {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let options = self.reading.options();
        let (a, b) = (Checkpoint::open_with(&self.a, &options)?, Checkpoint::open_with(&self.b, &options)?);
        let bar = Bytes::unknown();
        let progress = |done, total| bar.of_total(done, total);
        let options = CompareOptions {
            entry: self.entry.as_deref(),
            atol: self.atol,
            rtol: self.rtol,
            progress: Some(&progress),
        };
        let comparison = mmcv_pth::compare(&a, &b, &options)?;
        drop(bar);
        match self.json {
            true => print_json(&to_json(&comparison))?,
            false => print(&self.text(&comparison))?,
        }
        if comparison.is_same() {
            return Ok(());
        }
        Err(Failure(format!("{} and {} differ", name(&self.a), name(&self.b))))
    }

    fn text(&self, comparison: &Comparison) -> String {
        let mut text = format!("{} the same\n", comparison.same);
        let names = |names: &[String]| names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>();
        self.group(&mut text, &format!("only in {}", name(&self.a)), &names(&comparison.only_in_a));
        self.group(&mut text, &format!("only in {}", name(&self.b)), &names(&comparison.only_in_b));
        let group = |which: fn(&TensorDifference) -> bool, line: fn(&TensorDifference) -> String| -> Vec<String> {
            let chosen = comparison.different.iter().filter(|different| which(different));
            chosen.map(|different| format!("{:?}: {}", different.key, line(different))).collect()
        };
        let shapes = group(other_shape, |different| {
            let [a, b] = &different.shapes;
            format!("{a:?} and {b:?}")
        });
        self.group(&mut text, "of other shapes", &shapes);
        let dtypes = group(other_type, |different| {
            let [a, b] = different.dtypes;
            format!("{a} and {b}{}", different.values.map(|values| format!(", {}", far(&values))).unwrap_or_default())
        });
        self.group(&mut text, "of other types", &dtypes);
        let values = group(other_values, |different| match different.values {
            Some(values) => far(&values),
            None => format!("{}, which cannot be compared", different.dtypes[0]),
        });
        self.group(&mut text, "of other values", &values);
        text
    }

    fn group(&self, text: &mut String, what: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        text.push_str(&format!("{} {what}", items.len()));
        if self.all {
            text.push('\n');
            items.iter().for_each(|item| text.push_str(&format!("  {item}\n")));
            return;
        }
        let more = if items.len() > SHOWN { "; ..." } else { "" };
        text.push_str(&format!(" ({}{more})\n", items.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ")));
    }
}

fn other_shape(different: &TensorDifference) -> bool {
    different.shapes[0] != different.shapes[1]
}

fn other_type(different: &TensorDifference) -> bool {
    !other_shape(different) && different.dtypes[0] != different.dtypes[1]
}

fn other_values(different: &TensorDifference) -> bool {
    !other_shape(different) && !other_type(different)
}

/// How far values are apart, in words.
fn far(values: &mmcv_pth::ValueDifference) -> String {
    let mmcv_pth::ValueDifference { elements, total: of, max_abs, max_rel } = values;
    match (elements, *max_abs) {
        (0, _) => "same values".to_owned(),
        (_, 0.0) => format!("{elements} of {of} elements differ in their bits alone, such as -0 and 0"),
        _ => format!("{elements} of {of} elements differ, by at most {max_abs:.3e}, relative {max_rel:.3e}"),
    }
}

fn to_json(comparison: &Comparison) -> Value {
    let different: Map<String, Value> =
        comparison.different.iter().map(|one| (one.key.clone(), one_json(one))).collect();
    json!({
        "equal": comparison.is_same(),
        "same": comparison.same,
        "only_in_a": comparison.only_in_a,
        "only_in_b": comparison.only_in_b,
        "different": different,
    })
}

fn one_json(different: &TensorDifference) -> Value {
    let [dtype_a, dtype_b] = different.dtypes;
    let [shape_a, shape_b] = &different.shapes;
    let number = |value: f64| if value.is_finite() { json!(value) } else { json!({ "$float": "inf" }) };
    let values = different.values.map(|values| {
        json!({
            "elements": values.elements,
            "of": values.total,
            "max_abs": number(values.max_abs),
            "max_rel": number(values.max_rel),
        })
    });
    json!({
        "a": { "dtype": dtype_a, "shape": shape_a },
        "b": { "dtype": dtype_b, "shape": shape_b },
        "values": values,
    })
}
