//! Example inputs: numbers that look normally distributed, without touching libtorch's generator.

use mmcv_layers::{Module, ModuleExt};
use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::memory;
use crate::error::{Error, Result};

/// A tensor of this shape, the same for the same `seed`.
pub(crate) fn normal(shape: &[i64], seed: u64, kind: Kind, device: Device) -> Result<Tensor> {
    check_size(shape, 0)?;
    let count = shape.iter().product::<i64>();
    let mut numbers: Vec<f32> = Vec::new();
    let mut state = seed;
    for _ in 0..count {
        // Four 16-bit uniform numbers, whose sum is nearly normal; their variance is 1/12 each.
        let bits = splitmix(&mut state);
        let sum: f32 = (0..4).map(|part| ((bits >> (16 * part)) & 0xffff) as f32 / 65536.0 - 0.5).sum();
        numbers.push(sum * 3f32.sqrt());
    }
    Ok(Tensor::f_from_slice(&numbers)?.f_reshape(shape)?.f_to_kind(kind)?.f_to_device(device)?)
}

/// Other numbers in the shape of `tensor`, if it has numbers that do not count something; else a copy.
pub(crate) fn like(tensor: &Tensor, seed: u64) -> Result<Tensor> {
    if is_float(tensor) {
        return normal(&tensor.size(), seed, tensor.kind(), tensor.device());
    }
    Ok(copy(tensor)?)
}

pub(crate) fn is_float(tensor: &Tensor) -> bool {
    matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16)
}

/// The type and device of the module's first floating-point tensor; f32 on the CPU if it has none.
pub(crate) fn kind_and_device(module: &dyn Module) -> (Kind, Device) {
    match module.state_dict().iter().find(|(_, tensor)| is_float(tensor)) {
        Some((_, weight)) => (weight.kind(), weight.device()),
        None => (Kind::Float, Device::Cpu),
    }
}

/// A copy of the tensor.
pub(crate) fn copy(tensor: &Tensor) -> Result<Tensor, TchError> {
    let mut copy = tensor.f_zeros_like()?;
    copy.f_copy_(tensor)?;
    Ok(copy)
}

/// Copies of the tensors.
pub(crate) fn copies(tensors: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
    tensors.iter().map(copy).collect()
}

/// A copy of the tensor in which the first element is no number and the last one is infinite.
pub(crate) fn broken(tensor: &Tensor) -> Result<Tensor> {
    let copy = copy(&tensor.f_contiguous()?)?;
    let flat = copy.f_view([-1i64])?;
    let last = flat.size1()?;
    if last == 0 {
        return Ok(copy);
    }
    let _: Tensor = flat.f_narrow(0, last - 1, 1)?.f_fill_(f64::INFINITY)?;
    let _: Tensor = flat.f_narrow(0, 0, 1)?.f_fill_(f64::NAN)?;
    Ok(copy)
}

/// Returns an error unless there can be a tensor of this shape: no size is less than `least`, and the machine has memory for it.
pub(crate) fn check_size(shape: &[i64], least: i64) -> Result<()> {
    if shape.iter().any(|size| *size < least) {
        return Err(Error::input(format!("an input whose sizes are all at least {least}"), format!("shape {shape:?}")));
    }
    let most = memory().unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs());
    if let Some(bytes) = bytes_of(shape)
        && bytes <= most
    {
        return Ok(());
    }
    let expected = format!("an input that fits into the memory of {most} bytes");
    Err(Error::input(expected, format!("shape {shape:?}, at 4 bytes for each element")))
}

/// The bytes of a tensor of this shape, at 4 for each element; `None` if that is no number of 64 bits.
fn bytes_of(shape: &[i64]) -> Option<u64> {
    let mut bytes: u64 = 4;
    for size in shape {
        bytes = bytes.checked_mul(size.unsigned_abs())?;
    }
    Some(bytes)
}

/// Steele et al., Fast Splittable Pseudorandom Number Generators (2014).
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
