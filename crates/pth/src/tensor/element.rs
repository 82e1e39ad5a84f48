//! [`Element`]: the value of one element, to measure the distance between two.

use crate::tensor::Dtype;

/// The value of an element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Element {
    Integer(i128),
    Real(f64),
    Complex(f64, f64),
}

impl Element {
    /// Decodes the little-endian bytes of one element. `dtype` must have plain bytes.
    pub(crate) fn decode(dtype: Dtype, bytes: &[u8]) -> Self {
        use Dtype as D;
        let (first, second) = bytes.split_at_checked(dtype.word()).unwrap_or_default();
        let bits = word(first);
        match dtype {
            D::Int8 => Self::Integer((bits as i8).into()),
            D::Int16 => Self::Integer((bits as i16).into()),
            D::Int32 => Self::Integer((bits as i32).into()),
            D::Int64 => Self::Integer((bits as i64).into()),
            D::Float16 => Self::Real(small(bits, &HALF)),
            D::Float32 => Self::Real(f32::from_bits(bits as u32).into()),
            D::Float64 => Self::Real(f64::from_bits(bits)),
            D::Complex32 => Self::Complex(small(bits, &HALF), small(word(second), &HALF)),
            D::Complex64 => {
                Self::Complex(f32::from_bits(bits as u32).into(), f32::from_bits(word(second) as u32).into())
            }
            D::Complex128 => Self::Complex(f64::from_bits(bits), f64::from_bits(word(second))),
            D::Bfloat16 => Self::Real(f32::from_bits((bits as u32) << 16).into()),
            D::Float8E4m3fn => Self::Real(small(bits, &E4M3FN)),
            D::Float8E4m3fnuz => Self::Real(small(bits, &E4M3FNUZ)),
            D::Float8E5m2 => Self::Real(small(bits, &E5M2)),
            D::Float8E5m2fnuz => Self::Real(small(bits, &E5M2FNUZ)),
            D::Float8E8m0fnu => Self::Real(if bits == 0xff { f64::NAN } else { 2_f64.powi(bits as i32 - 127) }),
            _ => Self::Integer(bits.into()),
        }
    }

    /// The distance between two values, and the larger of their magnitudes. The distance of two NaNs is 0, that of a NaN and
    /// a number is infinite.
    pub(crate) fn distance(self, other: Self) -> (f64, f64) {
        if let (Self::Integer(left), Self::Integer(right)) = (self, other) {
            return ((left - right).unsigned_abs() as f64, left.unsigned_abs().max(right.unsigned_abs()) as f64);
        }
        let ((left, left_imaginary), (right, right_imaginary)) = (self.parts(), other.parts());
        let distance = real_distance(left, right).hypot(real_distance(left_imaginary, right_imaginary));
        (distance, self.magnitude().max(other.magnitude()))
    }

    /// The absolute value.
    pub(crate) fn magnitude(self) -> f64 {
        let (real, imaginary) = self.parts();
        real.hypot(imaginary)
    }

    fn parts(self) -> (f64, f64) {
        match self {
            Self::Integer(value) => (value as f64, 0.0),
            Self::Real(value) => (value, 0.0),
            Self::Complex(real, imaginary) => (real, imaginary),
        }
    }
}

/// The little-endian number in at most 8 bytes.
pub(super) fn word(bytes: &[u8]) -> u64 {
    let mut word = 0;
    for &byte in bytes.iter().rev() {
        word = word << 8 | u64::from(byte);
    }
    word
}

fn real_distance(left: f64, right: f64) -> f64 {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => 0.0,
        // Also for two infinities.
        (false, false) if left == right => 0.0,
        (false, false) => (left - right).abs(),
        _ => f64::INFINITY,
    }
}

/// A floating-point format of at most 16 bits.
struct Small {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    special: Special,
}

/// Which bit patterns are not finite numbers.
enum Special {
    /// The largest exponent is infinity, or NaN with a mantissa.
    Ieee,
    /// All ones is NaN; there is no infinity.
    AllOnes,
    /// Negative zero is NaN; there is no infinity.
    NegativeZero,
}

