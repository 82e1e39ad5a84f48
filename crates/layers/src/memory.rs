//! Memory: what the system has, and what a network would take, before it is taken.
//!
//! Linux promises more memory than it has, and ends a process that uses it. So what a config or an input asks for is compared
//! first with what is available: free memory, and the limits of the control groups (containers). The environment variable
//! `MMCV_MAX_MEMORY` sets another limit, in bytes.

use std::fs;
use std::path::Path;

use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

use crate::observe::{Log, observe};
use crate::size::product;
use crate::{Error, Module, Parts, Result, call_child};

/// What is smaller is not looked at: it costs more to ask the system than to take it.
const SMALL: u64 = 1 << 26;
/// Bytes of inputs from which a network is tried on smaller ones first.
const LARGE_INPUT: u64 = 1 << 24;
/// Pixels of a side of the inputs on which it is tried.
const PROBES: [i64; 2] = [64, 128];
/// Bytes of a value of type float32.
const VALUE: u64 = 4;

/// How many bytes can be taken; `None` where the system does not say.
#[must_use]
pub fn available() -> Option<u64> {
    if let Some(limit) = std::env::var("MMCV_MAX_MEMORY").ok().and_then(|limit| limit.parse().ok()) {
        return Some(limit);
    }
    let of_system = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_available(&text));
    of_system
        .into_iter()
        .chain(of_group("/sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file"]))
        .chain(of_group(
            "/sys/fs/cgroup/memory",
            ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
        ))
        .min()
}

/// What a control group leaves: its limit without what is used. Of that, files that are only cached are given back.
fn of_group(folder: &str, [limit, used, cached]: [&str; 3]) -> Option<u64> {
    let text = |file: &str| fs::read_to_string(Path::new(folder).join(file)).ok();
    let number = |file: &str| text(file)?.trim().parse::<u64>().ok();
    let stat = text("memory.stat").unwrap_or_default();
    let cached = stat.lines().find_map(|line| line.strip_prefix(cached)?.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(number(limit)?.saturating_sub(number(used)?.saturating_sub(cached)))
}

fn mem_available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Checks that `bytes` can be taken for `what`.
///
/// # Errors
/// Where they cannot; the error has both numbers.
pub fn check(bytes: u64, what: &str) -> Result<()> {
    if bytes <= SMALL && std::env::var_os("MMCV_MAX_MEMORY").is_none() {
        return Ok(());
    }
    match available() {
        Some(available) if bytes > available => Err(Error::unsupported(format!(
            "{what} would take {}, and {} are available; the environment variable MMCV_MAX_MEMORY sets another limit, in bytes",
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

/// Checks that `module` can run on inputs of these shapes, before memory is taken for them: large ones are estimated by running it
/// on small ones of two sizes, and seeing how its largest layer grows.
///
/// # Errors
/// Where it would take more memory than is available.
pub fn check_forward(module: &dyn Module, inputs: &[Vec<i64>]) -> Result<()> {
    let own = inputs.iter().map(|shape| bytes_of(shape)).fold(0, u64::saturating_add);
    let shapes: Vec<String> = inputs.iter().map(|shape| format!("{shape:?}")).collect();
    let what = format!("an input of shape {}", shapes.join(", "));
    check(own, &what)?;
    let parameters = Parts::of(module).parameters;
    let on_cpu = parameters.first().is_none_or(|(_, tensor)| tensor.device() == Device::Cpu);
    if !on_cpu || own < LARGE_INPUT && std::env::var_os("MMCV_MAX_MEMORY").is_none() {
        return Ok(());
    }
    match estimate(module, inputs) {
        Some(bytes) => check(bytes, &format!("running the network on {what}")),
        None => Ok(()),
    }
}

/// About how many bytes the largest layer takes for its inputs and outputs; `None` where the network does not run on smaller
/// inputs.
fn estimate(module: &dyn Module, inputs: &[Vec<i64>]) -> Option<u64> {
    let [small, larger] = PROBES.map(|side| {
        let shapes: Vec<Vec<i64>> = inputs.iter().map(|shape| smaller(shape, side)).collect();
        let values = shapes.iter().map(|shape| bytes_of(shape)).fold(0, u64::saturating_add);
        Some((peak(module, &shapes)?, values as f64))
    });
    let ((small, small_input), (larger, larger_input)) = (small?, larger?);
    let own = inputs.iter().map(|shape| bytes_of(shape)).fold(0, u64::saturating_add) as f64;
    // A convolution grows as its input does, attention with its square.
    let growth =
        if larger_input > small_input { (larger / small).ln() / (larger_input / small_input).ln() } else { 1.0 };
    let bytes = larger * (own / larger_input).powf(growth.clamp(0.0, 2.0));
    // A float beyond the range becomes the largest integer.
    Some(bytes as u64)
}

/// The same shape with one sample, and spatial dimensions of `side` at most.
fn smaller(shape: &[i64], side: i64) -> Vec<i64> {
    let dimension = |(dimension, size): (usize, &i64)| match dimension {
        0 if shape.len() > 2 => (*size).min(1),
        2.. => (*size).min(side),
        _ => *size,
    };
    shape.iter().enumerate().map(dimension).collect()
}

/// The most bytes that the inputs and outputs of one layer have together.
fn peak(module: &dyn Module, shapes: &[Vec<i64>]) -> Option<f64> {
    let _guard = tch::no_grad_guard();
    let zeros = |shape: &Vec<i64>| Tensor::f_zeros(shape, (Kind::Float, Device::Cpu)).ok();
    let tensors = shapes.iter().map(zeros).collect::<Option<Vec<_>>>()?;
    let references: Vec<&Tensor> = tensors.iter().collect();
    let (output, Log { calls, .. }) = observe(|| call_child("", module, &references, &Dict::new()));
    output.ok()?;
    let bytes = |shapes: &[Vec<i64>]| shapes.iter().map(|shape| bytes_of(shape)).fold(0, u64::saturating_add);
    calls.iter().map(|call| bytes(&call.inputs).saturating_add(bytes(&call.outputs))).max().map(|bytes| bytes as f64)
}

/// Bytes for people.
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
