//! Products of matrices.

use super::Translation;
use crate::builder::{Attribute, Name};
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("linear", linear),
    ("matmul", product),
    ("bmm", product),
    ("mm", product),
    ("mv", product),
    ("dot", product),
    ("baddbmm", baddbmm),
    ("addmm", baddbmm),
];

fn product(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (left, right) = (exporter.input(operator, 0)?, exporter.input(operator, 1)?);
    Ok(vec![exporter.builder.node("MatMul", &[&left, &right], &[])])
}

fn linear(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let (input, weight) = (exporter.input(operator, 0)?, exporter.parameter(operator, 1, "weight")?);
    let has_bias = operator.has(2);
    if exporter.rank(operator.value(0)?) == 2 {
        let mut inputs = vec![input, weight];
        if has_bias {
            inputs.push(exporter.parameter(operator, 2, "bias")?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        return Ok(vec![exporter.builder.node("Gemm", &inputs, &[("transB", Attribute::Int(1))])]);
    }
    let transposed = exporter.builder.node("Transpose", &[&weight], &[("perm", Attribute::Ints(vec![1, 0]))]);
    let mut output = exporter.builder.node("MatMul", &[&input, &transposed], &[]);
    if has_bias {
        let bias = exporter.parameter(operator, 2, "bias")?;
        output = exporter.builder.node("Add", &[&output, &bias], &[]);
    }
    Ok(vec![output])
}

/// beta * first + alpha * second @ third
fn baddbmm(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let kind = exporter.kind(operator.value(0)?);
    let (first, second, third) =
        (exporter.input(operator, 0)?, exporter.input(operator, 1)?, exporter.input(operator, 2)?);
    let product = exporter.builder.node("MatMul", &[&second, &third], &[]);
    let mut terms = Vec::new();
    for (index, term) in [(3, first), (4, product)] {
        let factor = if operator.has(index) { operator.number(index)? } else { 1.0 };
        if factor == 0.0 {
            continue;
        }
        terms.push(if factor == 1.0 {
            term
        } else {
            let factor = exporter.builder.scalar(factor, kind)?;
            exporter.builder.node("Mul", &[&term, &factor], &[])
        });
    }
    match terms.as_slice() {
        [left, right] => Ok(vec![exporter.builder.node("Add", &[left, right], &[])]),
        [term] => Ok(vec![term.clone()]),
        _ => Err(operator.unsupported("with both factors 0")),
    }
}