const HALF: Small = Small { exponent_bits: 5, mantissa_bits: 10, bias: 15, special: Special::Ieee };
const E4M3FN: Small = Small { exponent_bits: 4, mantissa_bits: 3, bias: 7, special: Special::AllOnes };
const E4M3FNUZ: Small = Small { exponent_bits: 4, mantissa_bits: 3, bias: 8, special: Special::NegativeZero };
const E5M2: Small = Small { exponent_bits: 5, mantissa_bits: 2, bias: 15, special: Special::Ieee };
const E5M2FNUZ: Small = Small { exponent_bits: 5, mantissa_bits: 2, bias: 16, special: Special::NegativeZero };

fn small(bits: u64, format: &Small) -> f64 {
    let &Small { exponent_bits, mantissa_bits, bias, ref special } = format;
    let (mantissa_mask, exponent_mask) = ((1 << mantissa_bits) - 1, (1 << exponent_bits) - 1);
    let (mantissa, exponent) = (bits & mantissa_mask, (bits >> mantissa_bits) & exponent_mask);
    let negative = bits >> (mantissa_bits + exponent_bits) & 1 == 1;
    let largest = exponent == exponent_mask;
    let magnitude = match special {
        Special::Ieee if largest && mantissa == 0 => f64::INFINITY,
        Special::Ieee if largest => f64::NAN,
        Special::AllOnes if largest && mantissa == mantissa_mask => f64::NAN,
        Special::NegativeZero if negative && mantissa == 0 && exponent == 0 => f64::NAN,
        _ => {
            let leading = if exponent == 0 { 0 } else { 1 << mantissa_bits };
            let power = exponent.max(1) as i32 - bias - mantissa_bits as i32;
            (leading + mantissa) as f64 * 2_f64.powi(power)
        }
    };
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn real(dtype: Dtype, bits: u16) -> f64 {
        let Element::Real(value) = Element::decode(dtype, &bits.to_le_bytes()[..dtype.size()]) else {
            panic!("{dtype}")
        };
        value
    }

    #[test]
    fn small_floats_have_the_values_of_torch() {
        for (dtype, bits, expected) in [
            (Dtype::Float16, 0x3c01, 1.0 + 2_f64.powi(-10)),
            (Dtype::Float16, 0x8001, -2_f64.powi(-24)),
            (Dtype::Float16, 0x7bff, 65504.0),
            (Dtype::Float16, 0xfc00, f64::NEG_INFINITY),
            (Dtype::Bfloat16, 0x4049, 3.140625),
            (Dtype::Float8E4m3fn, 0x7e, 448.0),
            (Dtype::Float8E4m3fn, 0x01, 2_f64.powi(-9)),
            (Dtype::Float8E4m3fnuz, 0x7f, 240.0),
            (Dtype::Float8E5m2, 0x7b, 57344.0),
            (Dtype::Float8E5m2, 0x7c, f64::INFINITY),
            (Dtype::Float8E5m2fnuz, 0x7f, 57344.0),
            (Dtype::Float8E8m0fnu, 0x80, 2.0),
        ] {
            assert_eq!(real(dtype, bits), expected, "{dtype} {bits:#x}");
        }
        for (dtype, bits) in [
            (Dtype::Float16, 0x7e00),
            (Dtype::Float8E4m3fn, 0xff),
            (Dtype::Float8E4m3fnuz, 0x80),
            (Dtype::Float8E5m2, 0x7d),
            (Dtype::Float8E5m2fnuz, 0x80),
            (Dtype::Float8E8m0fnu, 0xff),
        ] {
            assert!(real(dtype, bits).is_nan(), "{dtype} {bits:#x}");
        }
    }

    #[test]
    fn distances_are_exact_for_integers_and_defined_for_nan() {
        let of = |value: i64| Element::decode(Dtype::Int64, &value.to_le_bytes());
        assert_eq!(of(i64::MAX).distance(of(i64::MAX - 1)).0, 1.0);
        assert_eq!(of(i64::MIN).distance(of(i64::MAX)).0, 2_f64.powi(64));
        assert_eq!(Element::Real(f64::NAN).distance(Element::Real(f64::NAN)).0, 0.0);
        assert_eq!(Element::Real(f64::NAN).distance(Element::Real(1.0)).0, f64::INFINITY);
        assert_eq!(Element::Real(f64::INFINITY).distance(Element::Real(f64::INFINITY)).0, 0.0);
        assert_eq!(Element::Complex(0.0, 3.0).distance(Element::Real(4.0)), (5.0, 4.0));
        assert_eq!(Element::decode(Dtype::Uint16, &[0xff, 0xff]), Element::Integer(65535));
    }
}
