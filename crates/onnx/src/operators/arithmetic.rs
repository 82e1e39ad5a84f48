//! Sums, products and comparisons of two tensors, or of a tensor and a number.

use mmcv_fuse::graph::Arg;
use tch::Kind;

use super::Translation;
use crate::builder::Name;
use crate::error::Result;
use crate::exporter::Exporter;
use crate::operator::Operator;

pub(super) const TABLE: &[(&str, Translation)] = &[
    ("add", |exporter, operator| with_factor(exporter, operator, "Add")),
    ("sub", |exporter, operator| with_factor(exporter, operator, "Sub")),
    ("rsub", rsub),
    ("mul", |exporter, operator| binary(exporter, operator, "Mul")),
    ("div", div),
    ("pow", |exporter, operator| binary(exporter, operator, "Pow")),
    ("maximum", |exporter, operator| binary(exporter, operator, "Max")),
    ("minimum", |exporter, operator| binary(exporter, operator, "Min")),
    ("eq", |exporter, operator| binary(exporter, operator, "Equal")),
    ("gt", |exporter, operator| binary(exporter, operator, "Greater")),
    ("ge", |exporter, operator| binary(exporter, operator, "GreaterOrEqual")),
    ("lt", |exporter, operator| binary(exporter, operator, "Less")),
    ("le", |exporter, operator| binary(exporter, operator, "LessOrEqual")),
    ("logical_not", logical_not),
    ("where", select),
    ("masked_fill", masked_fill),
];

impl Exporter<'_> {
    /// Argument `index`, a tensor or a number, in the type that the result of the operator is computed in.
    pub(crate) fn operand(&mut self, operator: &Operator<'_>, index: usize) -> Result<Name> {
        let kind = self.common_kind(operator)?;
        match operator.node.args.get(index) {
            Some(Arg::Value(value)) => self.converted(*value, kind),
            _ => self.builder.scalar(operator.number(index)?, kind),
        }
    }

    /// The type that the first two arguments are converted to.
    fn common_kind(&self, operator: &Operator<'_>) -> Result<Kind> {
        let mut kinds = Vec::new();
        for index in [0, 1] {
            if let Some(Arg::Value(value)) = operator.node.args.get(index) {
                kinds.push(self.kind(*value));
            }
        }
        Ok(match kinds.as_slice() {
            [kind] => *kind,
            [left, right] if left == right => *left,
            // Comparisons return bools.
            _ => match self.kind(operator.output()?) {
                Kind::Bool => Kind::Float,
                kind => kind,
            },
        })
    }
}

fn binary(exporter: &mut Exporter<'_>, operator: &Operator<'_>, name: &str) -> Result<Vec<Name>> {
    let (left, right) = (exporter.operand(operator, 0)?, exporter.operand(operator, 1)?);
    Ok(vec![exporter.builder.node(name, &[&left, &right], &[])])
}

/// The second operand times the third argument.
fn with_factor(exporter: &mut Exporter<'_>, operator: &Operator<'_>, name: &str) -> Result<Vec<Name>> {
    let (left, mut right) = (exporter.operand(operator, 0)?, exporter.operand(operator, 1)?);
    let factor = if operator.has(2) { operator.number(2)? } else { 1.0 };
    if factor != 1.0 {
        let kind = exporter.kind(operator.output()?);
        let factor = exporter.builder.scalar(factor, kind)?;
        right = exporter.builder.node("Mul", &[&right, &factor], &[]);
    }
    Ok(vec![exporter.builder.node(name, &[&left, &right], &[])])
}

fn rsub(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    if operator.has(2) && operator.number(2)? != 1.0 {
        return Err(operator.unsupported("with another factor than 1"));
    }
    let (left, right) = (exporter.operand(operator, 0)?, exporter.operand(operator, 1)?);
    Ok(vec![exporter.builder.node("Sub", &[&right, &left], &[])])
}

fn div(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    if operator.has(2) {
        return Err(operator.unsupported("that rounds"));
    }
    binary(exporter, operator, "Div")
}

fn logical_not(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let input = exporter.converted(operator.value(0)?, Kind::Bool)?;
    Ok(vec![exporter.builder.node("Not", &[&input], &[])])
}

fn select(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let kind = exporter.kind(operator.output()?);
    let condition = exporter.input(operator, 0)?;
    let mut branches = Vec::new();
    for index in [1, 2] {
        branches.push(match operator.node.args.get(index) {
            Some(Arg::Value(value)) => exporter.converted(*value, kind)?,
            _ => exporter.builder.scalar(operator.number(index)?, kind)?,
        });
    }
    let [left, right] = [0, 1].map(|index| branches.get(index).cloned().unwrap_or_default());
    Ok(vec![exporter.builder.node("Where", &[&condition, &left, &right], &[])])
}

fn masked_fill(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    let kind = exporter.kind(operator.value(0)?);
    let (input, mask) = (exporter.input(operator, 0)?, exporter.input(operator, 1)?);
    let value = match operator.node.args.get(2) {
        Some(Arg::Value(value)) => exporter.name(*value)?,
        _ => exporter.builder.scalar(operator.number(2)?, kind)?,
    };
    Ok(vec![exporter.builder.node("Where", &[&mask, &value, &input], &[])])
}
