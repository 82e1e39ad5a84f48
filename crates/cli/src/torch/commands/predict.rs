//! `mmcv predict`: classifies images.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use mmcv_cli::Failure;
use mmcv_cli::output::{display, lossy, print, print_json};
use mmcv_fuse::{FuseOptions, Fused, StreamOptions, Streams, fuse, fuse_owned};
use mmcv_layers::{Forward, Module, memory};
use mmcv_models::{MODELS, Recipe};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::quantize::read_quantization;
use crate::batch::{BATCH_SIZE, BatchRunner, ImageArgs, ImageOutput, Preparation, SharedForward, cores, output_files};
use crate::network::with_key;
use crate::weights::{CheckedShapes, Weights};
use crate::{allocator, draw};

/// From this many images on, fusing saves more time than it takes: see docs/performance.md.
const MIN_FUSED_IMAGES: usize = 20;

/// Classifies images with the network of a config file or of a model zoo name.
///
/// Truncated and corrupt images are errors. Images are rotated according to their EXIF orientation, unless the config has
/// `preprocess: {exif: ignore}`. Class names come from the config or else from the checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv predict torchvision://resnet50 cat.jpg
  mmcv predict model_zoo/configs/mobilenet_v2.yaml photos/ --topk 1 --json
  mmcv predict model_zoo/configs/mobilenet_v2.yaml cat.jpg --out result.png
  mmcv predict torchvision://resnet50 photos/ --fuse
  mmcv predict torchvision://resnet50 photos/ --quantized resnet50.int8.safetensors
  mmcv predict resnet50_8xb32_in1k.json cat.jpg --checkpoint resnet50_8xb32_in1k.pth
  mmcv predict my.yaml cat.jpg --checkpoint work_dir/epoch_10.pth --cfg-options preprocess.crop_size=192")]
pub(crate) struct Predict {
    #[command(flatten)]
    pub(super) weights: Weights,
    #[command(flatten)]
    images: ImageArgs,
    /// The number of classes shown for each image.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    topk: u16,
    /// Writes a PNG with the image and its classes; with several images, a folder of them.
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Whether to fuse the network first, which takes some seconds and makes each image faster. A fused network returns the
    /// same scores, or an error.
    #[arg(long, value_enum, require_equals = true, num_args = 0..=1, default_missing_value = "always", default_value = "auto")]
    fuse: Fuse,
    /// Runs the network in integers of 8 bits, with the weights of a file that `mmcv quantize` wrote; no checkpoint is loaded.
    #[arg(long, value_name = "FILE", conflicts_with = "fuse")]
    quantized: Option<PathBuf>,
    /// Prints JSON: the classes and scores of each image.
    #[arg(long)]
    json: bool,
}

/// When the network is fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fuse {
    /// If there are many images of one size.
    Auto,
    Always,
    Never,
}

/// A class with its score.
#[derive(Debug, Clone, Serialize)]
struct Prediction {
    index: usize,
    class: String,
    /// Between 0 and 1.
    score: f64,
}

#[derive(Debug, Serialize)]
struct ImageReport {
    image: String,
    predictions: Vec<Prediction>,
}

