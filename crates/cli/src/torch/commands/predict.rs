//! `mmcv predict`: classifies images.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use mmcv_cli::Failure;
use mmcv_cli::output::{display, lossy, print, print_json};
use mmcv_fuse::StreamOptions;
use mmcv_layers::{Forward, Module, Output};
use mmcv_models::{MODELS, Recipe};
use mmcv_registry::Dict;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::batch::{
    BATCH_SIZE, BatchNetwork, BatchRunner, ImageArgs, ImageOutput, SharedForward, Source, cores, output_files,
    process_threads,
};
use crate::draw;
use crate::inference::{Fuse, Fusing, Inference, stream_options};
use crate::listed::{ListArgs, Listed, Recorder, Settings};
use crate::network::with_key;
use crate::weights::Weights;

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
  mmcv predict torchvision://resnet50 --list images.txt --output results.jsonl
  srun mmcv predict torchvision://resnet50 --list images.txt --shard auto --output results/ --resume
  mmcv predict resnet50_8xb32_in1k.json cat.jpg --checkpoint resnet50_8xb32_in1k.pth
  mmcv predict my.yaml cat.jpg --checkpoint work_dir/epoch_10.pth --cfg-options preprocess.crop_size=192")]
pub(crate) struct Predict {
    #[command(flatten)]
    pub(super) weights: Weights,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    list: ListArgs,
    /// The number of classes shown for each image.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    topk: u16,
    /// Writes a PNG with the image and its classes; with several images, a folder of them.
    #[arg(long, value_name = "FILE.png", conflicts_with = "list")]
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

/// The classes of an image of a list.
#[derive(Debug, Serialize)]
struct Predictions {
    predictions: Vec<Prediction>,
}

/// How many images there are.
#[derive(Debug, Clone, Copy)]
enum Amount {
    Images(usize),
    /// Any number, which must not change the results.
    List,
}

impl Predict {
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        if let Some(list) = self.list.read()? {
            return Ok(self.run_list(&list)?);
        }
        let sources = self.images.sources()?;
        let drawings = match &self.out {
            Some(out) => output_files(out, &sources, "png")?,
            None => Vec::new(),
        };
        let recipe = self.weights.recipe()?;
        let Loaded { network, classes } = self.network(&recipe).with_context(|| self.weights.name().to_owned())?;
        let network = self.fuse_if_worthwhile(network, &recipe, Amount::Images(sources.len()))?;
        let preparation = self.images.preparation(&recipe.preprocess, self.weights.device(), !drawings.is_empty());
        let mut classifier = self.classifier(network, &recipe, classes);
        classifier.drawings = drawings;
        let batch_size = self.images.batch_size(self.default_batch_size(classifier.network.is_fused()));
        let counts = self.images.run(&sources, batch_size, preparation, &mut classifier)?;
        self.print(&classifier.reports)?;
        Ok(counts.check()?)
    }

    fn run_list(&mut self, list: &Listed) -> Result<()> {
        if self.list.is_auto() {
            self.weights.use_local_device()?;
        }
        let recipe = self.weights.recipe()?;
        let Loaded { network, classes } = self.network(&recipe).with_context(|| self.weights.name().to_owned())?;
        let block = self.images.batch_size(self.default_batch_size(true));
        let settings = self.settings(&recipe, &*network, classes.as_deref())?;
        let Some(target) = list.open(settings.into_map(), block as u64)? else { return Ok(()) };
        let network = self.fuse_if_worthwhile(network, &recipe, Amount::List)?;
        let preparation = self.images.preparation(&recipe.preprocess, self.weights.device(), false);
        list.run(target, block as u64, process_threads(), preparation, &mut self.classifier(network, &recipe, classes))
    }

    /// What the records of a list depend on.
    fn settings(&self, recipe: &Recipe, network: &dyn Module, classes: Option<&[String]>) -> Result<Settings> {
        let mut settings = Settings::new("predict", self.weights.device());
        settings.set_config(recipe);
        settings.set_digest("the class names of the checkpoint", &classes);
        match &self.quantized {
            Some(file) => settings.set_weights_file(file)?,
            None => settings.set_weights(network)?,
        }
        settings.set("--quantized", self.quantized.is_some());
        settings.set("--fuse", format!("{:?}", self.fuse).to_lowercase());
        settings.set("--topk", self.topk);
        settings.set("--max-pixels", self.images.max_pixels());
        Ok(settings)
    }

