//! Example inputs: numbers that look normally distributed, without touching libtorch's generator.

use tch::{Device, Kind, Tensor};

use crate::error::Result;

/// A tensor of the given shape, the same for the same `seed`.
pub(crate) fn normal(shape: &[i64], seed: u64, kind: Kind, device: Device) -> Result<Tensor> {
    let count = usize::try_from(shape.iter().product::<i64>()).unwrap_or(0);
    let mut state = seed;
    let numbers: Vec<f32> = (0..count)
        .map(|_| {
            // Four 16-bit uniform numbers, whose sum is nearly normal; their variance is 1/12 each.
            let bits = splitmix(&mut state);
            let sum: f32 = (0..4).map(|part| ((bits >> (16 * part)) & 0xffff) as f32 / 65536.0 - 0.5).sum();
            sum * 3f32.sqrt()
        })
        .collect();
    Ok(Tensor::f_from_slice(&numbers)?.f_reshape(shape)?.f_to_kind(kind)?.f_to_device(device)?)
}

/// Steele et al., Fast Splittable Pseudorandom Number Generators (2014).
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
