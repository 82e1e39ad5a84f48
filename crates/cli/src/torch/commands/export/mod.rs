//! `mmcv export`: a network as an ONNX file.

mod files;
mod metadata;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use mmcv_cli::Failure;
use mmcv_cli::format::thousands;
use mmcv_cli::output::{lossy, print, print_json};
use mmcv_fuse::graph::{self, TraceOptions};
use mmcv_layers::memory;
use mmcv_models::{ChannelOrder, Preprocess};
use mmcv_onnx::{ImageInput, OnnxOptions, Precision};
use mmcv_registry::Config;
use serde::Serialize;

use crate::args::{ConfigOptions, Shape};
use crate::config;
use crate::network::{DefaultWeights, Loaded, load};
use crate::weights::{CheckpointArgs, check_complete};

use verify::{Runtime, Verification};

/// The default height and width of an image.
const SIZE: i64 = 224;

/// The first version of ONNX's operators with convolutions in bfloat16.
const BF16_OPSET: i64 = 22;

/// Writes the network of a config as an ONNX file, for ONNX Runtime, OpenVINO, TensorRT, ncnn, tract and browsers, or as a TorchScript
/// file.
///
/// The weights are those of --checkpoint, or else of the config's checkpoint. Batch norms become part of the convolutions. An ONNX file
/// takes any number of images, and says in its metadata which config, weights, preprocessing and classes it has.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv export torchvision://resnet50 --onnx resnet50.onnx
  mmcv export resnet50_8xb32_in1k.py --checkpoint resnet50.pth --onnx resnet50.onnx
  mmcv export model_zoo/configs/mobilenet_v2.yaml --onnx mobilenet_v2.onnx --verify ~/venv/bin/python
  mmcv export my.yaml --checkpoint epoch_10.pth --input 1x3x320x320 --dynamic --onnx my.onnx
  mmcv export torchvision://resnet50 --preprocess --softmax --onnx resnet50.onnx
  mmcv export torchvision://resnet50 --fp16 --external-data --onnx resnet50.onnx
  mmcv export torchvision://resnet50 --torchscript resnet50.pt")]
pub(crate) struct Export {
    /// A config file, YAML, JSON or Python, with the dict of a type or a list of dicts, at the top level or under `model`, such as the
    /// whole config of an OpenMMLab project; or a model zoo name.
    config: String,
    #[command(flatten)]
    weights: CheckpointArgs,
    #[command(flatten)]
    options: ConfigOptions,
    /// The ONNX file.
    #[arg(long, value_name = "FILE", required_unless_present = "torchscript")]
    onnx: Option<PathBuf>,
    /// A TorchScript file, for torch.jit.load and libtorch: the network as it is, for inputs of the shape of --input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["preprocess", "softmax", "fp16", "bf16"])]
    torchscript: Option<PathBuf>,
    /// The shape of the input [default: one image of the config's crop size, or of 224 x 224].
    #[arg(long, value_name = "SHAPE")]
    input: Option<Shape>,
    /// Lets the file take images of any height and width.
    #[arg(long)]
    dynamic: bool,
    /// Lets the file take the number of images of --input alone.
    #[arg(long)]
    fixed_batch: bool,
    /// Lets the file take images in 8 bits: RGB, BATCHxHEIGHTxWIDTHx3, in the size of --input. It normalizes them as the config says;
    /// resizing, cropping and padding stay outside.
    #[arg(long)]
    preprocess: bool,
    /// Adds a softmax over axis 1 of the output: scores of classes that add up to 1.
    #[arg(long)]
    softmax: bool,
    /// Writes the weights to FILE.data beside the ONNX file, which runtimes read with it. Weights of 2 GiB and more always are.
    #[arg(long)]
    external_data: bool,
    /// Stores the weights in float16 and computes with them; inputs and outputs stay float32.
    #[arg(long)]
    fp16: bool,
    /// Stores the weights in bfloat16 and computes with them; inputs and outputs stay float32.
    #[arg(long, conflicts_with = "fp16")]
    bf16: bool,
    /// The version of ONNX's operators [default: 17, or 22 with --bf16].
    #[arg(long, value_name = "N")]
    opset: Option<i64>,
    /// Keeps batch norms.
    #[arg(long)]
    no_fold: bool,
    /// Runs the file in ONNX Runtime, or in each --runtime, on random inputs, and fails if the outputs differ from the network's by more
    /// than 1e-4 of the largest (2e-2 with --fp16, 1e-1 with --bf16). PYTHON is a Python with numpy and the runtime.
    #[arg(long, value_name = "PYTHON", num_args = 0..=1, default_missing_value = "python3")]
    verify: Option<String>,
    /// What --verify runs the file in; can be given several times.
    #[arg(long, value_enum, value_name = "NAME", default_value = "onnxruntime", requires = "verify")]
    runtime: Vec<Runtime>,
    /// Prints JSON: the file, its nodes and its parameters.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    onnx: Option<OnnxReport>,
    /// The TorchScript file.
    #[serde(skip_serializing_if = "Option::is_none")]
    torchscript: Option<String>,
    /// The shape of the network's input.
    input: Vec<i64>,
}

