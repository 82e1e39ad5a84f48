//! [`Size`]: one size for all spatial dimensions, or one for each.

use mmcv_registry::{Config, ConfigError, FromConfig, KeyPath};
use tch::Tensor;

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
    /// Returns an error that names the argument `name` if this is a list of another length.
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

    /// As [`Self::expand`], but a list of one item also applies to all dimensions.
    ///
    /// # Errors
    /// Returns an error if this is a list of neither 1 nor `dims` items.
    pub fn broadcast(&self, dims: usize, name: &str) -> Result<Vec<i64>> {
        match self {
            Self::Each(sizes) if sizes.len() == 1 => Ok(sizes.repeat(dims)),
            _ => self.expand(dims, name),
        }
    }

    /// As [`Self::broadcast`], and checks that every size is at least `least`.
    ///
    /// # Errors
    /// As [`Self::broadcast`]; also returns an error if a size is smaller than `least`.
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

/// Rejects an undefined tensor, whose shape tch cannot read without a panic.
fn defined(tensor: &Tensor) -> Result<&Tensor> {
    if tensor.defined() { Ok(tensor) } else { Err(Error::input("a tensor", "an undefined tensor")) }
}

/// The number of elements of a shape, saturating.
pub(crate) fn product(shape: &[i64]) -> i64 {
    let mut product = 1_i64;
    for size in shape {
        product = product.saturating_mul(*size);
    }
    product
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
            Config::List(_) | Config::Tuple(_) => Vec::from_config(value, path).map(Self::Each),
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

/// The common divisors of `numbers`, up to 4096, for messages: `1, 2, 4`.
pub(crate) fn divisors(numbers: &[i64]) -> String {
    const MOST: i64 = 4096;
    let greatest = numbers.iter().copied().min().unwrap_or(1).clamp(1, MOST);
    let mut divisors = Vec::new();
    for divisor in 1..=greatest {
        if numbers.iter().all(|number| number % divisor == 0) {
            divisors.push(divisor.to_string());
        }
    }
    divisors.join(", ")
}
