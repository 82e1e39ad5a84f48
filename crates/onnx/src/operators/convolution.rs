//! Convolutions of any dimension.

use mmcv_fuse::graph::Arg;

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::Result;
use crate::exporter::{Exporter, Operator};

pub(super) const TABLE: &[(&str, Translation)] =
    &[("_convolution", convolution), ("convolution", convolution), ("_convolution_mode", with_mode)];

fn convolution(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let axes = exporter.rank(operator.value(1)?) - 2;
    let list = |index| -> Result<Vec<i64>> {
        let list = operator.ints(index)?;
        Ok(match list.as_slice() {
            [one] => vec![*one; usize::try_from(axes).unwrap_or_default()],
            _ => list,
        })
    };
    let (strides, padding, dilations) = (list(3)?, list(4)?, list(5)?);
    let output_padding = if operator.bool(6)? { Some(list(7)?) } else { None };
    let pads = [padding.as_slice(), &padding].concat();
    node(exporter, operator, Window { strides, pads, dilations, output_padding, groups: operator.int(8)? })
}

/// A convolution whose padding is `valid`, none, or `same`: the output is as large as the input.
fn with_mode(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let kernel = exporter.shape(operator.value(1)?).split_off(2);
    let list = |index| -> Result<Vec<i64>> {
        let list = operator.ints(index)?;
        Ok(if let [one] = list.as_slice() { vec![*one; kernel.len()] } else { list })
    };
    let (strides, dilations) = (list(3)?, list(5)?);
    let (mut before, mut after) = (vec![0; kernel.len()], vec![0; kernel.len()]);
    if matches!(operator.arg(4)?, Arg::Str(mode) if mode == "same") {
        for (axis, (size, dilation)) in kernel.iter().zip(&dilations).enumerate() {
            let all = dilation * (size - 1);
            if let (Some(before), Some(after)) = (before.get_mut(axis), after.get_mut(axis)) {
                (*before, *after) = (all / 2, all - all / 2);
            }
        }
    }
    let pads = [before, after].concat();
    node(exporter, operator, Window { strides, pads, dilations, output_padding: None, groups: operator.int(6)? })
}

/// How the kernel moves.
struct Window {
    strides: Vec<i64>,
    /// Before all axes, and then after all.
    pads: Vec<i64>,
    dilations: Vec<i64>,
    /// Only of a transposed convolution.
    output_padding: Option<Vec<i64>>,
    groups: i64,
}

fn node(exporter: &mut Exporter<'_>, operator: &Operator<'_>, window: Window) -> Result<Vec<Name>> {
    let axes = exporter.rank(operator.value(1)?) - 2;
    let mut inputs = vec![exporter.input(operator, 0)?, exporter.parameter(operator, 1, "weight")?];
    if operator.has(2) {
        inputs.push(exporter.parameter(operator, 2, "bias")?);
    }
    let kernel = exporter.shape(operator.value(1)?).split_off(2);
    let mut attributes = vec![
        ("kernel_shape", Attribute::Ints(kernel)),
        ("strides", Attribute::Ints(window.strides)),
        ("pads", Attribute::Ints(window.pads)),
        ("dilations", Attribute::Ints(window.dilations)),
        ("group", Attribute::Int(window.groups)),
    ];
    let name = if window.output_padding.is_some() { "ConvTranspose" } else { "Conv" };
    if let Some(output_padding) = window.output_padding {
        attributes.push(("output_padding", Attribute::Ints(output_padding)));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    // An input without a batch axis gets one for the operator.
    if exporter.rank(operator.value(0)?) == axes + 1 {
        let first = exporter.unsqueezed(inputs.first().copied().unwrap_or_default(), &[0])?;
        let inputs: Vec<&str> = [first.as_str()].into_iter().chain(inputs.into_iter().skip(1)).collect();
        let output = exporter.builder.node(name, &inputs, &attributes);
        return Ok(vec![exporter.squeezed(&output, &[0])?]);
    }
    Ok(vec![exporter.builder.node(name, &inputs, &attributes)])
}