#[derive(Debug, Serialize)]
struct OnnxReport {
    file: String,
    /// The file with the weights, if it is not the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    opset: i64,
    nodes: usize,
    parameters: i64,
    /// The largest difference of each runtime's outputs, as a share of the largest output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
}

impl OnnxReport {
    fn to_text(&self) -> String {
        let Self { file, data, opset, nodes, parameters, differences } = self;
        let parameters = thousands(u64::try_from(*parameters).unwrap_or_default());
        let mut text = format!("{file}: {nodes} nodes, {parameters} parameters, opset {opset}\n");
        if let Some(data) = data {
            text.push_str(&format!("{data}: the weights\n"));
        }
        for Difference { runtime, largest } in differences {
            text.push_str(&format!("{runtime}'s outputs differ by {largest:.1e} of the largest\n"));
        }
        text
    }
}

#[derive(Debug, Serialize)]
struct Difference {
    runtime: &'static str,
    largest: f64,
}

impl Export {
    /// The config file or the model zoo name.
    pub(super) fn name(&self) -> &str {
        &self.config
    }

    pub(crate) fn run(self) -> Result<(), Failure> {
        let report = self.export().with_context(|| mmcv_zoo::redact(&self.config))?;
        if self.json {
            return print_json(&report);
        }
        let mut text = String::new();
        if let Some(onnx) = &report.onnx {
            text.push_str(&onnx.to_text());
        }
        if let Some(file) = &report.torchscript {
            text.push_str(&format!("{file}: TorchScript\n"));
        }
        print(&text)
    }

    fn export(&self) -> Result<Report> {
        let loaded = load(&self.read_config()?, &self.weights, DefaultWeights::OfConfig)?;
        match &loaded.checkpoint {
            Some(checkpoint) => check_complete(&checkpoint.report, "so the file would have random numbers")?,
            None => log::warn!("the file has initial weights: neither --checkpoint nor the config names others"),
        }
        loaded.network.train(false);
        let input = self.input_shape(loaded.preprocess());
        memory::check_forward(&*loaded.network, std::slice::from_ref(&input))?;
        let onnx = match &self.onnx {
            Some(file) => Some(self.export_onnx(&loaded, &input, file)?),
            None => None,
        };
        let mut torchscript = None;
        if let Some(file) = &self.torchscript {
            let mut options = TraceOptions::default();
            options.fold = !self.no_fold;
            let example = graph::example(&*loaded.network, &input)?;
            files::save_script(&*loaded.network, &example, options, file)?;
            torchscript = Some(lossy(file));
        }
        Ok(Report { onnx, torchscript, input })
    }

