//! Other shapes of the same elements, and parts of them.

use mmcv_fuse::graph::ValueId;

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::dims::Dim;
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("view", reshape),
    ("reshape", reshape),
    ("_unsafe_view", reshape),
    ("flatten", reshape),
    ("unflatten", reshape),
    ("permute", permute),
    ("transpose", transpose),
    ("t", transpose),
    ("numpy_T", transpose),
    ("squeeze", squeeze),
    ("unsqueeze", unsqueeze),
    ("expand", expand),
    ("expand_copy", expand),
    ("expand_as", expand),
    ("copy", copy),
    ("repeat", repeat),
    ("select", select),
    ("slice", slice),
    ("narrow", narrow),
    ("flip", flip),
    ("pixel_shuffle", pixel_shuffle),
    ("im2col", im2col),
];

impl Exporter<'_> {
    /// New axes of size 1.
    pub(crate) fn unsqueezed(&mut self, name: &str, axes: &[i64]) -> Result<Name> {
        let axes = self.builder.ints(axes)?;
        Ok(self.builder.node("Unsqueeze", &[name, &axes], &[]))
    }

    /// Without axes of size 1.
    pub(crate) fn squeezed(&mut self, name: &str, axes: &[i64]) -> Result<Name> {
        let axes = self.builder.ints(axes)?;
        Ok(self.builder.node("Squeeze", &[name, &axes], &[]))
    }

    /// The elements `start..end` of an axis, each `step`-th.
    pub(crate) fn sliced(&mut self, name: &str, axis: i64, (start, end, step): (Dim, Dim, i64)) -> Result<Name> {
        let (start, end) = (self.list(&[start])?, self.list(&[end])?);
        let (axis, step) = (self.builder.ints(&[axis])?, self.builder.ints(&[step])?);
        Ok(self.builder.node("Slice", &[name, &start, &end, &axis, &step], &[]))
    }

    fn transposed(&mut self, name: &str, order: Vec<i64>) -> Name {
        self.builder.node("Transpose", &[name], &[("perm", Attribute::Ints(order))])
    }
}

fn reshape(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (value, output) = (operator.value(0)?, operator.output()?);
    let name = exporter.name(value)?;
    Ok(vec![exporter.reshape(&name, value, &exporter.sizes(output))?])
}

fn permute(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (value, input) = (operator.value(0)?, exporter.input(operator, 0)?);
    let order = operator.ints(1)?.into_iter().map(|axis| exporter.position(value, axis) as i64).collect();
    Ok(vec![exporter.transposed(&input, order)])
}

/// Two axes change places; the only two by default.
fn transpose(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (value, input) = (operator.value(0)?, exporter.input(operator, 0)?);
    let mut order: Vec<i64> = (0..exporter.rank(value)).collect();
    if operator.has(1) {
        let [first, second] = [operator.int(1)?, operator.int(2)?].map(|axis| exporter.position(value, axis));
        if first.max(second) < order.len() {
            order.swap(first, second);
        }
    } else {
        order.reverse();
    }
    Ok(vec![exporter.transposed(&input, order)])
}

fn squeeze(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (value, output) = (operator.value(0)?, operator.output()?);
    // An axis of another size stays.
    if exporter.rank(value) == exporter.rank(output) {
        return Ok(vec![exporter.input(operator, 0)?]);
    }
    reshape(exporter, operator)
}

fn unsqueeze(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    Ok(vec![exporter.unsqueezed(&input, &[operator.int(1)?])?])
}

fn expand(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let value = operator.value(0)?;
    let input = exporter.name(value)?;
    expanded(exporter, operator, value, &input)
}

/// The second argument in the shape and type of the first one.
fn copy(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (value, kind) = (operator.value(1)?, exporter.kind(operator.output()?));
    let source = exporter.converted(value, kind)?;
    expanded(exporter, operator, value, &source)
}

