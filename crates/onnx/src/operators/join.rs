//! Tensors that are joined or taken apart.

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("cat", cat),
    ("stack", stack),
    ("chunk", split),
    ("split", split),
    ("split_with_sizes", split),
    ("unbind", unbind),
];

fn cat(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let mut names = Vec::new();
    for value in operator.values(0)? {
        names.push(exporter.name(value)?);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(vec![exporter.builder.node("Concat", &names, &[("axis", Attribute::Int(operator.int(1)?))])])
}

fn stack(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let axis = operator.int(1)?;
    let mut names = Vec::new();
    for value in operator.values(0)? {
        let name = exporter.name(value)?;
        names.push(exporter.unsqueezed(&name, &[axis])?);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(vec![exporter.builder.node("Concat", &names, &[("axis", Attribute::Int(axis))])])
}

/// The sizes of the parts are those that the results have.
fn split(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let axis = if operator.has(2) { operator.int(2)? } else { 0 };
    let position = exporter.position(operator.value(0)?, axis);
    let mut sizes = Vec::new();
    for output in &operator.node.outputs {
        sizes.push(exporter.fixed_size(*output, position)?);
    }
    let sizes = exporter.builder.ints(&sizes)?;
    let count = operator.node.outputs.len();
    Ok(exporter.builder.nodes("Split", &[&input, &sizes], count, &[("axis", Attribute::Int(axis))]))
}

fn unbind(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let axis = if operator.has(1) { operator.int(1)? } else { 0 };
    let mut outputs = Vec::new();
    for index in 0..operator.node.outputs.len() {
        let index = exporter.builder.scalar(index as f64, tch::Kind::Int64)?;
        outputs.push(exporter.builder.node("Gather", &[&input, &index], &[("axis", Attribute::Int(axis))]));
    }
    Ok(outputs)
}
