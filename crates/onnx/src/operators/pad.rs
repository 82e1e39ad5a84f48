//! Padding.

use mmcv_fuse::graph::Arg;

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::dims::Dim;
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("constant_pad_nd", |exporter, operator| constant(exporter, operator, 2)),
    ("pad", pad),
    ("reflection_pad1d", |exporter, operator| padded(exporter, operator, "reflect")),
    ("reflection_pad2d", |exporter, operator| padded(exporter, operator, "reflect")),
    ("reflection_pad3d", |exporter, operator| padded(exporter, operator, "reflect")),
    ("replication_pad1d", |exporter, operator| padded(exporter, operator, "edge")),
    ("replication_pad2d", |exporter, operator| padded(exporter, operator, "edge")),
    ("replication_pad3d", |exporter, operator| padded(exporter, operator, "edge")),
];

fn pad(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let mode = match operator.arg(2)? {
        Arg::Str(mode) => mode.clone(),
        _ => "constant".to_owned(),
    };
    match mode.as_str() {
        "constant" => constant(exporter, operator, 3),
        "reflect" => padded(exporter, operator, "reflect"),
        "replicate" => padded(exporter, operator, "edge"),
        "circular" => circular(exporter, operator),
        _ => Err(operator.unsupported(format!("in mode {mode}"))),
    }
}

/// The elements before and after each axis, in ONNX's order. libtorch begins with the last axis.
fn pads(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Name> {
    let value = operator.value(0)?;
    let given = exporter.dims(operator, 1, &[value])?;
    let rank = exporter.shape(value).len();
    let mut pads = vec![Dim::Fixed(0); 2 * rank];
    for (index, pad) in given.into_iter().enumerate() {
        let axis = rank.checked_sub(1 + index / 2);
        let place = axis.map(|axis| axis + if index % 2 == 0 { 0 } else { rank });
        match place.and_then(|place| pads.get_mut(place)) {
            Some(place) => *place = pad,
            None => return Err(operator.unsupported("of more axes than there are")),
        }
    }
    exporter.list(&pads)
}

fn constant(exporter: &mut Exporter<'_>, operator: &Operator<'_>, index: usize) -> Result<Vec<Name>> {
    let (input, kind) = (exporter.input(operator, 0)?, exporter.kind(operator.value(0)?));
    let number = if operator.has(index) { operator.number(index)? } else { 0.0 };
    let (pads, value) = (pads(exporter, operator)?, exporter.builder.scalar(number, kind)?);
    Ok(vec![exporter.builder.node("Pad", &[&input, &pads, &value], &[])])
}

fn padded(exporter: &mut Exporter<'_>, operator: &Operator<'_>, mode: &'static str) -> Result<Vec<Name>> {
    let (input, pads) = (exporter.input(operator, 0)?, pads(exporter, operator)?);
    Ok(vec![exporter.builder.node("Pad", &[&input, &pads], &[("mode", Attribute::Str(mode.into()))])])
}

/// Each axis between its own last and first elements.
fn circular(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let mut name = exporter.input(operator, 0)?;
    let rank = exporter.rank(operator.value(0)?);
    for (index, pads) in operator.ints(1)?.chunks(2).enumerate() {
        let [before, after] = [0, 1].map(|side| pads.get(side).copied().unwrap_or_default());
        if before < 0 || after < 0 {
            return Err(operator.unsupported("that crops, in mode circular"));
        }
        let axis = rank - 1 - index as i64;
        let mut parts = Vec::new();
        if before > 0 {
            parts.push(exporter.sliced(&name, axis, (Dim::Fixed(-before), Dim::Fixed(i64::MAX), 1))?);
        }
        parts.push(name.clone());
        if after > 0 {
            parts.push(exporter.sliced(&name, axis, (Dim::Fixed(0), Dim::Fixed(after), 1))?);
        }
        if parts.len() > 1 {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            name = exporter.builder.node("Concat", &parts, &[("axis", Attribute::Int(axis))]);
        }
    }
    Ok(vec![name])
}