impl Predict {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let sources = self.images.sources()?;
        let drawings = match &self.out {
            Some(out) => output_files(out, &sources, "png")?,
            None => Vec::new(),
        };
        let recipe = self.weights.recipe()?;
        let Loaded { network, classes } = self.network(&recipe).with_context(|| self.weights.name().to_owned())?;
        let network = self.fuse_if_worthwhile(network, &recipe, sources.len())?;
        let preparation =
            Preparation { preprocess: &recipe.preprocess, device: self.weights.device(), draws: !drawings.is_empty() };
        let mut classifier = Classifier {
            network,
            recipe: &recipe,
            checkpoint_classes: classes,
            topk: i64::from(self.topk),
            drawings,
            checked: CheckedShapes::default(),
            reports: Vec::new(),
        };
        let is_fused = !matches!(classifier.network, Network::Module(_));
        let batch_size = self.images.batch_size(self.default_batch_size(is_fused));
        let counts = self.images.run(&sources, batch_size, preparation, &mut classifier)?;
        self.print(&classifier.reports)?;
        Ok(counts.check()?)
    }

    /// The network with its weights, and the class names of the checkpoint.
    fn network(&self, recipe: &Recipe) -> Result<Loaded> {
        if self.quantized.is_some() {
            ensure!(self.weights.device() == Device::Cpu, "--quantized: integers of 8 bits are for the CPU");
            let network = recipe.build(&MODELS)?;
            network.train(false);
            return Ok(Loaded { network, classes: None });
        }
        let consequence = "so the classes would be random: pass weights with a classifier of this size with --checkpoint, or use \
                           `mmcv features`";
        let (network, report) = self.weights.load(recipe.checkpoint.as_ref(), || recipe.build(&MODELS), consequence)?;
        Ok(Loaded { network, classes: report.classes })
    }

    /// The size of a batch, for which a fused network is prepared.
    fn default_batch_size(&self, is_fused: bool) -> usize {
        if is_fused && self.weights.device() == Device::Cpu { 1 } else { BATCH_SIZE }
    }

    /// Fuses the network if the arguments ask for it or there are enough images.
    fn fuse_if_worthwhile(&self, network: Box<dyn Module>, recipe: &Recipe, count: usize) -> Result<Network> {
        let is_worthwhile = match self.fuse {
            _ if self.quantized.is_some() => true,
            Fuse::Auto => count >= MIN_FUSED_IMAGES && recipe.preprocess.output_size().is_some(),
            Fuse::Always => true,
            Fuse::Never => false,
        };
        if !is_worthwhile {
            return Ok(Network::Module(network));
        }
        let size = recipe.preprocess.output_size();
        let [height, width] = size.context("a fused network needs images of one size: set preprocess.crop_size")?;
        let batch = self.images.batch_size(self.default_batch_size(true)).min(count);
        let shape = [i64::try_from(batch)?, 3, height, width];
        memory::check_forward(&*network, &[shape.to_vec()])?;
        let mut options = FuseOptions::default();
        let fused = if let Some(file) = &self.quantized {
            options.quantization = Some(read_quantization(file)?.into());
            fuse_owned(network, &shape, &options).context("--quantized")?
        } else if self.fuse == Fuse::Always {
            fuse_owned(network, &shape, &options).context("--fuse")?
        } else {
            match fuse(&*network, &shape, &options) {
                Ok(fused) => fused,
                Err(error) => {
                    log::warn!("the network was not fused: {error}");
                    return Ok(Network::Module(network));
                }
            }
        };
        // All cores work on one image sooner than on one each, but not on many.
        let network = if self.weights.device() == Device::Cpu && count >= 2 * batch * cores() {
            Network::Streams(Arc::new(Streams::new(&fused, &StreamOptions::default())?))
        } else {
            Network::Fused(fused)
        };
        allocator::release_freed_memory();
        Ok(network)
    }

    fn print(&self, reports: &[ImageReport]) -> Result<(), Failure> {
        if self.json {
            return print_json(&reports);
        }
        let mut text = String::new();
        for ImageReport { image, predictions } in reports {
            text.push_str(&format!("{}\n", mmcv_zoo::escape(image)));
            for Prediction { class, score, .. } in predictions {
                text.push_str(&format!("  {score:.4} {} {}\n", text_bar(*score), mmcv_zoo::escape(class)));
            }
        }
        if let Some(out) = &self.out {
            text.push_str(&format!("drawing: {}\n", display(out)));
        }
        print(&text)
    }
}

/// A network with the class names of its checkpoint.
struct Loaded {
    network: Box<dyn Module>,
    classes: Option<Vec<String>>,
}