    fn classifier<'a>(
        &self,
        network: Inference,
        recipe: &'a Recipe,
        checkpoint_classes: Option<Vec<String>>,
    ) -> Classifier<'a> {
        let (topk, drawings, reports) = (i64::from(self.topk), Vec::new(), Vec::new());
        Classifier { network, recipe, checkpoint_classes, topk, drawings, reports }
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
    fn fuse_if_worthwhile(&self, network: Box<dyn Module>, recipe: &Recipe, amount: Amount) -> Result<Inference> {
        let size = recipe.preprocess.output_size();
        let is_many = match amount {
            Amount::Images(count) => count >= MIN_FUSED_IMAGES,
            Amount::List => true,
        };
        let is_worthwhile = match self.fuse {
            _ if self.quantized.is_some() => true,
            Fuse::Auto => is_many && size.is_some(),
            Fuse::Always => true,
            Fuse::Never => false,
        };
        if !is_worthwhile {
            return Ok(Inference::new(network));
        }
        let [height, width] = size.context("a fused network needs images of one size: set preprocess.crop_size")?;
        let mut batch = self.images.batch_size(self.default_batch_size(true));
        // All cores work on one image sooner than on one each, but not on many.
        let mut streams = Some(StreamOptions::default());
        match amount {
            Amount::Images(count) => {
                batch = batch.min(count);
                if count < 2 * batch * cores() {
                    streams = None;
                }
            }
            Amount::List => streams = Some(stream_options(process_threads())),
        }
        if self.weights.device() != Device::Cpu {
            streams = None;
        }
        let shape = [i64::try_from(batch)?, 3, height, width];
        let is_required = self.fuse == Fuse::Always;
        Inference::fuse(network, &shape, &Fusing { is_required, quantized: self.quantized.as_deref(), streams })
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

/// A network, and the predictions so far.
struct Classifier<'a> {
    network: Inference,
    recipe: &'a Recipe,
    checkpoint_classes: Option<Vec<String>>,
    topk: i64,
    /// The drawing of each image; empty if nothing is drawn.
    drawings: Vec<PathBuf>,
    reports: Vec<ImageReport>,
}

impl<'a> BatchNetwork<'a> for Classifier<'a> {
    fn forward(&mut self, input: &Tensor) -> Result<Vec<Tensor>> {
        outputs(self.network.call(input)?, self.recipe, input)
    }

    fn shared(&self) -> Option<SharedForward<'a>> {
        let (streams, recipe) = (self.network.streams()?, self.recipe);
        Some(Arc::new(move |input| outputs(streams.call(&[input], &Dict::new()), recipe, input)))
    }
}

impl<'a> Recorder<'a> for Classifier<'a> {
    type Result = Predictions;

    fn result(&self, outputs: &[Tensor]) -> Result<Predictions> {
        Ok(Predictions { predictions: self.predictions(outputs)? })
    }
}

impl<'a> BatchRunner<'a> for Classifier<'a> {
    fn handle(&mut self, index: usize, source: &Source, output: ImageOutput) -> Result<()> {
        let predictions = self.predictions(&output.outputs)?;
        if let (Some(file), Some(thumbnail)) = (self.drawings.get(index), &output.thumbnail) {
            let mut bars = Vec::new();
            for Prediction { class, score, .. } in &predictions {
                bars.push(draw::Bar { label: class, fraction: *score });
            }
            draw::write_bars(file, thumbnail, &bars)?;
        }
        self.reports.push(ImageReport { image: lossy(&source.file), predictions });
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
fn outputs(scores: mmcv_layers::Result<Output>, recipe: &Recipe, input: &Tensor) -> Result<Vec<Tensor>> {
    match scores {
        Ok(scores) => Ok(scores.into_vec()),
        Err(error) => Err(with_key(error, &recipe.model, &[input]).into()),
    }
}

/// A bar of 30 characters.
fn text_bar(score: f64) -> String {
    const WIDTH: usize = 30;
    let filled = ((score.clamp(0.0, 1.0) * WIDTH as f64).round() as usize).min(WIDTH);
    format!("{}{}", "█".repeat(filled), "░".repeat(WIDTH - filled))
}
