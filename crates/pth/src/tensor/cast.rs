//! Casts between floating-point types, with the same bits as `torch.Tensor.to`. NaN stays NaN; its payload is that of the
//! processor's conversions, while torch's payloads depend on the position in the tensor.

use crate::tensor::element::word;
use crate::tensor::{Dtype, Element};

/// Whether elements of this type can be cast.
pub(crate) fn is_floating_point(dtype: Dtype) -> bool {
    use Dtype as D;
    matches!(
        dtype,
        D::Float16
            | D::Bfloat16
            | D::Float32
            | D::Float64
            | D::Float8E4m3fn
            | D::Float8E4m3fnuz
            | D::Float8E5m2
            | D::Float8E5m2fnuz
            | D::Float8E8m0fnu
    )
}

/// Whether elements can be cast to this type.
pub(crate) fn is_cast_target(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Float16 | Dtype::Bfloat16 | Dtype::Float32 | Dtype::Float64)
}

/// Appends the little-endian elements of `bytes` as elements of type `to`.
pub(crate) fn cast(bytes: &[u8], from: Dtype, to: Dtype, out: &mut Vec<u8>) {
    for element in bytes.chunks_exact(from.size()) {
        match to {
            Dtype::Float64 => out.extend(double(element, from).to_le_bytes()),
            Dtype::Float32 => out.extend(single(element, from).to_le_bytes()),
            Dtype::Float16 => out.extend(half(single(element, from)).to_le_bytes()),
            _ => out.extend(brain(single(element, from), from).to_le_bytes()),
        }
    }
}

/// The bits of an element as float64.
fn double(element: &[u8], from: Dtype) -> u64 {
    if from == Dtype::Float64 {
        return word(element);
    }
    let bits = single(element, from);
    if f32::from_bits(bits).is_nan() {
        let (sign, mantissa) = (u64::from(bits >> 31), u64::from(bits & 0x7f_ffff));
        return sign << 63 | 0x7ff8 << 48 | mantissa << 29;
    }
    f64::from(f32::from_bits(bits)).to_bits()
}

/// The bits of an element as float32, which holds every number of the smaller types.
fn single(element: &[u8], from: Dtype) -> u32 {
    let bits = word(element);
    match from {
        Dtype::Float32 => bits as u32,
        Dtype::Bfloat16 => (bits as u32) << 16,
        Dtype::Float64 if f64::from_bits(bits).is_nan() => {
            let (sign, mantissa) = ((bits >> 63) as u32, (bits >> 29) as u32 & 0x7f_ffff);
            sign << 31 | 0x7fc0_0000 | mantissa
        }
        Dtype::Float64 => (f64::from_bits(bits) as f32).to_bits(),
        Dtype::Float16 if bits & 0x7fff > 0x7c00 => {
            (bits as u32 & 0x8000) << 16 | 0x7fc0_0000 | (bits as u32 & 0x3ff) << 13
        }
        _ => match Element::decode(from, element) {
            Element::Real(value) => (value as f32).to_bits(),
            _ => 0,
        },
    }
}

/// Rounds the bits of a float32 to float16.
fn half(bits: u32) -> u16 {
    let (sign, magnitude) = ((bits >> 16) as u16 & 0x8000, bits & 0x7fff_ffff);
    let rounded = match magnitude {
        0x7f80_0001.. => 0x7e00 | (magnitude >> 13 & 0x3ff),
        // From 2^16 on: infinity.
        0x4780_0000.. => 0x7c00,
        // From 2^-14 on: normal numbers. The exponent is rebased, and a carry may go into it.
        0x3880_0000.. => rounded(magnitude - 0x3800_0000, 13),
        // From 2^-25 on: in units of 2^-24.
        0x3300_0000.. => rounded(magnitude & 0x7f_ffff | 0x80_0000, 126 - (magnitude >> 23)),
        _ => 0,
    };
    sign | rounded as u16
}

