//! Operations on tensors that tch lacks or on which it panics.

use tch::{Kind, Tensor};

use crate::observe::of_size;
use crate::{Error, Result};

/// A number as a 0-dim tensor on the device of `like`, for an operation with `like`.
///
/// tch panics if an operation with a plain number fails, so operations that may fail take this tensor instead. It
/// behaves like a plain number: the result has the type of `like` if that has dimensions, and half precision keeps
/// the number's digits. Integers become float32.
///
/// # Errors
/// Returns an error if the number is too large for float32 and `like` is not float64.
pub fn scalar_like(value: f64, like: &Tensor) -> Result<Tensor> {
    let kind = match like.f_kind()? {
        half @ (Kind::Half | Kind::BFloat16) if like.dim() == 0 => half,
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    };
    let tensor = Tensor::f_from_slice(&[value])?.f_to_kind(kind)?.f_to_device(like.device())?;
    if value.is_finite() && !tensor.f_double_value(&[0])?.is_finite() {
        return Err(Error::input(format!("a number that fits into {kind:?}"), value));
    }
    Ok(tensor.f_reshape([0i64; 0])?)
}

/// Applies `operation` to the input. Half precision is computed in float32 and rounded once, as in libtorch's
/// elementwise operators.
pub(crate) fn rounded_once(input: &Tensor, operation: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match input.f_kind()? {
        half @ (Kind::Half | Kind::BFloat16) => Ok(operation(&input.f_to_kind(Kind::Float)?)?.f_to_kind(half)?),
        _ => operation(input),
    }
}

/// Pads an input; `sides` are the pixels before and after each dimension, the last dimension first.
///
/// libtorch does not check the size of the output for overflow, and then reads outside the input.
pub(crate) fn pad(input: &Tensor, sides: &[i64], mode: &str, value: Option<f64>) -> Result<Tensor> {
    let added = sides.to_vec();
    if !of_size(input, move |shape| can_be_padded(shape, &added))? {
        return Err(Error::argument("padding", format!("{sides:?}"), "expected sides that fit into memory"));
    }
    Ok(input.f_pad(sides, mode, value)?)
}

/// Whether the padded sizes fit into 64 bits.
fn can_be_padded(shape: &[i64], sides: &[i64]) -> bool {
    let mut sizes = shape.iter().rev();
    for pair in sides.chunks(2) {
        let Some(size) = sizes.next() else { break };
        let mut padded = *size;
        for side in pair {
            let Some(sum) = padded.checked_add(*side) else { return false };
            padded = sum;
        }
    }
    true
}
