//! Checks of normalisations that the reference makes in Python, so that libtorch does not make them.

use tch::{TchError, Tensor};

use crate::observe::of_size;
use crate::shape::wrong_channels;
use crate::{Error, ErrorKind, Result, size};

/// The error of an input that libtorch refused: that it has another number of channels than `per_channel`, a parameter
/// or buffer of the layer whose argument is `argument`; or what libtorch says.
pub(super) fn explain(argument: &'static str, per_channel: Option<&Tensor>, shape: &[i64], refused: TchError) -> Error {
    match (per_channel.and_then(|tensor| tensor.size().first().copied()), shape.get(1)) {
        (Some(channels), Some(found)) if channels != *found => {
            Error::new(ErrorKind::Shape(wrong_channels(argument, channels, *found, shape)))
        }
        _ => refused.into(),
    }
}

/// Training needs more than one value per channel.
pub(super) fn several_values_per_channel(shape: &[i64]) -> Result<()> {
    if shape.iter().enumerate().all(|(dim, size)| dim == 1 || *size == 1) {
        return Err(Error::input("more than 1 value per channel when training", format!("input size {shape:?}")));
    }
    Ok(())
}

/// Statistics of the input need more than one spatial element.
pub(super) fn several_spatial_elements(shape: &[i64]) -> Result<()> {
    if shape.iter().skip(2).all(|size| *size == 1) {
        return Err(Error::input("more than 1 spatial element when training", format!("input size {shape:?}")));
    }
    Ok(())
}

/// Checks the input's size; a forward pass that is watched depends on nothing of it but that it passes.
pub(super) fn passes(
    input: &Tensor,
    check: impl Fn(&[i64]) -> Result<()> + Copy + Send + Sync + 'static,
) -> Result<()> {
    if of_size(input, move |shape| check(shape).is_ok())? {
        return Ok(());
    }
    check(&size::of(input)?)
}

/// The input has one of the numbers of dimensions in `allowed`.
pub(super) fn dimensions(input: &Tensor, allowed: &[usize]) -> Result<()> {
    let found = size::dims(input)?;
    if allowed.contains(&found) {
        return Ok(());
    }
    let allowed: Vec<_> = allowed.iter().map(|dims| format!("{dims}D")).collect();
    Err(Error::input(format!("{} input", allowed.join(" or ")), format!("{found}D input {:?}", input.size())))
}

/// The input has a dimension of channels.
pub(super) fn at_least_two_dimensions(input: &Tensor) -> Result<()> {
    match size::dims(input)? {
        dims @ 0..2 => Err(Error::input("at least 2D input", format!("{dims}D input"))),
        _ => Ok(()),
    }
}
