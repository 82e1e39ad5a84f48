//! What each operator of libtorch is in ONNX.

mod arithmetic;
mod convolution;
mod elementwise;
mod join;
mod matrix;
mod norm;
mod pad;
mod pool;
mod reduce;
mod resize;
mod shape;

use crate::builder::Name;
use crate::error::{ErrorKind, Result};
use crate::exporter::Exporter;
use crate::operator::Operator;
use crate::translation::{Translate, Translator};

/// Adds the nodes of an operator; returns the names of its results.
type Translation = fn(&mut Exporter<'_>, &Operator<'_>) -> Result<Vec<Name>>;

/// The translations by the operators' names. None changes its input in place: those are replaced before.
const TABLES: &[&[(&str, Translation)]] = &[
    arithmetic::TABLE,
    convolution::TABLE,
    elementwise::TABLE,
    join::TABLE,
    matrix::TABLE,
    norm::TABLE,
    pad::TABLE,
    pool::TABLE,
    reduce::TABLE,
    resize::TABLE,
    shape::TABLE,
];

/// [`translate`] by a registered translation.
fn by_user(exporter: &mut Exporter<'_>, operator: &Operator<'_>, translate: &Translate) -> Result<Vec<Name>> {
    let outputs = translate(&mut Translator { exporter, operator })?;
    let (found, expected) = (outputs.len(), operator.node.outputs.len());
    if found != expected {
        return Err(operator.unsupported(format!("returns {expected} tensors, and its registered translation {found}")));
    }
    Ok(outputs)
}

/// Adds the nodes of an operator; returns the names of its results.
pub(crate) fn translate(exporter: &mut Exporter<'_>, operator: &Operator<'_>) -> Result<Vec<Name>> {
    if let Some(translate) = exporter.translations.get(&operator.node.op) {
        return by_user(exporter, operator, &*translate);
    }
    let name = operator.node.name();
    for (known, translation) in TABLES.iter().copied().flatten() {
        if *known == name {
            return translation(exporter, operator);
        }
    }
    Err(ErrorKind::Operator { operator: operator.node.op.clone() }.into())
}
