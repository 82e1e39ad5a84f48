//! Interpolation.

use mmcv_fuse::graph::Arg;
use tch::Tensor;

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::dims::{Axis, Dim};
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("upsample_nearest1d", |exporter, operator| resize(exporter, operator, Mode::Nearest)),
    ("upsample_nearest2d", |exporter, operator| resize(exporter, operator, Mode::Nearest)),
    ("upsample_nearest3d", |exporter, operator| resize(exporter, operator, Mode::Nearest)),
    ("upsample_linear1d", |exporter, operator| resize(exporter, operator, Mode::Linear)),
    ("upsample_bilinear2d", |exporter, operator| resize(exporter, operator, Mode::Linear)),
    ("upsample_trilinear3d", |exporter, operator| resize(exporter, operator, Mode::Linear)),
    ("upsample_bicubic2d", |exporter, operator| resize(exporter, operator, Mode::Cubic)),
    ("_upsample_bilinear2d_aa", |exporter, operator| resize(exporter, operator, Mode::Antialiased)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
    Antialiased,
}

fn resize(exporter: &mut Exporter<'_>, operator: &Operator<'_>, mode: Mode) -> Result<Vec<Name>> {
    let (value, output) = (operator.value(0)?, operator.output()?);
    let input = exporter.name(value)?;
    // The nearest mode has no argument `align_corners`.
    let next = if mode == Mode::Nearest { 2 } else { 3 };
    let mut attributes = vec![(
        "mode",
        Attribute::Str(
            match mode {
                Mode::Nearest => "nearest",
                Mode::Linear | Mode::Antialiased => "linear",
                Mode::Cubic => "cubic",
            }
            .into(),
        ),
    )];
    let aligns = mode != Mode::Nearest && operator.bool(2)?;
    attributes.push((
        "coordinate_transformation_mode",
        Attribute::Str(
            match mode {
                Mode::Nearest => "asymmetric",
                _ if aligns => "align_corners",
                _ => "pytorch_half_pixel",
            }
            .into(),
        ),
    ));
    match mode {
        Mode::Nearest => attributes.push(("nearest_mode", Attribute::Str("floor".into()))),
        Mode::Cubic => attributes.push(("cubic_coeff_a", Attribute::Float(-0.75))),
        Mode::Antialiased if exporter.opset < 18 => {
            return Err(operator.unsupported("needs opset 18: older ones have no antialiasing"));
        }
        Mode::Antialiased => attributes.push(("antialias", Attribute::Int(1))),
        Mode::Linear => {}
    }
    let factors = factors(operator, next)?;
    let sizes = exporter.sizes(output);
    if !factors.is_empty() && !aligns {
        let scales: Vec<f32> = [1.0, 1.0].into_iter().chain(factors.iter().map(|factor| *factor as f32)).collect();
        let scales = exporter.builder.constant(&Tensor::f_from_slice(&scales)?)?;
        return Ok(vec![exporter.builder.node("Resize", &[&input, "", &scales], &attributes)]);
    }
    let mut dims = exporter.explain(&sizes, &[value])?;
    // The number of images and of channels stay as they are; ONNX wants them nevertheless.
    for (axis, dim) in dims.iter_mut().enumerate().take(2) {
        if !matches!(dim, Dim::Fixed(_)) {
            *dim = Dim::Scaled { axis: Axis { value, axis }, add: 0, times: 1, by: 1 };
        }
    }
    let sizes = exporter.list(&dims)?;
    Ok(vec![exporter.builder.node("Resize", &[&input, "", "", &sizes], &attributes)])
}

/// The factors of the sizes, if they are given: a list, or an argument for each axis.
fn factors(operator: &Operator<'_>, first: usize) -> Result<Vec<f64>> {
    let mut factors = Vec::new();
    for index in first..operator.node.args.len() {
        match operator.arg(index)? {
            Arg::Doubles(list) => factors.extend(list),
            Arg::Ints(list) => factors.extend(list.iter().map(|factor| *factor as f64)),
            Arg::Double(factor) => factors.push(*factor),
            Arg::Int(factor) => factors.push(*factor as f64),
            _ => {}
        }
    }
    Ok(factors)
}
