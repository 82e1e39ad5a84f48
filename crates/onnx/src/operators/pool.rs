//! Pooling.

use tch::{Device, Kind, Tensor};

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::{Error, Result};
use crate::exporter::{Exporter, Operator};

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("max_pool1d", max_pool),
    ("max_pool2d", max_pool),
    ("max_pool3d", max_pool),
    ("max_pool1d_with_indices", max_pool),
    ("max_pool2d_with_indices", max_pool),
    ("max_pool3d_with_indices", max_pool),
    ("avg_pool1d", average_pool),
    ("avg_pool2d", average_pool),
    ("avg_pool3d", average_pool),
    ("adaptive_avg_pool1d", adaptive),
    ("adaptive_avg_pool2d", adaptive),
    ("adaptive_avg_pool3d", adaptive),
];

/// The kernel, the strides and the padding; strides default to the kernel.
fn window(exporter: &Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<(&'static str, Attribute)>> {
    let name = operator.node.name();
    let axes = match name.chars().find(char::is_ascii_digit) {
        Some(digit) => digit.to_digit(10).unwrap_or(2) as usize,
        None => exporter.shape(operator.value(0)?).len().saturating_sub(2),
    };
    let list = |index| -> Result<Vec<i64>> {
        let list = if operator.has(index) { operator.ints(index)? } else { Vec::new() };
        Ok(match list.as_slice() {
            [one] => vec![*one; axes],
            _ => list,
        })
    };
    let kernel = list(1)?;
    let strides = match list(2)? {
        strides if strides.is_empty() => kernel.clone(),
        strides => strides,
    };
    let padding = match list(3)? {
        padding if padding.is_empty() => vec![0; axes],
        padding => padding,
    };
    Ok(vec![
        ("kernel_shape", Attribute::Ints(kernel)),
        ("strides", Attribute::Ints(strides)),
        ("pads", Attribute::Ints([padding.as_slice(), &padding].concat())),
    ])
}

fn kernel_axes(attributes: &[(&str, Attribute)]) -> usize {
    match attributes.first() {
        Some((_, Attribute::Ints(kernel))) => kernel.len(),
        _ => 0,
    }
}

fn max_pool(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let mut attributes = window(exporter, operator)?;
    let axes = kernel_axes(&attributes);
    let dilations = if operator.has(4) { operator.ints(4)? } else { vec![1] };
    let dilations = if let [one] = dilations.as_slice() { vec![*one; axes] } else { dilations };
    attributes.push(("dilations", Attribute::Ints(dilations)));
    attributes.push(("ceil_mode", Attribute::Int(i64::from(operator.has(5) && operator.bool(5)?))));
    match operator.node.outputs.as_slice() {
        [_, positions] if exporter.is_read(*positions) => with_positions(exporter, operator, axes, &attributes),
        _ => pooled(exporter, operator, "MaxPool", axes, &attributes),
    }
}

/// The maxima and their positions in the image. ONNX counts through the whole tensor.
fn with_positions(
    exporter: &mut Exporter<'_>,
    operator: &Operator<'_>,
    axes: usize,
    attributes: &[(&str, Attribute)],
) -> Result<Vec<Name>> {
    let (value, mut input) = (operator.value(0)?, exporter.input(operator, 0)?);
    let rank = exporter.shape(value).len();
    let has_batch = rank > axes + 1;
    let mut pixels = 1;
    for axis in rank.saturating_sub(axes)..rank {
        pixels *= exporter.fixed_size(value, axis)?;
    }
    if !has_batch {
        input = exporter.unsqueezed(&input, &[0])?;
    }
    let mut outputs = exporter.builder.nodes("MaxPool", &[&input], 2, attributes);
    if let Some(positions) = outputs.last_mut() {
        let pixels = exporter.builder.scalar(pixels as f64, Kind::Int64)?;
        *positions = exporter.builder.node("Mod", &[positions, &pixels], &[]);
    }
    if !has_batch {
        for output in &mut outputs {
            *output = exporter.squeezed(output, &[0])?;
        }
    }
    Ok(outputs)
}

/// The operator on an input that may have no batch axis, which ONNX wants.
fn pooled(
    exporter: &mut Exporter<'_>,
    operator: &Operator<'_>,
    name: &str,
    axes: usize,
    attributes: &[(&str, Attribute)],
) -> Result<Vec<Name>> {
    let (value, input) = (operator.value(0)?, exporter.input(operator, 0)?);
    if exporter.shape(value).len() > axes + 1 {
        return Ok(vec![exporter.builder.node(name, &[&input], attributes)]);
    }
    let input = exporter.unsqueezed(&input, &[0])?;
    let output = exporter.builder.node(name, &[&input], attributes);
    Ok(vec![exporter.squeezed(&output, &[0])?])
}

fn average_pool(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    if operator.has(6) {
        return Err(operator.unsupported("with another divisor"));
    }
    let mut attributes = window(exporter, operator)?;
    let includes = if operator.has(5) { operator.bool(5)? } else { true };
    attributes.push(("ceil_mode", Attribute::Int(i64::from(operator.has(4) && operator.bool(4)?))));
    attributes.push(("count_include_pad", Attribute::Int(includes.into())));
    let axes = kernel_axes(&attributes);
    pooled(exporter, operator, "AveragePool", axes, &attributes)
}

fn adaptive(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let value = operator.value(0)?;
    let mut name = exporter.name(value)?;
    let sizes = exporter.sizes(operator.output()?);
    let rank = exporter.shape(value).len();
    let axes = operator.node.ints(1).map_or(1, |sizes| sizes.len());
    let first = rank.saturating_sub(axes);
    let is_one = |axis: &usize| sizes.iter().all(|shape| shape.get(*axis) == Some(&1));
    if (first..rank).all(|axis| is_one(&axis)) {
        let axes: Vec<i64> = (1..=axes as i64).map(|axis| -axis).rev().collect();
        return Ok(vec![exporter.reduce("ReduceMean", &name, &axes, true)?]);
    }
    let from = exporter.sizes(value);
    for axis in first..rank {
        let size = |shapes: &[Vec<i64>]| -> Vec<i64> {
            shapes.iter().map(|shape| shape.get(axis).copied().unwrap_or_default()).collect()
        };
        if size(&from) == size(&sizes) {
            continue;
        }
        let what = format!("it pools axis {axis} to a fixed size, of an input with any size");
        let fixed = |shapes: &[Vec<i64>]| -> Result<i64> {
            match size(shapes).split_first() {
                Some((first, others)) if others.iter().all(|other| other == first) => Ok(*first),
                _ => Err(Error::dynamic(&operator.node.module, what.clone())),
            }
        };
        let matrix = averages(fixed(&from)?, fixed(&sizes)?, exporter.kind(value))?;
        // The axis becomes the last one for the product.
        let last = rank - 1;
        let mut order: Vec<i64> = (0..rank as i64).collect();
        order.swap(axis, last);
        let matrix = exporter.builder.constant(&matrix)?;
        let perm = [("perm", Attribute::Ints(order))];
        let turned = if axis == last { name } else { exporter.builder.node("Transpose", &[&name], &perm) };
        let product = exporter.builder.node("MatMul", &[&turned, &matrix], &[]);
        name = if axis == last { product } else { exporter.builder.node("Transpose", &[&product], &perm) };
    }
    Ok(vec![name])
}

/// The matrix that averages `from` elements to `to`: a new element covers the old ones that it touches.
fn averages(from: i64, to: i64, kind: Kind) -> Result<Tensor> {
    let mut weights = Vec::new();
    for old in 0..from {
        for new in 0..to {
            let (start, end) = (new * from / to, ((new + 1) * from + to - 1) / to);
            weights.push(if (start..end).contains(&old) { 1.0 / (end - start) as f64 } else { 0.0 });
        }
    }
    Ok(Tensor::f_from_slice(&weights)?.f_reshape([from, to])?.f_to_device(Device::Cpu)?.f_to_kind(kind)?)
}
