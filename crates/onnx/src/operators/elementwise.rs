//! Operators on each element alone.

use mmcv_fuse::graph::Arg;

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("relu", |exporter, operator| unary(exporter, operator, "Relu")),
    ("sigmoid", |exporter, operator| unary(exporter, operator, "Sigmoid")),
    ("tanh", |exporter, operator| unary(exporter, operator, "Tanh")),
    ("exp", |exporter, operator| unary(exporter, operator, "Exp")),
    ("log", |exporter, operator| unary(exporter, operator, "Log")),
    ("sqrt", |exporter, operator| unary(exporter, operator, "Sqrt")),
    ("reciprocal", |exporter, operator| unary(exporter, operator, "Reciprocal")),
    ("neg", |exporter, operator| unary(exporter, operator, "Neg")),
    ("abs", |exporter, operator| unary(exporter, operator, "Abs")),
    ("erf", |exporter, operator| unary(exporter, operator, "Erf")),
    ("sin", |exporter, operator| unary(exporter, operator, "Sin")),
    ("cos", |exporter, operator| unary(exporter, operator, "Cos")),
    ("floor", |exporter, operator| unary(exporter, operator, "Floor")),
    ("ceil", |exporter, operator| unary(exporter, operator, "Ceil")),
    ("expm1", expm1),
    ("softplus", softplus),
    ("rsqrt", rsqrt),
    ("leaky_relu", leaky_relu),
    ("elu", elu),
    ("relu6", relu6),
    ("hardtanh", hardtanh),
    ("hardsigmoid", hardsigmoid),
    ("hardswish", hardswish),
    ("silu", silu),
    ("mish", mish),
    ("gelu", gelu),
    ("prelu", prelu),
    ("clamp", clamp),
    ("clamp_min", clamp_min),
    ("clamp_max", clamp_max),
    ("softmax", softmax),
    ("contiguous", same),
    ("clone", same),
    ("detach", same),
    ("alias", same),
    ("dropout", same),
    ("feature_dropout", same),
    ("to", cast),
];

fn unary(exporter: &mut Exporter<'_>, operator: &Operator<'_>, name: &str) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    Ok(vec![exporter.builder.node(name, &[&input], &[])])
}

/// The input itself. Dropout does nothing in evaluation mode, in which modules are exported.
fn same(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    Ok(vec![exporter.input(operator, 0)?])
}

fn cast(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let kind = exporter.kind(operator.output()?);
    Ok(vec![exporter.converted(operator.value(0)?, kind)?])
}

fn rsqrt(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let root = exporter.builder.node("Sqrt", &[&input], &[]);
    Ok(vec![exporter.builder.node("Reciprocal", &[&root], &[])])
}

fn expm1(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (input, kind) = (exporter.input(operator, 0)?, exporter.kind(operator.value(0)?));
    let power = exporter.builder.node("Exp", &[&input], &[]);
    let one = exporter.builder.scalar(1.0, kind)?;
    Ok(vec![exporter.builder.node("Sub", &[&power, &one], &[])])
}

fn softplus(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (beta, threshold) = (operator.number(1)?, operator.number(2)?);
    let (input, kind) = (exporter.input(operator, 0)?, exporter.kind(operator.value(0)?));
    let factor = exporter.builder.scalar(beta, kind)?;
    let scaled = exporter.builder.node("Mul", &[&input, &factor], &[]);
    let soft = exporter.builder.node("Softplus", &[&scaled], &[]);
    let soft = exporter.builder.node("Div", &[&soft, &factor], &[]);
    let threshold = exporter.builder.scalar(threshold, kind)?;
    let is_linear = exporter.builder.node("Greater", &[&scaled, &threshold], &[]);
    Ok(vec![exporter.builder.node("Where", &[&is_linear, &input, &soft], &[])])
}

fn leaky_relu(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let slope = if operator.has(1) { operator.number(1)? } else { 0.01 };
    Ok(vec![exporter.builder.node("LeakyRelu", &[&input], &[("alpha", Attribute::Float(slope))])])
}

fn elu(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let number = |index| if operator.has(index) { operator.number(index) } else { Ok(1.0) };
    if number(2)? != 1.0 || number(3)? != 1.0 {
        return Err(operator.unsupported("with another scale than 1"));
    }
    Ok(vec![exporter.builder.node("Elu", &[&input], &[("alpha", Attribute::Float(number(1)?))])])
}

fn relu6(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    clip(exporter, operator, (Some(0.0), Some(6.0)))
}

fn hardtanh(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let bound = |index, default| if operator.has(index) { operator.number(index) } else { Ok(default) };
    clip(exporter, operator, (Some(bound(1, -1.0)?), Some(bound(2, 1.0)?)))
}

