//! Checks of normalizations that the reference makes in Python and libtorch does not repeat.

use tch::{TchError, Tensor};

use crate::observe::of_size;
use crate::shape_error::wrong_channels;
use crate::{Error, ErrorKind, Result, size};

/// Explains why libtorch rejected an input: its number of channels differs from that of `per_channel`, a parameter or
/// buffer of the layer, which `argument` sets. Otherwise returns libtorch's error.
pub(super) fn explain(argument: &'static str, per_channel: Option<&Tensor>, shape: &[i64], refusal: TchError) -> Error {
    if let Some(per_channel) = per_channel
        && let Some(channels) = per_channel.size().first()
        && let Some(found) = shape.get(1)
        && channels != found
    {
        return Error::new(ErrorKind::Shape(wrong_channels(argument, *channels, *found, shape)));
    }
    refusal.into()
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

/// Checks the size of the input. A traced forward pass then depends only on whether the check passes.
pub(super) fn passes(
    input: &Tensor,
    check: impl Fn(&[i64]) -> Result<()> + Copy + Send + Sync + 'static,
) -> Result<()> {
    if of_size(input, move |shape| check(shape).is_ok())? {
        return Ok(());
    }
    check(&size::of(input)?)
}

/// Checks that the number of dimensions is in `allowed`.
pub(super) fn dimensions(input: &Tensor, allowed: &[usize]) -> Result<()> {
    let found = size::dims(input)?;
    if allowed.contains(&found) {
        return Ok(());
    }
    let allowed: Vec<_> = allowed.iter().map(|dims| format!("{dims}D")).collect();
    Err(Error::input(format!("{} input", allowed.join(" or ")), format!("{found}D input {:?}", input.size())))
}

/// Checks that the input has a dimension of channels.
pub(super) fn at_least_two_dimensions(input: &Tensor) -> Result<()> {
    match size::dims(input)? {
        dims @ 0..2 => Err(Error::input("at least 2D input", format!("{dims}D input"))),
        _ => Ok(()),
    }
}
