//! Normalizations.

use tch::{Device, Kind, Tensor};

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("batch_norm", batch_norm),
    ("instance_norm", instance_norm),
    ("group_norm", group_norm),
    ("layer_norm", layer_norm),
];

impl Exporter<'_> {
    /// Argument `index`, or a tensor of this number for each channel.
    fn per_channel(&mut self, operator: &Operator<'_>, index: usize, number: f64) -> Result<Name> {
        if operator.has(index) {
            return self.input(operator, index);
        }
        let (value, kind) = (operator.value(0)?, self.kind(operator.value(0)?));
        let channels = self.fixed_size(value, 1)?;
        self.builder.constant(&Tensor::f_full([channels], number, (kind, Device::Cpu))?)
    }

    /// A batch norm with running statistics; all norms have them at the same place.
    fn with_running_statistics(&mut self, operator: &Operator<'_>, input: &str) -> Result<Name> {
        let (weight, bias) = (self.per_channel(operator, 1, 1.0)?, self.per_channel(operator, 2, 0.0)?);
        let (mean, variance) = (self.per_channel(operator, 3, 0.0)?, self.per_channel(operator, 4, 1.0)?);
        let attributes = [("epsilon", Attribute::Float(operator.number(7)?))];
        Ok(self.builder.node("BatchNormalization", &[input, &weight, &bias, &mean, &variance], &attributes))
    }

    /// The input with mean 0 and variance 1 over these axes.
    fn standardized(&mut self, input: &str, axes: &[i64], (epsilon, kind): (f64, Kind)) -> Result<Name> {
        // Squares and epsilon may not be numbers of 16 bits.
        let computed = if matches!(kind, Kind::Half | Kind::BFloat16) { Kind::Float } else { kind };
        let input = self.cast(input, kind, computed)?;
        let (centered, variance) = self.variance(&input, axes, true)?;
        let epsilon = self.builder.scalar(epsilon, computed)?;
        let variance = self.builder.node("Add", &[&variance, &epsilon], &[]);
        let deviation = self.builder.node("Sqrt", &[&variance], &[]);
        let standardized = self.builder.node("Div", &[&centered, &deviation], &[]);
        self.cast(&standardized, computed, kind)
    }

    /// Multiplies by argument `first` and adds the one after it, with an element for each channel, where they are given.
    fn affine(&mut self, operator: &Operator<'_>, mut name: Name, first: usize) -> Result<Name> {
        let axes = self.rank(operator.value(0)?) - 2;
        for (index, function) in [(first, "Mul"), (first + 1, "Add")] {
            if !operator.has(index) {
                continue;
            }
            let parameter = self.input(operator, index)?;
            let target = [vec![-1], vec![1; usize::try_from(axes).unwrap_or_default()]].concat();
            let target = self.builder.ints(&target)?;
            let parameter = self.builder.node("Reshape", &[&parameter, &target], &[]);
            name = self.builder.node(function, &[&name, &parameter], &[]);
        }
        Ok(name)
    }
}

fn batch_norm(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    if !operator.bool(5)? {
        return Ok(vec![exporter.with_running_statistics(operator, &input)?]);
    }
    let value = operator.value(0)?;
    let axes: Vec<i64> = (0..exporter.rank(value)).filter(|axis| *axis != 1).collect();
    let precision = (operator.number(7)?, exporter.kind(value));
    let normalized = exporter.standardized(&input, &axes, precision)?;
    Ok(vec![exporter.affine(operator, normalized, 1)?])
}

fn instance_norm(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.input(operator, 0)?;
    if !operator.bool(5)? {
        return Ok(vec![exporter.with_running_statistics(operator, &input)?]);
    }
    let (weight, bias) = (exporter.per_channel(operator, 1, 1.0)?, exporter.per_channel(operator, 2, 0.0)?);
    let attributes = [("epsilon", Attribute::Float(operator.number(7)?))];
    Ok(vec![exporter.builder.node("InstanceNormalization", &[&input, &weight, &bias], &attributes)])
}

/// An instance norm of the groups; before opset 21, ONNX has no group norm with parameters for each channel.
fn group_norm(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (value, groups) = (operator.value(0)?, operator.int(1)?);
    let (input, kind) = (exporter.input(operator, 0)?, exporter.kind(value));
    let mut sizes = Vec::new();
    for shape in exporter.sizes(value) {
        let elements: i64 = shape.iter().skip(1).product();
        sizes.push(vec![shape.first().copied().unwrap_or(1), groups, elements / groups.max(1)]);
    }
    let grouped = exporter.reshape(&input, value, &sizes)?;
    let mut parameters = Vec::new();
    for number in [1.0, 0.0] {
        parameters.push(exporter.builder.constant(&Tensor::f_full([groups], number, (kind, Device::Cpu))?)?);
    }
    let inputs: Vec<&str> = [&grouped].into_iter().chain(&parameters).map(String::as_str).collect();
    let attributes = [("epsilon", Attribute::Float(operator.number(4)?))];
    let normalized = exporter.builder.node("InstanceNormalization", &inputs, &attributes);
    let shape = exporter.builder.node("Shape", &[&input], &[]);
    let normalized = exporter.builder.node("Reshape", &[&normalized, &shape], &[]);
    Ok(vec![exporter.affine(operator, normalized, 2)?])
}

fn layer_norm(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (value, shape) = (operator.value(0)?, operator.ints(1)?);
    let (input, kind, epsilon) = (exporter.input(operator, 0)?, exporter.kind(value), operator.number(4)?);
    let axes = -i64::try_from(shape.len()).unwrap_or_default();
    let scale = if operator.has(2) {
        exporter.input(operator, 2)?
    } else {
        exporter.builder.constant(&Tensor::f_ones(&shape, (kind, Device::Cpu))?)?
    };
    if exporter.opset >= 17 {
        let mut inputs = vec![input, scale];
        if operator.has(3) {
            inputs.push(exporter.input(operator, 3)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = [("axis", Attribute::Int(axes)), ("epsilon", Attribute::Float(epsilon))];
        return Ok(vec![exporter.builder.node("LayerNormalization", &inputs, &attributes)]);
    }
    let axes: Vec<i64> = (axes..0).collect();
    let mut output = exporter.standardized(&input, &axes, (epsilon, kind))?;
    output = exporter.builder.node("Mul", &[&output, &scale], &[]);
    if operator.has(3) {
        let bias = exporter.input(operator, 3)?;
        output = exporter.builder.node("Add", &[&output, &bias], &[]);
    }
    Ok(vec![output])
}