fn clip(
    exporter: &mut Exporter<'_>,
    operator: &Operator<'_>,
    (lowest, highest): (Option<f64>, Option<f64>),
) -> Result<Vec<Name>> {
    let (input, kind) = (exporter.input(operator, 0)?, exporter.kind(operator.value(0)?));
    let mut inputs = vec![input];
    for bound in [lowest, highest] {
        inputs.push(match bound {
            Some(bound) => exporter.builder.scalar(bound, kind)?,
            None => String::new(),
        });
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Ok(vec![exporter.builder.node("Clip", &inputs, &[])])
}

fn clamp(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let kind = exporter.kind(operator.output()?);
    let mut name = exporter.converted(operator.value(0)?, kind)?;
    let mut bounds = (None, None);
    for (index, bound, function) in [(1, &mut bounds.0, "Max"), (2, &mut bounds.1, "Min")] {
        match operator.arg(index)? {
            Arg::None => {}
            Arg::Value(value) => {
                let other = exporter.converted(*value, kind)?;
                name = exporter.builder.node(function, &[&name, &other], &[]);
            }
            _ => *bound = Some(operator.number(index)?),
        }
    }
    match bounds {
        (None, None) => Ok(vec![name]),
        bounds => clip(exporter, operator, bounds),
    }
}

fn clamp_min(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    bounded(exporter, operator, "Max")
}

fn clamp_max(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    bounded(exporter, operator, "Min")
}

fn bounded(exporter: &mut Exporter<'_>, operator: &Operator<'_>, function: &str) -> Result<Vec<Name>> {
    let (input, bound) = (exporter.input(operator, 0)?, exporter.operand(operator, 1)?);
    Ok(vec![exporter.builder.node(function, &[&input, &bound], &[])])
}

/// min(max(x / 6 + 1 / 2, 0), 1)
fn hardsigmoid(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let attributes = [("alpha", Attribute::Float(1.0 / 6.0)), ("beta", Attribute::Float(0.5))];
    Ok(vec![exporter.builder.node("HardSigmoid", &[&input], &attributes)])
}

fn hardswish(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let gates = hardsigmoid(exporter, operator)?;
    Ok(gates.iter().map(|gate| exporter.builder.node("Mul", &[&input, gate], &[])).collect())
}

fn silu(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let gate = exporter.builder.node("Sigmoid", &[&input], &[]);
    Ok(vec![exporter.builder.node("Mul", &[&input, &gate], &[])])
}

fn mish(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    let soft = exporter.builder.node("Softplus", &[&input], &[]);
    let gate = exporter.builder.node("Tanh", &[&soft], &[]);
    Ok(vec![exporter.builder.node("Mul", &[&input, &gate], &[])])
}

/// x / 2 * (1 + erf(x / sqrt(2))), or its approximation by tanh.
fn gelu(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (input, kind) = (exporter.input(operator, 0)?, exporter.kind(operator.value(0)?));
    let is_tanh = matches!(operator.arg(1)?, Arg::Str(name) if name == "tanh");
    let builder = &mut exporter.builder;
    let one = builder.scalar(1.0, kind)?;
    let half = builder.scalar(0.5, kind)?;
    let inner = if is_tanh {
        let (cubic, factor) =
            (builder.scalar(0.044_715, kind)?, builder.scalar(std::f64::consts::FRAC_2_PI.sqrt(), kind)?);
        let square = builder.node("Mul", &[&input, &input], &[]);
        let cube = builder.node("Mul", &[&square, &input], &[]);
        let cube = builder.node("Mul", &[&cube, &cubic], &[]);
        let sum = builder.node("Add", &[&input, &cube], &[]);
        let scaled = builder.node("Mul", &[&sum, &factor], &[]);
        builder.node("Tanh", &[&scaled], &[])
    } else {
        let root = builder.scalar(std::f64::consts::SQRT_2, kind)?;
        let scaled = builder.node("Div", &[&input, &root], &[]);
        builder.node("Erf", &[&scaled], &[])
    };
    let sum = builder.node("Add", &[&inner, &one], &[]);
    let product = builder.node("Mul", &[&input, &sum], &[]);
    Ok(vec![builder.node("Mul", &[&product, &half], &[])])
}

/// ONNX aligns the slopes with the last axes, libtorch with the channels.
fn prelu(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (input, mut slope) = (exporter.input(operator, 0)?, exporter.input(operator, 1)?);
    let axes = exporter.rank(operator.value(0)?) - 2;
    if axes > 0 {
        let target = exporter.builder.ints(&[&[-1], vec![1; axes as usize].as_slice()].concat())?;
        slope = exporter.builder.node("Reshape", &[&slope, &target], &[]);
    }
    Ok(vec![exporter.builder.node("PRelu", &[&input, &slope], &[])])
}

fn softmax(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (input, axis) = (exporter.input(operator, 0)?, operator.int(1)?);
    Ok(vec![exporter.builder.node("Softmax", &[&input], &[("axis", Attribute::Int(axis))])])
}
