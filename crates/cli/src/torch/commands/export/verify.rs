//! Whether a runtime computes what the network does.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use mmcv_layers::{Module, ModuleExt};
use mmcv_models::Preprocess;
use mmcv_registry::Dict;
use tch::{Device, Kind, Tensor};

/// A program for Python with the runtimes.
const PROGRAM: &str = include_str!("run.py");

/// The largest difference from the network's outputs that is accepted, as a share of the largest of them.
pub(super) const ACCEPTED: f64 = 1e-4;
/// The same for files in 16 bits, whose errors grow with the depth of the network.
pub(super) const ACCEPTED_FP16: f64 = 2e-2;
pub(super) const ACCEPTED_BF16: f64 = 1e-1;

/// A program that runs ONNX files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Runtime {
    /// ONNX Runtime: the package onnxruntime.
    Onnxruntime,
    /// OpenVINO: the package openvino.
    Openvino,
}

impl Runtime {
    /// The name of the package.
    fn package(self) -> &'static str {
        match self {
            Self::Onnxruntime => "onnxruntime",
            Self::Openvino => "openvino",
        }
    }

    /// The name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Onnxruntime => "ONNX Runtime",
            Self::Openvino => "OpenVINO",
        }
    }
}

/// A file, and what it is compared with.
pub(super) struct Verification<'a> {
    pub(super) file: &'a Path,
    pub(super) network: &'a dyn Module,
    /// The preprocessing, if the file takes images in 8 bits.
    pub(super) preprocess: Option<&'a Preprocess>,
    /// Whether the file ends with a softmax.
    pub(super) softmax: bool,
    /// The largest difference that is accepted.
    pub(super) accepted: f64,
    pub(super) runtimes: &'a [Runtime],
    pub(super) python: &'a str,
}

impl Verification<'_> {
    /// Runs the file on random inputs, for which the network's have these shapes. Returns the largest difference of each runtime's outputs
    /// from the network's.
    pub(super) fn run(&self, shapes: &[Vec<i64>]) -> Result<Vec<f64>> {
        let is_f32 = self.network.state_dict().iter().all(|(_, tensor)| tensor.kind() != Kind::Double);
        ensure!(is_f32, "--verify is for networks in f32");
        let _guard = tch::no_grad_guard();
        let mut largest = vec![0.0_f64; self.runtimes.len()];
        for shape in shapes {
            let (input, network_input) = self.inputs(shape)?;
            let expected = self.expected(&network_input)?;
            for (runtime, largest) in self.runtimes.iter().zip(&mut largest) {
                let found = self.call(*runtime, &input).with_context(|| format!("--verify {}", self.python))?;
                let share = difference(&found, &expected)
                    .with_context(|| format!("{} with an input of shape {shape:?}", runtime.name()))?;
                if share.is_nan() || share > self.accepted {
                    let name = runtime.name();
                    bail!("{name}'s outputs differ by {share:.1e} of the largest one, for an input of shape {shape:?}");
                }
                *largest = largest.max(share);
            }
        }
        Ok(largest)
    }

    /// A random input of the file, and what the network takes instead.
    fn inputs(&self, shape: &[i64]) -> Result<(Tensor, Tensor)> {
        let Some(preprocess) = self.preprocess else {
            let input = Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?;
            return Ok((input.shallow_clone(), input));
        };
        let pixels = Tensor::f_randint(256, shape, (Kind::Uint8, Device::Cpu))?;
        Ok((pixels.f_permute([0, 2, 3, 1])?.f_contiguous()?, preprocess.normalize(&pixels)?))
    }

    /// The numbers that the network returns.
    fn expected(&self, input: &Tensor) -> Result<Vec<f32>> {
        let mut expected = Vec::new();
        for output in self.network.call(&[input], &Dict::new())?.into_vec() {
            let mut output = output.f_to_kind(Kind::Float)?;
            if self.softmax {
                output = output.f_softmax(1, Kind::Float)?;
            }
            expected.extend(Vec::<f32>::try_from(output.f_contiguous()?.f_flatten(0, -1)?)?);
        }
        Ok(expected)
    }

    /// The numbers that a runtime returns for the input.
    fn call(&self, runtime: Runtime, input: &Tensor) -> Result<Vec<f32>> {
        let mut bytes = vec![0; input.numel() * input.kind().elt_size_in_bytes()];
        input.f_copy_data_u8(&mut bytes, input.numel())?;
        let mut command = Command::new(self.python);
        command.args(["-c", PROGRAM, runtime.package()]).arg(self.file).args(input.size().iter().map(i64::to_string));
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
}

/// The largest difference, as a share of the largest expected number.
fn difference(found: &[f32], expected: &[f32]) -> Result<f64> {
    let (found_count, count) = (found.len(), expected.len());
    ensure!(found_count == count, "it returns {found_count} numbers, and the network {count}");
    let mut scale = 0.0_f64;
    let mut difference = 0.0_f64;
    for (found, expected) in found.iter().zip(expected) {
        scale = scale.max(f64::from(expected.abs()));
        let distance = f64::from((found - expected).abs());
        if distance.is_nan() {
            return Ok(distance);
        }
        difference = difference.max(distance);
    }
    Ok(if difference == 0.0 { 0.0 } else { difference / scale })
}