/// Rounds the bits of a float32 to bfloat16.
fn brain(bits: u32, from: Dtype) -> u16 {
    if f32::from_bits(bits).is_nan() {
        return if from == Dtype::Float32 { 0xffff } else { 0x7fc0 };
    }
    rounded(bits, 16) as u16
}

/// `value / 2^shift`, rounded to the nearest integer, ties to even.
fn rounded(value: u32, shift: u32) -> u32 {
    let (quotient, rest, middle) = (value >> shift, value & ((1 << shift) - 1), 1 << (shift - 1));
    quotient + u32::from(rest > middle || rest == middle && quotient & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast_one(bytes: &[u8], from: Dtype, to: Dtype) -> u64 {
        let mut out = Vec::new();
        cast(bytes, from, to, &mut out);
        assert_eq!(out.len(), to.size());
        word(&out)
    }

    #[test]
    fn singles_are_rounded_to_even() {
        for (value, half, brain) in [
            (1.0_f32, 0x3c00, 0x3f80),
            (-0.0, 0x8000, 0x8000),
            (65504.0, 0x7bff, 0x4780),
            (65519.996, 0x7bff, 0x4780),
            (65520.0, 0x7c00, 0x4780),
            (f32::MAX, 0x7c00, 0x7f80),
            (f32::NEG_INFINITY, 0xfc00, 0xff80),
            (2_f32.powi(-24), 1, 0x3380),
            (2_f32.powi(-25), 0, 0x3300),
            (2_f32.powi(-25) * 1.5, 1, 0x3340),
            (2_f32.powi(-24) * 1.5, 2, 0x33c0),
            (2_f32.powi(-14) - 2_f32.powi(-25), 0x0400, 0x3880),
            (1.0 + 2_f32.powi(-11), 0x3c00, 0x3f80),
            (1.0 + 3.0 * 2_f32.powi(-11), 0x3c02, 0x3f80),
            (1.0 + 2_f32.powi(-8), 0x3c04, 0x3f80),
            (1.0 + 3.0 * 2_f32.powi(-8), 0x3c0c, 0x3f82),
            (f32::from_bits(1), 0, 0),
            (f32::from_bits(0x8000), 0, 0),
            (f32::from_bits(0x18000), 0, 2),
        ] {
            let bytes = value.to_le_bytes();
            assert_eq!(cast_one(&bytes, Dtype::Float32, Dtype::Float16), half, "{value}");
            assert_eq!(cast_one(&bytes, Dtype::Float32, Dtype::Bfloat16), brain, "{value}");
        }
    }

    #[test]
    fn nan_stays_nan() {
        use Dtype as D;
        for (bits, from, to, expected) in [
            (0x7fc0_0000, D::Float32, D::Float16, 0x7e00),
            (0x7f80_0001, D::Float32, D::Float16, 0x7e00),
            (0xff81_2345, D::Float32, D::Float16, 0xfe09),
            (0x7fc0_0000, D::Float32, D::Bfloat16, 0xffff),
            (0x7ff0_0000_0000_0001, D::Float64, D::Float32, 0x7fc0_0000),
            (0xfff0_1234_5678_9abc, D::Float64, D::Float32, 0xffc0_91a2),
            (0xfff0_1234_5678_9abc, D::Float64, D::Float16, 0xfe04),
            (0xfd55, D::Float16, D::Float64, 0xfffd_5400_0000_0000),
            (0xfd55, D::Float16, D::Float32, 0xffea_a000),
            (0x7e00, D::Float16, D::Bfloat16, 0x7fc0),
            (0xffa5, D::Bfloat16, D::Float32, 0xffa5_0000),
            (0xffa5, D::Bfloat16, D::Float16, 0xff28),
            (0xffa5, D::Bfloat16, D::Float64, 0xfffc_a000_0000_0000),
        ] {
            let bytes = u64::to_le_bytes(bits);
            assert_eq!(cast_one(&bytes[..from.size()], from, to), expected, "{bits:#x} {from} {to}");
        }
    }
}
