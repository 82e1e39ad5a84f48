//! Types of tensors: those of files in tch's words, and which may be cast into which.

use mmcv_pth::Dtype;
use tch::Kind;

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

/// Whether values may be cast without changing what they are: not from complex to real, from float to integer, or from
/// a number to a bool. Reference: `torch.can_cast`.
pub(crate) fn can_cast(from: Kind, to: Kind) -> bool {
    category(from) <= category(to)
}

/// Bool, integer, float, complex: each holds the ones before it.
fn category(kind: Kind) -> u8 {
    match kind {
        Kind::Bool => 0,
        Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 => 1,
        Kind::ComplexHalf | Kind::ComplexFloat | Kind::ComplexDouble => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_keep_the_kind_of_number() {
        for (from, to, allowed) in [
            (Kind::Double, Kind::Half, true),
            (Kind::Half, Kind::Float, true),
            (Kind::Int64, Kind::Float, true),
            (Kind::Bool, Kind::Int, true),
            (Kind::Float, Kind::Int64, false),
            (Kind::ComplexFloat, Kind::Float, false),
            (Kind::Int, Kind::Bool, false),
        ] {
            assert_eq!(can_cast(from, to), allowed, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn types_have_torchs_names() {
        assert_eq!((name(Kind::BFloat16), name(Kind::Int)), ("bfloat16".to_owned(), "int32".to_owned()));
        assert_eq!(dtype(Kind::Float).and_then(kind), Some(Kind::Float));
    }
}
