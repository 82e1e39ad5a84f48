//! Memory checks before allocation: the memory available, and the memory that a network needs.
//!
//! Linux overcommits memory and kills a process that then uses it. Requests of a config or an input are therefore
//! compared with the memory available: free memory, and the limits of control groups (containers). The environment
//! variable `MMCV_MAX_MEMORY` sets another limit, in bytes.

use std::fs;
use std::path::Path;

use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::observe::{Trace, observe};
use crate::size::product;
use crate::{Error, Module, Parts, Result, call_child};

/// Smaller requests are not checked: the check costs more than the allocation.
const SMALL: u64 = 1 << 26;
/// Bytes of inputs above which a network is first tried on smaller ones.
const LARGE_INPUT: u64 = 1 << 24;
/// Sides of the smaller inputs in pixels.
const PROBES: [i64; 2] = [64, 128];
/// Bytes of a value of type float32.
const VALUE: u64 = 4;

/// The bytes available; `None` if the system does not report them.
#[must_use]
pub fn available() -> Option<u64> {
    if let Ok(limit) = std::env::var("MMCV_MAX_MEMORY")
        && let Ok(limit) = limit.parse()
    {
        return Some(limit);
    }
    const GROUP_V2: [&str; 3] = ["memory.max", "memory.current", "inactive_file"];
    const GROUP_V1: [&str; 3] = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
    let limits = [
        available_in_system(),
        available_in_group(Path::new("/sys/fs/cgroup"), GROUP_V2),
        available_in_group(Path::new("/sys/fs/cgroup/memory"), GROUP_V1),
    ];
    limits.into_iter().flatten().min()
}

