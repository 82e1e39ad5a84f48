//! [`Size`]: a size of every spatial dimension, or one for all.

use mmcv_registry::{Config, ConfigError, FromConfig, KeyPath};
use tch::{Kind, Tensor};

use crate::observe::of_size;
use crate::{Error, Result};

/// A kernel size, stride, padding or dilation: one number for all spatial dimensions, or a list with one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// The same for all dimensions.
    All(i64),
    /// One for each dimension, the first dimension first.
    Each(Vec<i64>),
}

impl Size {
    /// The size of each of `dims` dimensions.
    ///
    /// # Errors
    /// Where this is a list of another length; the error names the argument `name`.
    pub fn expand(&self, dims: usize, name: &str) -> Result<Vec<i64>> {
        match self {
            Self::All(size) => Ok(vec![*size; dims]),
            Self::Each(sizes) if sizes.len() == dims => Ok(sizes.clone()),
            Self::Each(sizes) => Err(Error::argument(
                name,
                format!("{sizes:?}"),
                format!("expected an integer or a list of {dims} integers"),
            )),
        }
    }

    /// As [`Self::expand`], where a list of one item stands for all dimensions too.
    ///
    /// # Errors
    /// Where this is a list of more than one item and of another length than `dims`.
    pub fn broadcast(&self, dims: usize, name: &str) -> Result<Vec<i64>> {
        match self {
            Self::Each(sizes) if sizes.len() == 1 => Ok(sizes.repeat(dims)),
            _ => self.expand(dims, name),
        }
    }

    /// As [`Self::broadcast`], and every size has to be at least `least`.
    ///
    /// # Errors
    /// Also where a size is smaller.
    pub fn broadcast_at_least(&self, least: i64, dims: usize, name: &str) -> Result<Vec<i64>> {
        let sizes = self.broadcast(dims, name)?;
        if sizes.iter().all(|size| *size >= least) {
            return Ok(sizes);
        }
        Err(Error::argument(name, self.to_config(), format!("expected at least {least} in every dimension")))
    }
}

/// The shape of a tensor.
pub(crate) fn of(tensor: &Tensor) -> Result<Vec<i64>> {
    defined(tensor).map(Tensor::size)
}

/// The number of dimensions of a tensor.
pub(crate) fn dims(tensor: &Tensor) -> Result<usize> {
    defined(tensor).map(Tensor::dim)
}

/// tch panics where it is asked for the shape of an undefined tensor.
fn defined(tensor: &Tensor) -> Result<&Tensor> {
    if tensor.defined() { Ok(tensor) } else { Err(Error::input("a tensor", "an undefined tensor")) }
}

/// A number as a tensor without dimensions, for an operation on it and `like`, on the device of `like`.
///
/// Operations that may fail take this in place of a plain number: tch panics where an operation with a number fails.
/// As a plain number it leaves the result's type to a `like` that has dimensions, and keeps its digits where that is
/// half precision; integers become float32.
///
/// # Errors
/// Where the number is too large for float32, while `like` is not float64.
pub fn number(value: f64, like: &Tensor) -> Result<Tensor> {
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

/// What `operation` makes of the input; of half precision it is computed in float32 and rounded once, as libtorch's
/// operators on single elements do.
pub(crate) fn rounded_once(input: &Tensor, operation: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match input.f_kind()? {
        half @ (Kind::Half | Kind::BFloat16) => Ok(operation(&input.f_to_kind(Kind::Float)?)?.f_to_kind(half)?),
        _ => operation(input),
    }
}

/// Pads an input; `sides` are the pixels before and after each dimension, the last dimension first.
///
/// libtorch does not check that the size of the output can be counted, and then reads outside the input.
pub(crate) fn pad(input: &Tensor, sides: &[i64], mode: &str, value: Option<f64>) -> Result<Tensor> {
    let added = sides.to_vec();
    let fits = of_size(input, move |shape| {
        let mut pairs = added.chunks(2).zip(shape.iter().rev());
        pairs.all(|(pair, size)| pair.iter().try_fold(*size, |size, side| size.checked_add(*side)).is_some())
    })?;
    if !fits {
        return Err(Error::argument("padding", format!("{sides:?}"), "expected sides that fit into memory"));
    }
    Ok(input.f_pad(sides, mode, value)?)
}

/// The number of elements of a shape; the largest integer where it is larger.
pub(crate) fn product(shape: &[i64]) -> i64 {
    shape.iter().fold(1, |product: i64, size| product.saturating_mul(*size))
}

impl From<i64> for Size {
    fn from(size: i64) -> Self {
        Self::All(size)
    }
}

impl<const N: usize> From<[i64; N]> for Size {
    fn from(sizes: [i64; N]) -> Self {
        Self::Each(sizes.to_vec())
    }
}

impl FromConfig for Size {
    fn expected() -> String {
        "an integer or a list of integers".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Int(size) => Ok(Self::All(*size)),
            Config::List(_) => Vec::from_config(value, path).map(Self::Each),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        match self {
            Self::All(size) => Config::Int(*size),
            Self::Each(sizes) => sizes.clone().into(),
        }
    }
}

/// The numbers that divide all of `numbers`, in words: `1, 2, 4`. Of large numbers the first ones.
pub(crate) fn divisors(numbers: &[i64]) -> String {
    const MOST: i64 = 4096;
    let greatest = numbers.iter().copied().min().unwrap_or(1).clamp(1, MOST);
    let divides = |divisor: &i64| numbers.iter().all(|number| number % divisor == 0);
    (1..=greatest).filter(divides).map(|divisor| divisor.to_string()).collect::<Vec<_>>().join(", ")
}