/// What computes the scores.
enum Network {
    Module(Box<dyn Module>),
    Fused(Fused),
    /// For all cores.
    Streams(Arc<Streams>),
}

/// A network, and the predictions so far.
struct Classifier<'a> {
    network: Network,
    recipe: &'a Recipe,
    checkpoint_classes: Option<Vec<String>>,
    topk: i64,
    /// The drawing of each image; empty if nothing is drawn.
    drawings: Vec<PathBuf>,
    checked: CheckedShapes,
    reports: Vec<ImageReport>,
}

impl<'a> BatchRunner<'a> for Classifier<'a> {
    fn forward(&mut self, input: &Tensor) -> Result<Vec<Tensor>> {
        let scores = match &self.network {
            Network::Module(module) => {
                self.checked.check(&**module, input)?;
                module.forward(input)
            }
            Network::Fused(fused) => fused.forward(input),
            Network::Streams(streams) => streams.forward(input),
        };
        outputs(scores, self.recipe, input)
    }

    fn shared(&self) -> Option<SharedForward<'a>> {
        let Network::Streams(streams) = &self.network else { return None };
        let (streams, recipe) = (streams.clone(), self.recipe);
        Some(Arc::new(move |input| outputs(streams.forward(input), recipe, input)))
    }

    fn handle(&mut self, output: ImageOutput<'_>) -> Result<()> {
        let predictions = self.predictions(&output.outputs)?;
        if let (Some(file), Some(thumbnail)) = (self.drawings.get(output.index), output.thumbnail) {
            let mut bars = Vec::new();
            for Prediction { class, score, .. } in &predictions {
                bars.push(draw::Bar { label: class, fraction: *score });
            }
            draw::write_bars(file, thumbnail, &bars)?;
        }
        self.reports.push(ImageReport { image: lossy(&output.source.file), predictions });
        Ok(())
    }
}

impl Classifier<'_> {
    /// The best classes of one image, from outputs `[1, classes]`.
    fn predictions(&self, outputs: &[Tensor]) -> Result<Vec<Prediction>> {
        let scores = match outputs {
            [scores] if scores.dim() == 2 => scores.f_select(0, 0)?.f_softmax(0, Kind::Float)?,
            _ => {
                let shapes: Vec<_> = outputs.iter().map(Tensor::size).collect();
                bail!(
                    "the network returned a tensor of shape {shapes:?}, not class scores; does the config have a head? \
                     `mmcv features` works without one"
                );
            }
        };
        let all_finite = scores.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0;
        ensure!(all_finite, "the scores are not finite: are these weights for classification?");
        let classes = scores.size1()?;
        let names = self.recipe.class_names(usize::try_from(classes)?, self.checkpoint_classes.as_deref())?;
        let count = self.topk.min(classes);
        let (best, indices) = scores.f_topk(count, 0, true, true)?;
        let mut predictions = Vec::new();
        for rank in 0..count {
            let index = usize::try_from(indices.f_int64_value(&[rank])?)?;
            let class = match names.and_then(|names| names.get(index)) {
                Some(name) => name.clone(),
                None => format!("class {index}"),
            };
            predictions.push(Prediction { index, class, score: best.f_double_value(&[rank])? });
        }
        Ok(predictions)
    }
}

/// The scores as a list of outputs; an error with the place in the config.
fn outputs(scores: mmcv_layers::Result<Tensor>, recipe: &Recipe, input: &Tensor) -> Result<Vec<Tensor>> {
    match scores {
        Ok(scores) => Ok(vec![scores]),
        Err(error) => Err(with_key(error, &recipe.model, &[input]).into()),
    }
}

/// A bar of 30 characters.
fn text_bar(score: f64) -> String {
    const WIDTH: usize = 30;
    let filled = ((score.clamp(0.0, 1.0) * WIDTH as f64).round() as usize).min(WIDTH);
    format!("{}{}", "█".repeat(filled), "░".repeat(WIDTH - filled))
}