/// The limit of a control group minus its usage. Cached files do not count as usage: the system drops them on demand.
fn available_in_group(folder: &Path, [limit, used, cached]: [&str; 3]) -> Option<u64> {
    let limit = read_number(&folder.join(limit))?;
    let used = read_number(&folder.join(used))?;
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cached = number_after(&stat, cached).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

fn read_number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number in the first line that consists of `key` and a number.
fn number_after(text: &str, key: &str) -> Option<u64> {
    for line in text.lines() {
        if let Some(value) = line.strip_prefix(key)
            && let Ok(number) = value.trim().parse()
        {
            return Some(number);
        }
    }
    None
}

fn available_in_system() -> Option<u64> {
    mem_available(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn mem_available(text: &str) -> Option<u64> {
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("MemAvailable:") {
            return value.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024);
        }
    }
    None
}

/// Checks that `bytes` are available for `purpose`.
///
/// # Errors
/// Returns an error with both numbers if they are not.
pub fn check(bytes: u64, purpose: &str) -> Result<()> {
    if bytes <= SMALL && std::env::var_os("MMCV_MAX_MEMORY").is_none() {
        return Ok(());
    }
    match available() {
        Some(available) if bytes > available => Err(Error::unsupported(format!(
            "{purpose} would take {}, and {} are available; the environment variable MMCV_MAX_MEMORY sets another limit, in bytes",
            size(bytes),
            size(available)
        ))),
        _ => Ok(()),
    }
}

/// The bytes of a tensor of float32.
#[must_use]
pub fn bytes_of(shape: &[i64]) -> u64 {
    u64::try_from(product(shape)).unwrap_or(u64::MAX).saturating_mul(VALUE)
}

/// Checks that memory suffices to run `module` on inputs of these shapes, before it is allocated. For large inputs the
/// memory is extrapolated from the largest layer on small inputs of two sizes.
///
/// # Errors
/// Returns an error if it does not suffice.
pub fn check_forward(module: &dyn Module, inputs: &[Vec<i64>]) -> Result<()> {
    let input_bytes = total_bytes(inputs);
    let shapes: Vec<String> = inputs.iter().map(|shape| format!("{shape:?}")).collect();
    let what = format!("an input of shape {}", shapes.join(", "));
    check(input_bytes, &what)?;
    if let Some((_, tensor)) = Parts::of(module).parameters.first()
        && tensor.device() != Device::Cpu
    {
        return Ok(());
    }
    if input_bytes < LARGE_INPUT && std::env::var_os("MMCV_MAX_MEMORY").is_none() {
        return Ok(());
    }
    match estimate(module, inputs) {
        Some(bytes) => check(bytes, &format!("running the network on {what}")),
        None => Ok(()),
    }
}

/// The bytes of float32 tensors of these shapes.
fn total_bytes(shapes: &[Vec<i64>]) -> u64 {
    let mut total = 0_u64;
    for shape in shapes {
        total = total.saturating_add(bytes_of(shape));
    }
    total
}

/// Estimates the bytes of the largest layer's inputs and outputs; `None` if the network does not run on smaller inputs.
fn estimate(module: &dyn Module, inputs: &[Vec<i64>]) -> Option<u64> {
    let [small_side, larger_side] = PROBES;
    let (small, small_input) = probe(module, inputs, small_side)?;
    let (larger, larger_input) = probe(module, inputs, larger_side)?;
    // A convolution grows linearly with its input, attention quadratically.
    let growth =
        if larger_input > small_input { (larger / small).ln() / (larger_input / small_input).ln() } else { 1.0 };
    let bytes = larger * (total_bytes(inputs) as f64 / larger_input).powf(growth.clamp(0.0, 2.0));
    // The conversion saturates.
    Some(bytes as u64)
}

/// The bytes of the largest layer, and of the inputs, for inputs of a smaller side.
fn probe(module: &dyn Module, inputs: &[Vec<i64>], side: i64) -> Option<(f64, f64)> {
    let shapes: Vec<Vec<i64>> = inputs.iter().map(|shape| smaller(shape, side)).collect();
    Some((peak(module, &shapes)? as f64, total_bytes(&shapes) as f64))
}

/// The shape with one sample and spatial dimensions of at most `side`.
fn smaller(shape: &[i64], side: i64) -> Vec<i64> {
    let mut smaller = shape.to_vec();
    if let [samples, _, spatial @ ..] = smaller.as_mut_slice()
        && !spatial.is_empty()
    {
        *samples = (*samples).min(1);
        for size in spatial {
            *size = (*size).min(side);
        }
    }
    smaller
}

/// The maximum over all layers of the bytes of their inputs and outputs.
fn peak(module: &dyn Module, shapes: &[Vec<i64>]) -> Option<u64> {
    let _guard = tch::no_grad_guard();
    let mut tensors = Vec::with_capacity(shapes.len());
    for shape in shapes {
        tensors.push(Tensor::f_zeros(shape, (Kind::Float, Device::Cpu)).ok()?);
    }
    let references: Vec<&Tensor> = tensors.iter().collect();
    let (output, Trace { calls, .. }) = observe(|| call_child("", module, &references, &Dict::new()));
    output.ok()?;
    calls.iter().map(|call| total_bytes(&call.inputs).saturating_add(total_bytes(&call.outputs))).max()
}

/// Formats a number of bytes.
fn size(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{:.1} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.1} GB", bytes as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_conv_layer;
    use mmcv_registry::{Config, dict};

    #[test]
    fn what_the_system_says_is_read() {
        assert_eq!(mem_available("MemTotal: 9 kB\nMemAvailable:    1024 kB\n"), Some(1 << 20));
        assert_eq!(mem_available("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn an_estimate_is_near_what_is_taken() {
        let conv = build_conv_layer(&Config::Null, &dict! { in_channels: 3, out_channels: 5, kernel_size: 1 }).unwrap();
        let bytes = estimate(&*conv, &[vec![2, 3, 1000, 2000]]).unwrap();
        let expected = 2 * 8 * 1000 * 2000 * VALUE;
        assert!(bytes.abs_diff(expected) < expected / 100, "{bytes} {expected}");
        assert!(check_forward(&*conv, &[vec![1, 3, 100_000_000, 100_000_000]]).is_err());
        assert!(check_forward(&*conv, &[vec![1, 3, i64::MAX, i64::MAX]]).is_err());
        assert!(check_forward(&*conv, &[vec![1, 3, 8, 8]]).is_ok());
    }

    #[test]
    fn layers_of_terabytes_are_refused() {
        for (inputs, outputs) in [(3, 1_000_000_000_000_i64), (1_000_000_000, 1_000_000_000), (i64::MAX, 1)] {
            let arguments = dict! { in_channels: inputs, out_channels: outputs, kernel_size: 3 };
            let error = build_conv_layer(&Config::Null, &arguments).unwrap_err().to_string();
            assert!(
                error.contains("out_channels") || error.contains("memory") || error.contains("available"),
                "{error}"
            );
        }
    }
}
