//! `mmcv export`: a network as an ONNX file.

mod verify;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use mmcv_cli::Failure;
use mmcv_cli::format::thousands;
use mmcv_cli::output::{create_parent, display, lossy, print, print_json};
use mmcv_layers::memory;
use mmcv_onnx::OnnxOptions;
use mmcv_registry::Config;
use serde::Serialize;

use crate::args::{ConfigOptions, Shape};
use crate::config;
use crate::network::load;
use crate::weights::CheckpointArgs;

/// The default height and width of an image.
const SIZE: i64 = 224;

/// Writes the network of a config as an ONNX file, for ONNX Runtime, OpenVINO, TensorRT, ncnn, tract and browsers.
///
/// Batch norms become part of the convolutions. The file takes any number of images.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv export torchvision://resnet50 --onnx resnet50.onnx
  mmcv export resnet50_8xb32_in1k.py --checkpoint resnet50.pth --onnx resnet50.onnx
  mmcv export model_zoo/configs/mobilenet_v2.yaml --onnx mobilenet_v2.onnx --verify ~/venv/bin/python
  mmcv export my.yaml --checkpoint epoch_10.pth --input 1x3x320x320 --dynamic --onnx my.onnx")]
pub(crate) struct Export {
    /// A config file, YAML, JSON or Python, with the dict of a type or a list of dicts, at the top level or under `model`, such as the
    /// whole config of an OpenMMLab project; or a model zoo name.
    config: String,
    #[command(flatten)]
    weights: CheckpointArgs,
    #[command(flatten)]
    options: ConfigOptions,
    /// The ONNX file.
    #[arg(long, value_name = "FILE")]
    onnx: PathBuf,
    /// The shape of the input [default: one image of the config's crop size, or of 224 x 224].
    #[arg(long, value_name = "SHAPE")]
    input: Option<Shape>,
    /// Lets the file take images of any height and width.
    #[arg(long)]
    dynamic: bool,
    /// Lets the file take the number of images of --input alone.
    #[arg(long)]
    fixed_batch: bool,
    /// The version of ONNX's operators.
    #[arg(long, value_name = "N", default_value_t = 17)]
    opset: i64,
    /// Keeps batch norms.
    #[arg(long)]
    no_fold: bool,
    /// Runs the file in ONNX Runtime on random inputs, and fails if the outputs differ from the network's by more than 1e-4 of the
    /// largest. PYTHON is a Python with the packages numpy and onnxruntime.
    #[arg(long, value_name = "PYTHON", num_args = 0..=1, default_missing_value = "python3")]
    verify: Option<String>,
    /// Prints JSON: the file, its nodes and its parameters.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    file: String,
    opset: i64,
    input: Vec<i64>,
    nodes: usize,
    parameters: i64,
    /// The largest difference of ONNX Runtime's outputs, as a share of the largest output.
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_difference: Option<f64>,
}

impl Export {
    /// The config file or the model zoo name.
    pub(super) fn name(&self) -> &str {
        &self.config
    }

    pub(crate) fn run(self) -> Result<(), Failure> {
        let config = config::read_with_options(&self.config, &self.options.cfg_options)?;
        let report = self.export(&config).with_context(|| self.config.clone())?;
        if self.json {
            return print_json(&report);
        }
        let parameters = thousands(u64::try_from(report.parameters).unwrap_or_default());
        let Report { file, nodes, opset, .. } = report;
        let mut text = format!("{file}: {nodes} nodes, {parameters} parameters, opset {opset}\n");
        if let Some(difference) = report.largest_difference {
            text.push_str(&format!("ONNX Runtime's outputs differ by {difference:.1e} of the largest\n"));
        }
        print(&text)
    }

    fn export(&self, config: &Config) -> Result<Report> {
        let (network, preprocess) = load(config, &self.weights)?;
        network.train(false);
        let input = match &self.input {
            Some(Shape(sizes)) => sizes.clone(),
            None => {
                let size = preprocess.and_then(|preprocess| preprocess.output_size());
                let [height, width] = size.unwrap_or([SIZE; 2]);
                vec![1, 3, height, width]
            }
        };
        memory::check_forward(&*network, std::slice::from_ref(&input))?;
        let model = mmcv_onnx::export(&*network, &input, &self.onnx_options())?;
        create_parent(&self.onnx)?;
        mmcv_pth::replace_file(&self.onnx, |temporary| {
            model.save(temporary).with_context(|| format!("cannot write {}", display(&self.onnx)))
        })?;
        let largest_difference = match &self.verify {
            Some(python) => Some(verify::verify(&self.onnx, &*network, &self.other_shapes(&input), python)?),
            None => None,
        };
        let (nodes, parameters) = (model.node_count(), model.parameter_count());
        Ok(Report { file: lossy(&self.onnx), opset: self.opset, input, nodes, parameters, largest_difference })
    }

    fn onnx_options(&self) -> OnnxOptions {
        let mut options = OnnxOptions::default();
        options.opset = self.opset;
        options.fold = !self.no_fold;
        options.dynamic_batch = !self.fixed_batch;
        options.dynamic_size = self.dynamic;
        options.metadata.push(("config".to_owned(), mmcv_zoo::redact(&self.config)));
        options
    }

    /// The shape of the input, and one with other free sizes.
    fn other_shapes(&self, input: &[i64]) -> Vec<Vec<i64>> {
        let mut other = input.to_vec();
        if let (Some(images), false) = (other.first_mut(), self.fixed_batch) {
            *images += 2;
        }
        if let ([_, _, height, width], true) = (other.as_mut_slice(), self.dynamic) {
            *height += 64;
            *width += 32;
        }
        let mut shapes = vec![input.to_vec()];
        if other != input {
            shapes.push(other);
        }
        shapes
    }
}