    fn export_onnx(&self, loaded: &Loaded, input: &[i64], file: &Path) -> Result<OnnxReport> {
        let options = self.onnx_options(loaded, input)?;
        let mut model = mmcv_onnx::export(&*loaded.network, input, &options)?;
        if let Some(names) = metadata::class_names(loaded, &model.output_shapes()) {
            model.set_metadata("class_names", &names);
        }
        let data = files::save(&model, file, self.external_data)?;
        let (nodes, parameters) = (model.node_count(), model.parameter_count());
        drop(model);
        let mut differences = Vec::new();
        if let Some(python) = &self.verify {
            let found = self.verification(loaded, file, python).run(&self.other_shapes(input))?;
            for (runtime, largest) in self.runtime.iter().zip(found) {
                differences.push(Difference { runtime: runtime.name(), largest });
            }
        }
        let (file, data) = (lossy(file), data.as_deref().map(lossy));
        Ok(OnnxReport { file, data, opset: options.opset, nodes, parameters, differences })
    }

    /// The config, with the preprocessing of known weights.
    fn read_config(&self) -> Result<Config> {
        let mut config = config::read(&self.config)?;
        if config::is_recipe(&config) {
            self.weights.add_known_preprocess(&mut config)?;
        }
        config::set_options(&mut config, &self.options.cfg_options)?;
        Ok(config)
    }

    /// The shape of the network's input.
    fn input_shape(&self, preprocess: Option<&Preprocess>) -> Vec<i64> {
        if let Some(Shape(sizes)) = &self.input {
            return sizes.clone();
        }
        let size = preprocess.and_then(Preprocess::output_size);
        let [height, width] = size.unwrap_or([SIZE; 2]);
        vec![1, 3, height, width]
    }

    fn onnx_options(&self, loaded: &Loaded, input: &[i64]) -> Result<OnnxOptions> {
        let mut options = OnnxOptions::default();
        if self.fp16 {
            options.precision = Precision::Float16;
        }
        if self.bf16 {
            options.precision = Precision::Bfloat16;
            options.opset = BF16_OPSET;
        }
        if let Some(opset) = self.opset {
            options.opset = opset;
        }
        options.fold = !self.no_fold;
        options.dynamic_batch = !self.fixed_batch;
        options.dynamic_size = self.dynamic;
        options.softmax = self.softmax;
        if self.preprocess {
            options.image_input = Some(image_input(loaded.preprocess(), input).context("--preprocess")?);
        }
        options.metadata = metadata::of_network(&self.config, loaded, self.preprocess)?;
        Ok(options)
    }

    fn verification<'a>(&'a self, loaded: &'a Loaded, file: &'a Path, python: &'a str) -> Verification<'a> {
        let preprocess = if self.preprocess { loaded.preprocess() } else { None };
        let accepted = if self.fp16 {
            verify::ACCEPTED_FP16
        } else if self.bf16 {
            verify::ACCEPTED_BF16
        } else {
            verify::ACCEPTED
        };
        let (network, runtimes) = (&*loaded.network, self.runtime.as_slice());
        Verification { file, network, preprocess, softmax: self.softmax, accepted, runtimes, python }
    }

    /// The shape of the input, and one with other free sizes.
    fn other_shapes(&self, input: &[i64]) -> Vec<Vec<i64>> {
        let mut other = input.to_vec();
        if let (Some(images), false) = (other.first_mut(), self.fixed_batch) {
            *images += 2;
        }
        if let ([_, _, height, width], true) = (other.as_mut_slice(), self.dynamic) {
            *height += 96;
            *width += 32;
        }
        let mut shapes = vec![input.to_vec()];
        if other != input {
            shapes.push(other);
        }
        shapes
    }
}

/// The images that the file takes, normalized as the config says.
fn image_input(preprocess: Option<&Preprocess>, input: &[i64]) -> Result<ImageInput> {
    let preprocess =
        preprocess.context("the config has no preprocessing: set `model` and `preprocess: {mean: ..., std: ...}`")?;
    let divisor = preprocess.pad_size_divisor.max(1);
    for side in input.iter().skip(2) {
        ensure!(
            side % divisor == 0,
            "the sides of --input have to be multiples of {divisor}, as pad_size_divisor says"
        );
    }
    let reverse_channels = preprocess.channel_order == ChannelOrder::Bgr;
    Ok(ImageInput::new(&preprocess.mean, &preprocess.std).with_reverse_channels(reverse_channels))
}