/// `input`, which has the shape of `value`, in the shape of the result.
fn expanded(exporter: &mut Exporter<'_>, operator: &Operator<'_>, value: ValueId, input: &str) -> Result<Vec<Name>> {
    let output = operator.output()?;
    let (sizes, from) = (exporter.sizes(output), exporter.sizes(value));
    if sizes == from {
        return Ok(vec![input.to_owned()]);
    }
    let offset = exporter.shape(output).len().saturating_sub(exporter.shape(value).len());
    let mut dims = exporter.explain(&sizes, &[value])?;
    // Axes that stay as they are need no size.
    for (position, dim) in dims.iter_mut().enumerate().skip(offset) {
        let same = sizes.iter().zip(&from).all(|(new, old)| new.get(position) == old.get(position - offset));
        if same && !matches!(dim, Dim::Fixed(_)) {
            *dim = Dim::Fixed(1);
        }
    }
    let target = exporter.list(&dims)?;
    Ok(vec![exporter.builder.node("Expand", &[input, &target], &[])])
}

fn repeat(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let value = operator.value(0)?;
    let mut input = exporter.name(value)?;
    let times = exporter.dims(operator, 1, &[value])?;
    let more = times.len().saturating_sub(exporter.shape(value).len());
    if more > 0 {
        let axes: Vec<i64> = (0..more as i64).collect();
        input = exporter.unsqueezed(&input, &axes)?;
    }
    let times = exporter.list(&times)?;
    Ok(vec![exporter.builder.node("Tile", &[&input, &times], &[])])
}

fn select(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (input, axis, index) = (exporter.input(operator, 0)?, operator.int(1)?, operator.int(2)?);
    let index = exporter.builder.scalar(index as f64, tch::Kind::Int64)?;
    Ok(vec![exporter.builder.node("Gather", &[&input, &index], &[("axis", Attribute::Int(axis))])])
}

fn slice(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let value = operator.value(0)?;
    let input = exporter.name(value)?;
    let axis = operator.int(1)?;
    let step = if operator.has(4) { operator.int(4)? } else { 1 };
    let mut ends = [Dim::Fixed(0), Dim::Fixed(i64::MAX)];
    for (index, end) in (2..).zip(&mut ends) {
        if operator.has(index) {
            let given = exporter.dims(operator, index, &[value])?;
            *end = given.into_iter().next().unwrap_or(Dim::Fixed(0));
        }
    }
    let [start, end] = ends;
    Ok(vec![exporter.sliced(&input, axis, (start, end, step))?])
}

fn narrow(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (input, axis, start) = (exporter.input(operator, 0)?, operator.int(1)?, operator.int(2)?);
    let position = exporter.position(operator.value(0)?, axis);
    let length = exporter.fixed_size(operator.output()?, position)?;
    let end = if start < 0 && start + length == 0 { i64::MAX } else { start + length };
    Ok(vec![exporter.sliced(&input, axis, (Dim::Fixed(start), Dim::Fixed(end), 1))?])
}

fn flip(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let mut name = exporter.input(operator, 0)?;
    for axis in operator.ints(1)? {
        name = exporter.sliced(&name, axis, (Dim::Fixed(-1), Dim::Fixed(i64::MIN + 1), -1))?;
    }
    Ok(vec![name])
}

fn pixel_shuffle(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let attributes = [("blocksize", Attribute::Int(operator.int(1)?)), ("mode", Attribute::Str("CRD".into()))];
    Ok(vec![exporter.builder.node("DepthToSpace", &[&input], &attributes)])
}

/// Windows as columns: a convolution with a kernel of ones and zeros for each place of the window.
fn im2col(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (value, output) = (operator.value(0)?, operator.output()?);
    let (input, kind) = (exporter.name(value)?, exporter.kind(value));
    let (kernel, dilations, padding, strides) =
        (operator.ints(1)?, operator.ints(2)?, operator.ints(3)?, operator.ints(4)?);
    let channels = exporter.fixed_size(value, 1)?;
    let places: i64 = kernel.iter().product();
    let eye = tch::Tensor::f_eye(places, (kind, tch::Device::Cpu))?;
    let shape = [&[places, 1], kernel.as_slice()].concat();
    let weight = eye.f_reshape(shape)?.f_repeat([channels, 1, 1, 1])?;
    let weight = exporter.builder.constant(&weight)?;
    let attributes = [
        ("kernel_shape", Attribute::Ints(kernel)),
        ("strides", Attribute::Ints(strides)),
        ("pads", Attribute::Ints([padding.as_slice(), &padding].concat())),
        ("dilations", Attribute::Ints(dilations)),
        ("group", Attribute::Int(channels)),
    ];
    let windows = exporter.builder.node("Conv", &[&input, &weight], &attributes);
    Ok(vec![exporter.reshape(&windows, value, &exporter.sizes(output))?])
}
