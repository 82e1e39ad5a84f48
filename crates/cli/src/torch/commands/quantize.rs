//! `mmcv quantize`: a network in integers of 8 bits.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use mmcv_cli::Failure;
use mmcv_cli::format::{size, table};
use mmcv_cli::output::{create_parent, display, lossy, print, print_json};
use mmcv_cli::progress;
use mmcv_fuse::{
    Calibration, CalibrationOptions, Deviation, FuseOptions, Quantization, QuantizedLayer, RangeMethod, deviation, fuse,
};
use mmcv_layers::Module;
use mmcv_models::{MODELS, Preprocess, Recipe};
use serde::Serialize;
use tch::Tensor;

use crate::batch::{Source, image_sources};
use crate::crops::normalized_crops;
use crate::image::{ReadOptions, read, to_tensor};
use crate::weights::Weights;

/// By default there are so many crops of each image that there are this many inputs at least.
const INPUTS: usize = 128;

/// One in so many images is not used to calibrate, but to measure the result.
const MEASURED: usize = 4;

/// The number of inputs in one forward pass.
const BATCH: usize = 8;

/// How many layers the text shows.
const SHOWN_LAYERS: usize = 5;

/// Writes a network with integers of 8 bits in place of most of its numbers: a quarter of the size, and faster.
///
/// The images show which numbers occur in the network; they should be like those that it will see, and need no labels. Every fourth of
/// them is set aside, and its classes in 8 bits are compared with those in 32 bits. `predict` and `bench` take the file with
/// --quantized, and need no other checkpoint then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv quantize model_zoo/configs/mobilenet_v2.yaml --calibrate photos/ --out mobilenet_v2.int8.safetensors
  mmcv quantize my.yaml --checkpoint epoch_10.pth --calibrate photos/ --max-drop 1 --out my.int8.safetensors
  mmcv predict model_zoo/configs/mobilenet_v2.yaml cat.jpg --quantized mobilenet_v2.int8.safetensors")]
pub(crate) struct Quantize {
    #[command(flatten)]
    pub(super) weights: Weights,
    /// Images (PNG, JPEG, WebP or BMP), or folders, which are searched recursively.
    #[arg(long, required = true, value_name = "FOLDER", num_args = 1..)]
    calibrate: Vec<PathBuf>,
    /// The file: safetensors.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How the range of each value is chosen.
    #[arg(long, value_enum, default_value_t = Method::Mse)]
    method: Method,
    /// The share of numbers within the range, in percent, for --method percentile.
    #[arg(long, value_name = "PERCENT", default_value_t = 99.99)]
    percentile: f64,
    /// Random crops of each image, besides the whole one [default: as many as make 128 inputs].
    #[arg(long, value_name = "N")]
    crops: Option<usize>,
    /// Leaves layers in 32 bits, those with the largest errors first, until the classes of at most this share of the images set aside
    /// differ, in percent.
    #[arg(long, value_name = "PERCENT")]
    max_drop: Option<f64>,
    /// Keeps biases as they are. By default they are changed so that each channel has the same mean as in 32 bits.
    #[arg(long)]
    no_bias_correction: bool,
    /// Prints JSON: the file, how far its scores are from those in 32 bits, and the error of each layer.
    #[arg(long)]
    json: bool,
}

/// How the range of a value is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// With the smallest mean square error.
    Mse,
    /// The smallest and the largest number.
    MinMax,
    /// A share of the numbers.
    Percentile,
    /// With the smallest Kullback-Leibler divergence.
    Entropy,
}

#[derive(Debug, Serialize)]
struct Report {
    file: String,
    bytes: usize,
    /// The images, and whole images and crops, that the ranges are from.
    images: usize,
    inputs: usize,
    /// How far the scores are from those in 32 bits, for images that the ranges are not from.
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<ScoreReport>,
    /// The layers in 32 bits.
    left: Vec<String>,
    layers: Vec<QuantizedLayer>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct ScoreReport {
    inputs: usize,
    same_class: usize,
    largest_difference: f64,
    mean_difference: f64,
    largest_score: f64,
}

impl Quantize {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let sources = image_sources(&self.calibrate)?;
        let recipe = self.weights.recipe()?;
        let report = self.quantize(&recipe, &sources).with_context(|| self.weights.name().to_owned())?;
        if self.json {
            return print_json(&report);
        }
        print(&report.text())
    }

