//! Where two tensors differ, and by how much.

use std::fmt;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// The elements of a tensor that are not what the reference computed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// Index of the first differing element, one number per dimension.
    pub(super) index: Vec<i64>,
    /// The reference's value there.
    pub(super) expected: f64,
    /// Our value there.
    pub(super) found: f64,
    /// How many representable numbers lie between the two; `None` unless both are finite floating-point numbers.
    pub(super) ulps: Option<u64>,
    /// How many elements differ.
    pub(super) count: i64,
    /// The largest absolute difference of the whole tensor.
    pub(super) largest: f64,
    /// The number of elements.
    pub(super) elements: usize,
}

impl Difference {
    /// The elements for which `differs` (a bool tensor of the same shape) is true; `None` if there are none.
    pub(super) fn new(found: &Tensor, expected: &Tensor, differs: &Tensor) -> Result<Option<Self>> {
        let count = differs.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        if count == 0 {
            return Ok(None);
        }
        let first = differs.f_nonzero()?.f_get(0)?;
        let index = Vec::<i64>::try_from(&first)?;
        let found = found.detach().f_to_device(Device::Cpu)?;
        let difference = found.f_to_kind(Kind::Double)?.f_sub(&expected.f_to_kind(Kind::Double)?)?;
        Ok(Some(Self {
            expected: expected.f_double_value(&index)?,
            found: found.f_double_value(&index)?,
            ulps: ulps(&element(&found, &index)?, &element(expected, &index)?)?,
            count,
            largest: difference.f_abs()?.f_nan_to_num(f64::INFINITY, None, None)?.f_max()?.f_double_value(&[])?,
            elements: found.numel(),
            index,
        }))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, expected, found, count, largest, elements, .. } = self;
        write!(f, "{count} of {elements} elements differ, first at {index:?}: expected {expected:?}, found {found:?}")?;
        if let Some(ulps) = self.ulps {
            write!(f, " ({ulps} ulps)")?;
        }
        write!(f, "; largest difference {largest:e}")
    }
}

impl std::error::Error for Difference {}

fn element(tensor: &Tensor, index: &[i64]) -> Result<Tensor> {
    let mut element = tensor.shallow_clone();
    for position in index {
        element = element.f_get(*position)?;
    }
    Ok(element.f_contiguous()?)
}

/// The distance of two scalars in units in the last place.
fn ulps(found: &Tensor, expected: &Tensor) -> Result<Option<u64>> {
    let (integer, sign) = match found.f_kind()? {
        Kind::Half | Kind::BFloat16 => (Kind::Int16, i64::from(i16::MIN)),
        Kind::Float => (Kind::Int, i64::from(i32::MIN)),
        Kind::Double => (Kind::Int64, i64::MIN),
        _ => return Ok(None),
    };
    for tensor in [found, expected] {
        if !tensor.f_double_value(&[])?.is_finite() {
            return Ok(None);
        }
    }
    let found = ordered(found.f_view_dtype(integer)?.f_int64_value(&[])?, sign);
    let expected = ordered(expected.f_view_dtype(integer)?.f_int64_value(&[])?, sign);
    Ok(Some(found.abs_diff(expected)))
}

/// Maps the bits of a floating-point number to integers that are ordered as the numbers are; both zeros are 0.
fn ordered(bits: i64, sign: i64) -> i64 {
    if bits < 0 { sign.wrapping_sub(bits) } else { bits }
}
