//! Sums and the like over axes.

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("mean", |exporter, operator| reduced(exporter, operator, "ReduceMean")),
    ("sum", |exporter, operator| reduced(exporter, operator, "ReduceSum")),
    ("amax", |exporter, operator| reduced(exporter, operator, "ReduceMax")),
    ("amin", |exporter, operator| reduced(exporter, operator, "ReduceMin")),
    ("max", max),
    ("norm", norm),
    ("var", |exporter, operator| spread(exporter, operator, false)),
    ("std", |exporter, operator| spread(exporter, operator, true)),
];

impl Exporter<'_> {
    /// A reduction over these axes; over all if there are none.
    pub(crate) fn reduce(&mut self, function: &str, input: &str, axes: &[i64], keep: bool) -> Result<Name> {
        let keep = ("keepdims", Attribute::Int(keep.into()));
        if axes.is_empty() {
            return Ok(self.builder.node(function, &[input], &[keep]));
        }
        // ReduceSum has had its axes as an input since opset 13.
        if function == "ReduceSum" || self.opset >= 18 {
            let axes = self.builder.ints(axes)?;
            return Ok(self.builder.node(function, &[input, &axes], &[keep]));
        }
        Ok(self.builder.node(function, &[input], &[("axes", Attribute::Ints(axes.to_vec())), keep]))
    }

    /// The input without its mean over these axes, and the mean of the squares of that.
    pub(crate) fn variance(&mut self, input: &str, axes: &[i64], keep: bool) -> Result<(Name, Name)> {
        let (centered, square) = self.squares(input, axes)?;
        Ok((centered, self.reduce("ReduceMean", &square, axes, keep)?))
    }

    /// The input without its mean over these axes, and the squares of that.
    fn squares(&mut self, input: &str, axes: &[i64]) -> Result<(Name, Name)> {
        let mean = self.reduce("ReduceMean", input, axes, true)?;
        let centered = self.builder.node("Sub", &[input, &mean], &[]);
        let square = self.builder.node("Mul", &[&centered, &centered], &[]);
        Ok((centered, square))
    }
}

/// `function(input, dtype)` or `function(input, axes, keep, dtype)`.
fn reduced(exporter: &mut Exporter<'_>, operator: &Operator<'_>, function: &str) -> Result<Vec<Name>> {
    let is_whole = operator.node.overload.is_empty() && matches!(operator.node.name(), "mean" | "sum");
    let (axes, keep) = if is_whole {
        (Vec::new(), false)
    } else {
        (if operator.has(1) { operator.ints(1)? } else { Vec::new() }, operator.bool(2)?)
    };
    let kind = exporter.kind(operator.output()?);
    let input = exporter.converted(operator.value(0)?, kind)?;
    Ok(vec![exporter.reduce(function, &input, &axes, keep)?])
}

/// `max(input)`, `max(input, other)`, or `max(input, axis, keep)` with the positions.
fn max(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    match operator.node.overload.as_str() {
        "" => Ok(vec![exporter.reduce("ReduceMax", &input, &[], false)?]),
        "other" => {
            let other = exporter.input(operator, 1)?;
            Ok(vec![exporter.builder.node("Max", &[&input, &other], &[])])
        }
        "dim" => {
            let (axis, keep) = (operator.int(1)?, operator.bool(2)?);
            let values = exporter.reduce("ReduceMax", &input, &[axis], keep)?;
            let attributes = [("axis", Attribute::Int(axis)), ("keepdims", Attribute::Int(keep.into()))];
            Ok(vec![values, exporter.builder.node("ArgMax", &[&input], &attributes)])
        }
        other => Err(operator.unsupported(format!("in the form {other}"))),
    }
}

/// `norm(input, p)` or `norm(input, p, axes, keep)`.
fn norm(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let power = if operator.has(1) { operator.number(1)? } else { 2.0 };
    let function = match power {
        1.0 => "ReduceL1",
        2.0 => "ReduceL2",
        _ => return Err(operator.unsupported(format!("with p = {power}"))),
    };
    let input = exporter.input(operator, 0)?;
    let axes = if operator.has(2) { operator.ints(2)? } else { Vec::new() };
    let keep = if operator.has(3) { operator.bool(3)? } else { false };
    Ok(vec![exporter.reduce(function, &input, &axes, keep)?])
}

/// The variance or the standard deviation over axes.
fn spread(exporter: &mut Exporter<'_>, operator: &Operator<'_>, is_deviation: bool) -> Result<Vec<Name>> {
    let value = operator.value(0)?;
    let (input, kind) = (exporter.input(operator, 0)?, exporter.kind(value));
    // How many are subtracted from the number of elements.
    let (axes, correction, keep) = match operator.node.overload.as_str() {
        "" => (Vec::new(), f64::from(u8::from(operator.bool(1)?)), false),
        "dim" => (operator.ints(1)?, f64::from(u8::from(operator.bool(2)?)), operator.bool(3)?),
        "correction" => {
            let correction = if operator.has(2) { operator.number(2)? } else { 1.0 };
            (if operator.has(1) { operator.ints(1)? } else { Vec::new() }, correction, operator.bool(3)?)
        }
        other => return Err(operator.unsupported(format!("in the form {other}"))),
    };
    let mut output = if correction == 0.0 {
        exporter.variance(&input, &axes, keep)?.1
    } else {
        let (_, square) = exporter.squares(&input, &axes)?;
        let all: Vec<i64> = (0..exporter.rank(value)).collect();
        let mut count = 1.0;
        for axis in if axes.is_empty() { &all } else { &axes } {
            count *= exporter.fixed_size(value, exporter.position(value, *axis))? as f64;
        }
        let sum = exporter.reduce("ReduceSum", &square, &axes, keep)?;
        let count = exporter.builder.scalar(count - correction, kind)?;
        exporter.builder.node("Div", &[&sum, &count], &[])
    };
    if is_deviation {
        output = exporter.builder.node("Sqrt", &[&output], &[]);
    }
    Ok(vec![output])
}