    fn quantize(&self, recipe: &Recipe, sources: &[Source]) -> Result<Report> {
        let consequence = "so there is nothing to quantize: pass weights with --checkpoint";
        let (network, _) = self.weights.load(recipe.checkpoint.as_ref(), || recipe.build(&MODELS), consequence)?;
        network.train(false);
        let size = recipe.preprocess.output_size();
        let [height, width] = size.context("the images need one size: set preprocess.crop_size")?;
        let (calibrating, measuring) = split(sources);
        let crops = self.crops.unwrap_or(INPUTS.div_ceil(calibrating.len()).saturating_sub(1));

        let mut calibration = Calibration::new(&*network, &[1, 3, height, width], self.options())?;
        let bar = progress::items(calibrating.len(), "images");
        let mut inputs = 0;
        for source in &calibrating {
            for batch in batches(source, &recipe.preprocess, [height, width], crops)? {
                inputs += usize::try_from(batch.size4()?.0)?;
                calibration.observe(&batch)?;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();

        let mut measured = Vec::new();
        for source in &measuring {
            measured.extend(batches(source, &recipe.preprocess, [height, width], crops)?);
        }
        let trial = Trial { network: &*network, calibration: &calibration, measured };
        let (quantization, deviation, left) = trial.within(self.max_drop)?;
        let bytes = quantization.to_bytes()?;
        create_parent(&self.out)?;
        mmcv_pth::replace_file(&self.out, |temporary| {
            std::fs::write(temporary, &bytes).with_context(|| format!("cannot write {}", display(&self.out)))
        })?;
        Ok(Report {
            file: lossy(&self.out),
            bytes: bytes.len(),
            images: calibrating.len(),
            inputs,
            scores: deviation.map(ScoreReport::new),
            left,
            layers: quantization.layers().to_vec(),
        })
    }

    fn options(&self) -> CalibrationOptions {
        let mut options = CalibrationOptions::default();
        options.method = match self.method {
            Method::Mse => RangeMethod::Mse,
            Method::MinMax => RangeMethod::MinMax,
            Method::Percentile => RangeMethod::Percentile(self.percentile),
            Method::Entropy => RangeMethod::Entropy,
        };
        options.bias_correction = !self.no_bias_correction;
        options
    }
}

/// The images that ranges are from, and those that the result is measured with: none if there are few.
fn split(sources: &[Source]) -> (Vec<&Source>, Vec<&Source>) {
    let (mut calibrating, mut measuring) = (Vec::new(), Vec::new());
    for (index, source) in sources.iter().enumerate() {
        if index % MEASURED == MEASURED - 1 { measuring.push(source) } else { calibrating.push(source) }
    }
    (calibrating, measuring)
}

/// The image as the network gets it, and random crops of it, in batches.
fn batches(source: &Source, preprocess: &Preprocess, size: [i64; 2], crops: usize) -> Result<Vec<Tensor>> {
    let image = read(&source.file, ReadOptions::default()).with_context(|| display(&source.file))?;
    let pixels = to_tensor(&image)?;
    let mut inputs = vec![preprocess.apply(&pixels)?];
    if crops > 0 && size[0] == size[1] {
        inputs.push(normalized_crops(&pixels, preprocess, crops, size[0])?);
    }
    Ok(Tensor::f_cat(&inputs, 0)?.f_split(i64::try_from(BATCH)?, 0)?)
}

/// A network with its ranges, and inputs to measure with.
struct Trial<'a> {
    network: &'a dyn Module,
    calibration: &'a Calibration,
    measured: Vec<Tensor>,
}

impl Trial<'_> {
    /// The network in 8 bits but for as many layers as the classes need, the deviation of its scores, and these layers.
    fn within(&self, max_drop: Option<f64>) -> Result<(Quantization, Option<Deviation>, Vec<String>)> {
        let all = self.calibration.finish()?;
        let mut worst: Vec<usize> = (0..all.layers().len()).collect();
        let error = |index: &usize| all.layers().get(*index).map_or(0.0, |layer| layer.error);
        worst.sort_by(|left, right| error(right).total_cmp(&error(left)));
        let mut count = 0;
        loop {
            let left = worst.get(..count).unwrap_or(&worst);
            let quantization = if count == 0 { all.clone() } else { self.calibration.finish_without(left)? };
            let deviation = self.deviation(&quantization)?;
            let fits = match (max_drop, &deviation) {
                (Some(most), Some(found)) => found.agree as f64 >= (1.0 - most / 100.0) * found.images as f64,
                _ => true,
            };
            if fits || count >= worst.len() {
                let names = left.iter().filter_map(|index| all.layers().get(*index));
                return Ok((quantization, deviation, names.map(|layer| layer.module.clone()).collect()));
            }
            count = (count * 2).clamp(1, worst.len());
        }
    }

    fn deviation(&self, quantization: &Quantization) -> Result<Option<Deviation>> {
        let Some(first) = self.measured.first() else { return Ok(None) };
        let mut options = FuseOptions::default();
        options.quantization = Some(quantization.clone().into());
        let fused = fuse(self.network, &first.size(), &options)?;
        Ok(Some(deviation(self.network, &fused, &self.measured)?))
    }
}

impl ScoreReport {
    fn new(deviation: Deviation) -> Self {
        Self {
            inputs: deviation.images,
            same_class: deviation.agree,
            largest_difference: deviation.largest,
            mean_difference: deviation.mean,
            largest_score: deviation.scale,
        }
    }
}

impl Report {
    fn text(&self) -> String {
        let layers = self.layers.len();
        let mut text = format!("{}: {}, {layers} layers in 8 bits\n", self.file, size(self.bytes as u64));
        text.push_str(&format!("ranges from {} inputs of {} images\n", self.inputs, self.images));
        match self.scores {
            Some(scores) => text.push_str(&format!(
                "{} of {} inputs of other images have the class that they have in 32 bits; scores differ by {:.3} at most and {:.3} \
                 on average, of {:.1}\n",
                scores.same_class, scores.inputs, scores.largest_difference, scores.mean_difference, scores.largest_score
            )),
            None => text.push_str("not compared with 32 bits: that takes four images or more\n"),
        }
        if !self.left.is_empty() {
            text.push_str(&format!("in 32 bits: {}\n", self.left.join(", ")));
        }
        let mut layers: Vec<&QuantizedLayer> = self.layers.iter().collect();
        layers.sort_by(|left, right| right.error.total_cmp(&left.error));
        let mut rows = vec![["largest errors", "of the layer's numbers"].map(str::to_owned)];
        for layer in layers.into_iter().take(SHOWN_LAYERS) {
            rows.push([layer.module.clone(), format!("{:.2} %", 100.0 * layer.error)]);
        }
        text.push_str(&table(&rows, 1));
        text
    }
}

/// Reads a file that `mmcv quantize` wrote.
pub(crate) fn read_quantization(file: &Path) -> Result<Quantization> {
    Quantization::load(file).context("--quantized")
}
