//! Pooling.

use tch::{Device, Kind, Tensor};

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

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

/// The number of axes that the window has, and its kernel, strides and padding; strides default to the kernel.
fn window(operator: &Operator<'_>) -> Result<(usize, Vec<(&'static str, Attribute)>)> {
    let digit = operator.node.name().chars().find_map(|letter| letter.to_digit(10));
    let axes = digit.unwrap_or(2) as usize;
    let kernel = operator.per_axis(1, axes)?;
    let strides = match operator.per_axis(2, axes)? {
        strides if strides.is_empty() => kernel.clone(),
        strides => strides,
    };
    let padding = match operator.per_axis(3, axes)? {
        padding if padding.is_empty() => vec![0; axes],
        padding => padding,
    };
    let attributes = vec![
        ("kernel_shape", Attribute::Ints(kernel)),
        ("strides", Attribute::Ints(strides)),
        ("pads", Attribute::Ints([padding.as_slice(), &padding].concat())),
    ];
    Ok((axes, attributes))
}

/// The maxima and, if they are read, their positions in the image.
fn max_pool(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (axes, mut attributes) = window(operator)?;
    let dilations = match operator.per_axis(4, axes)? {
        dilations if dilations.is_empty() => vec![1; axes],
        dilations => dilations,
    };
    attributes.push(("dilations", Attribute::Ints(dilations)));
    attributes.push(("ceil_mode", Attribute::Int(i64::from(operator.has(5) && operator.bool(5)?))));
    let has_positions = match operator.node.outputs.as_slice() {
        [_, positions] => exporter.is_read(*positions),
        _ => false,
    };
    if !has_positions {
        return exporter.batched(operator, ("MaxPool", 1), (axes, &[]), &attributes);
    }
    let mut outputs = exporter.batched(operator, ("MaxPool", 2), (axes, &[]), &attributes)?;
    // ONNX counts through the whole tensor.
    let value = operator.value(0)?;
    let rank = exporter.shape(value).len();
    let mut pixels = 1;
    for axis in rank.saturating_sub(axes)..rank {
        pixels *= exporter.fixed_size(value, axis)?;
    }
    if let Some(positions) = outputs.last_mut() {
        let pixels = exporter.builder.scalar(pixels as f64, Kind::Int64)?;
        *positions = exporter.builder.node("Mod", &[positions, &pixels], &[]);
    }
    Ok(outputs)
}

fn average_pool(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    if operator.has(6) {
        return Err(operator.unsupported("with another divisor"));
    }
    let (axes, mut attributes) = window(operator)?;
    let includes = if operator.has(5) { operator.bool(5)? } else { true };
    attributes.push(("ceil_mode", Attribute::Int(i64::from(operator.has(4) && operator.bool(4)?))));
    attributes.push(("count_include_pad", Attribute::Int(includes.into())));
    exporter.batched(operator, ("AveragePool", 1), (axes, &[]), &attributes)
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
        let is_kept = sizes.iter().zip(&from).all(|(new, old)| new.get(axis) == old.get(axis));
        if is_kept {
            continue;
        }
        let (old, new) = (exporter.fixed_size(value, axis)?, exporter.fixed_size(operator.output()?, axis)?);
        let matrix = averages(old, new, exporter.kind(value))?;
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
