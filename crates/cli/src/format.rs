//! Numbers, shapes, tables and reports as text.

use serde::Serialize;
use serde_json::Value;

/// A number with a separator between thousands: `3,504,872`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 file`, `2 files`.
pub fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes: `102.5 MB`.
pub fn size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1000.0;
    for unit in ["kB", "MB", "GB"] {
        if value < 1000.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A shape as it is written on the command line: `1x3x224x224`.
pub fn shape(sizes: &[i64]) -> String {
    if sizes.is_empty() {
        return "scalar".to_owned();
    }
    sizes.iter().map(i64::to_string).collect::<Vec<_>>().join("x")
}

/// Several shapes, separated by commas.
pub fn shapes(shapes: &[Vec<i64>]) -> String {
    shapes.iter().map(|sizes| shape(sizes)).collect::<Vec<_>>().join(", ")
}

/// Lays out rows in columns. The first `left` columns are left-aligned, the others right-aligned.
pub fn table<const N: usize>(rows: &[[String; N]], left: usize) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            if column < left {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("{cell:>width$}"));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// The least width of the names of a report.
const MIN_NAME_WIDTH: usize = 9;

/// A report as lines of names and values.
pub fn lines(report: &impl Serialize) -> serde_json::Result<String> {
    let Value::Object(entries) = serde_json::to_value(report)? else { return Ok(String::new()) };
    let width = entries.keys().map(String::len).max().unwrap_or(0).max(MIN_NAME_WIDTH);
    let mut text = String::new();
    for (name, value) in &entries {
        text.push_str(&format!("{name:<width$} {}\n", value_text(value)));
    }
    Ok(text)
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(value_text).collect::<Vec<_>>().join(" "),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| format!("{name} {}", value_text(value)));
            entries.collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{size, table, thousands};

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        for (number, expected) in [(0, "0"), (12, "12"), (999, "999"), (1000, "1,000"), (3_504_872, "3,504,872")] {
            assert_eq!(thousands(number), expected);
        }
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (102_540_417, "102.5 MB")] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn words_are_left_aligned_and_numbers_right_aligned() {
        let rows = [["layer", "ms"], ["a", "12"], ["conv1", "3"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows, 1), "layer  ms\na      12\nconv1   3\n");
    }
}
