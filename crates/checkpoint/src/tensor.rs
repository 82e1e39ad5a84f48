//! Types of tensors: those of files in tch's words, and which may be cast into which.

use mmcv_pth::Dtype;
use tch::{Kind, TchError, Tensor};

/// Types that both sides have.
const KINDS: [(Dtype, Kind); 13] = [
    (Dtype::Bool, Kind::Bool),
    (Dtype::Uint8, Kind::Uint8),
    (Dtype::Int8, Kind::Int8),
    (Dtype::Int16, Kind::Int16),
    (Dtype::Int32, Kind::Int),
    (Dtype::Int64, Kind::Int64),
    (Dtype::Float16, Kind::Half),
    (Dtype::Bfloat16, Kind::BFloat16),
    (Dtype::Float32, Kind::Float),
    (Dtype::Float64, Kind::Double),
    (Dtype::Complex32, Kind::ComplexHalf),
    (Dtype::Complex64, Kind::ComplexFloat),
    (Dtype::Complex128, Kind::ComplexDouble),
];

/// The type in tch's words; `None` for one that tch does not have.
pub(crate) fn kind(dtype: Dtype) -> Option<Kind> {
    KINDS.iter().find(|(known, _)| *known == dtype).map(|(_, kind)| *kind)
}

/// The type in the words of the file reader; `None` for one that it does not have.
pub(crate) fn dtype(kind: Kind) -> Option<Dtype> {
    KINDS.iter().find(|(_, known)| *known == kind).map(|(dtype, _)| *dtype)
}

/// torch's name of a type.
pub(crate) fn name(kind: Kind) -> String {
    dtype(kind).map_or_else(|| format!("{kind:?}").to_lowercase(), |dtype| dtype.name().to_owned())
}

/// Whether a tensor of one type can go into one of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    /// Values keep what they are, up to rounding.
    Always,
    /// From a number to an integer or a bool: only where each value is exactly the same afterwards.
    WhereExact,
    /// From complex to real.
    Never,
}

impl Cast {
    pub(crate) fn between(from: Kind, to: Kind) -> Self {
        match (category(from), category(to)) {
            (Category::Complex, to) if to != Category::Complex => Self::Never,
            (_, Category::Integer | Category::Bool) => Self::WhereExact,
            _ => Self::Always,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Category {
    Bool,
    Integer,
    Float,
    Complex,
}

fn category(kind: Kind) -> Category {
    match kind {
        Kind::Bool => Category::Bool,
        Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 => Category::Integer,
        Kind::ComplexHalf | Kind::ComplexFloat | Kind::ComplexDouble => Category::Complex,
        _ => Category::Float,
    }
}

/// Whether each value of `tensor` is exactly the same in the type `to`, which is one of integers or bools.
pub(crate) fn is_exact_in(tensor: &Tensor, to: Kind) -> Result<bool, TchError> {
    let from = tensor.f_kind()?;
    if category(from) == Category::Float {
        // Beyond the range of 64 bits a conversion gives anything.
        const BEYOND: f64 = 9_223_372_036_854_775_808.0;
        let within = tensor.f_to_kind(Kind::Double)?.f_abs()?.f_lt(BEYOND)?;
        if within.f_all()?.f_int64_value(&[])? == 0 {
            return Ok(false);
        }
    }
    let there_and_back = tensor.f_to_kind(to)?.f_to_kind(from)?;
    there_and_back.f_equal(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_keep_the_kind_of_number() {
        for (from, to, expected) in [
            (Kind::Double, Kind::Half, Cast::Always),
            (Kind::Half, Kind::Float, Cast::Always),
            (Kind::Int64, Kind::Float, Cast::Always),
            (Kind::Bool, Kind::Int, Cast::WhereExact),
            (Kind::Float, Kind::Int64, Cast::WhereExact),
            (Kind::Int, Kind::Bool, Cast::WhereExact),
            (Kind::ComplexFloat, Kind::Float, Cast::Never),
            (Kind::ComplexFloat, Kind::Int64, Cast::Never),
            (Kind::Float, Kind::ComplexFloat, Cast::Always),
        ] {
            assert_eq!(Cast::between(from, to), expected, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn integers_are_taken_where_nothing_is_lost() {
        for (value, kind, to, exact) in [
            (7.0, Kind::Float, Kind::Int64, true),
            (7.0, Kind::Half, Kind::Int64, true),
            (7.5, Kind::Float, Kind::Int64, false),
            (f64::NAN, Kind::Float, Kind::Int64, false),
            (f64::INFINITY, Kind::Double, Kind::Int64, false),
            (1e19, Kind::Double, Kind::Int64, false),
            (300.0, Kind::Int64, Kind::Uint8, false),
            (-1.0, Kind::Int, Kind::Int64, true),
            (1.0, Kind::Uint8, Kind::Bool, true),
            (2.0, Kind::Uint8, Kind::Bool, false),
        ] {
            let tensor = Tensor::full([1], value, (Kind::Double, tch::Device::Cpu)).to_kind(kind);
            assert_eq!(is_exact_in(&tensor, to).unwrap(), exact, "{value} as {kind:?} in {to:?}");
        }
    }

    #[test]
    fn types_have_torchs_names() {
        assert_eq!((name(Kind::BFloat16), name(Kind::Int)), ("bfloat16".to_owned(), "int32".to_owned()));
        assert_eq!(dtype(Kind::Float).and_then(kind), Some(Kind::Float));
    }
}
