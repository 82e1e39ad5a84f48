//! Whether ONNX Runtime computes what the network does.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use mmcv_layers::{Module, ModuleExt};
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

/// A program for Python with ONNX Runtime.
const PROGRAM: &str = include_str!("run.py");

/// The largest difference from the network's outputs that is accepted, as a share of the largest of them, or of 1.
const ACCEPTED: f64 = 1e-4;

/// Runs the file in ONNX Runtime, in this Python, on random inputs of these shapes. Returns the largest difference from the network's
/// outputs.
pub(super) fn verify(file: &Path, network: &dyn Module, shapes: &[Vec<i64>], python: &str) -> Result<f64> {
    let is_f32 = network.state_dict().iter().all(|(_, tensor)| tensor.kind() != Kind::Double);
    ensure!(is_f32, "--verify is for networks in f32");
    let _guard = tch::no_grad_guard();
    let mut largest = 0.0_f64;
    for shape in shapes {
        let input = Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?;
        let found = run(file, &input, python).with_context(|| format!("--verify {python}"))?;
        let mut expected = Vec::new();
        for output in network.call(&[&input], &Dict::new())?.into_vec() {
            expected.extend(Vec::<f32>::try_from(output.f_to_kind(Kind::Float)?.f_contiguous()?.f_flatten(0, -1)?)?);
        }
        let (found_count, count) = (found.len(), expected.len());
        ensure!(
            found_count == count,
            "ONNX Runtime returns {found_count} numbers, and the network {count}, for {shape:?}"
        );
        let mut scale = 1.0_f64;
        let mut difference = 0.0_f64;
        for (found, expected) in found.iter().zip(&expected) {
            scale = scale.max(f64::from(expected.abs()));
            difference = difference.max(f64::from((found - expected).abs()));
        }
        let share = difference / scale;
        if share.is_nan() || share > ACCEPTED {
            bail!("ONNX Runtime's outputs differ by {share:.1e} of the largest one, for an input of shape {shape:?}");
        }
        largest = largest.max(share);
    }
    Ok(largest)
}

/// The numbers that ONNX Runtime returns for the input.
fn run(file: &Path, input: &Tensor, python: &str) -> Result<Vec<f32>> {
    let mut bytes = vec![0; input.numel() * 4];
    input.f_copy_data_u8(&mut bytes, input.numel())?;
    let mut command = Command::new(python);
    command.arg("-c").arg(PROGRAM).arg(file).args(input.size().iter().map(i64::to_string));
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = process.stdin.take() {
        // A program that has ended says why below.
        let _ = stdin.write_all(&bytes);
    }
    let output = process.wait_with_output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("{}", text.lines().last().unwrap_or("it failed"));
    }
    let numbers =
        output.stdout.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    Ok(numbers.collect())
}
