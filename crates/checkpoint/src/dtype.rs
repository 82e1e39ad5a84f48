//! Element types: those of files as tch's, and which may be cast to which.

use mmcv_pth::Dtype;
use tch::{Kind, TchError, Tensor};

/// The types that files and tch have in common.
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

/// The type in tch; `None` if tch does not have it.
pub(crate) fn kind(dtype: Dtype) -> Option<Kind> {
    let (_, kind) = KINDS.iter().find(|(known, _)| *known == dtype)?;
    Some(*kind)
}

/// The type in files; `None` if they cannot have it.
pub(crate) fn dtype(kind: Kind) -> Option<Dtype> {
    let (dtype, _) = KINDS.iter().find(|(_, known)| *known == kind)?;
    Some(*dtype)
}

/// PyTorch's name of a type.
pub(crate) fn name(kind: Kind) -> String {
    match dtype(kind) {
        Some(dtype) => dtype.name().to_owned(),
        None => format!("{kind:?}").to_lowercase(),
    }
}

/// Whether a tensor can be cast to another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cast {
    /// Values are kept, up to rounding.
    Always,
    /// To an integer or bool: only if every value is kept exactly.
    IfExact,
    /// From complex to real.
    Never,
}

impl Cast {
    pub(crate) fn between(from: Kind, to: Kind) -> Self {
        match (category(from), category(to)) {
            (Category::Complex, to) if to != Category::Complex => Self::Never,
            (_, Category::Integer | Category::Bool) => Self::IfExact,
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

/// Whether every element keeps its exact value in `to`, an integer type or bool.
pub(crate) fn is_exact_in(tensor: &Tensor, to: Kind) -> Result<bool, TchError> {
    let from = tensor.f_kind()?;
    if category(from) == Category::Float {
        // Converting values beyond 64 bits is undefined.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        let within = tensor.f_to_kind(Kind::Double)?.f_abs()?.f_lt(LIMIT)?;
        if within.f_all()?.f_int64_value(&[])? == 0 {
            return Ok(false);
        }
    }
    let round_trip = tensor.f_to_kind(to)?.f_to_kind(from)?;
    round_trip.f_equal(tensor)
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
            (Kind::Bool, Kind::Int, Cast::IfExact),
            (Kind::Float, Kind::Int64, Cast::IfExact),
            (Kind::Int, Kind::Bool, Cast::IfExact),
            (Kind::ComplexFloat, Kind::Float, Cast::Never),
            (Kind::ComplexFloat, Kind::Int64, Cast::Never),
            (Kind::Float, Kind::ComplexFloat, Cast::Always),
        ] {
            assert_eq!(Cast::between(from, to), expected, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn casts_to_integers_must_be_exact() {
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
    fn types_have_pytorchs_names() {
        assert_eq!((name(Kind::BFloat16), name(Kind::Int)), ("bfloat16".to_owned(), "int32".to_owned()));
        assert_eq!(dtype(Kind::Float).and_then(kind), Some(Kind::Float));
    }
}
