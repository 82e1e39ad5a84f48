//! Convolutions of any dimension.

use mmcv_fuse::graph::Arg;

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] =
    &[("_convolution", convolution), ("convolution", convolution), ("_convolution_mode", with_mode)];

fn convolution(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let axes = kernel(exporter, operator)?.len();
    let [strides, padding, dilations, output_padding] = [3, 4, 5, 7].map(|index| operator.per_axis(index, axes));
    let output_padding = if operator.bool(6)? { Some(output_padding?) } else { None };
    let (strides, padding, dilations) = (strides?, padding?, dilations?);
    let pads = [padding.as_slice(), &padding].concat();
    node(exporter, operator, Window { strides, pads, dilations, output_padding, groups: operator.int(8)? })
}

/// A convolution whose padding is `valid`, none, or `same`: the output is as large as the input.
fn with_mode(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let kernel = kernel(exporter, operator)?;
    let (strides, dilations) = (operator.per_axis(3, kernel.len())?, operator.per_axis(5, kernel.len())?);
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
    let kernel = kernel(exporter, operator)?;
    let axes = kernel.len();
    let mut parameters = vec![exporter.parameter(operator, 1, "weight")?];
    if operator.has(2) {
        parameters.push(exporter.parameter(operator, 2, "bias")?);
    }
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
    exporter.batched(operator, (name, 1), (axes, &parameters), &attributes)
}

/// The size of the kernel along each axis.
fn kernel(exporter: &Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<i64>> {
    Ok(exporter.shape(operator.value(1)?).into_iter().skip(2).collect())
}
