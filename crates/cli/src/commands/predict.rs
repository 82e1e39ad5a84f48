//! `mmcv predict`: pictures to classes.

use std::any::Any;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use mmcv_checkpoint::LoadReport;
use mmcv_fuse::{FuseOptions, Fused, fuse};
use mmcv_layers::{Module, memory};
use mmcv_models::{MODELS, Recipe};
use serde_json::json;
use tch::{Kind, Tensor};

use super::network::with_key;
use super::pictures::{self, Pictures, Preparation};
use super::weights::{CheckedShapes, Weights};
use super::{Failure, name, print, shown};
use crate::picture;

/// From so many pictures on fusing saves more time than it takes: see docs/performance.md.
const FUSED_FROM: usize = 150;

/// Classifies pictures with the network of a config file or of the zoo.
///
/// Pictures that are cut or damaged are errors. They are turned as their EXIF metadata say, unless the config has
/// `preprocess: {exif: ignore}`. Classes have the names in the config, else those in the checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv predict torchvision://resnet50 cat.jpg
  mmcv predict model_zoo/configs/mobilenet_v2.yaml photos/ --topk 1 --json
  mmcv predict model_zoo/configs/mobilenet_v2.yaml cat.jpg --out result.png
  mmcv predict torchvision://resnet50 photos/ --fuse
  mmcv predict my.yaml cat.jpg --checkpoint work_dir/epoch_10.pth --cfg-options preprocess.crop_size=192")]
pub(crate) struct Predict {
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    pictures: Pictures,
    /// How many classes are shown for each picture.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    topk: u16,
    /// Writes a PNG with the picture and its classes; a folder where there are several pictures.
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Whether the network is fused first, which takes some seconds and makes each picture faster. What is fused gives the
    /// same numbers, or is refused.
    #[arg(long, value_enum, require_equals = true, num_args = 0..=1, default_missing_value = "always", default_value = "auto")]
    fuse: Fuse,
    /// Prints JSON: for each picture its classes and scores.
    #[arg(long)]
    json: bool,
}

/// Whether the network is fused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fuse {
    /// Where there are many pictures of one size.
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

/// A class with its score.
#[derive(Debug, Clone)]
pub(crate) struct Prediction {
    pub(crate) index: usize,
    pub(crate) class: String,
    /// Between 0 and 1.
    pub(crate) score: f64,
}

impl Predict {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let sources = self.pictures.sources()?;
        let drawings = match &self.out {
            Some(out) => pictures::outputs(out, &sources, "png")?,
            None => Vec::new(),
        };
        let recipe = self.weights.recipe()?;
        let (network, report) = self.network(&recipe).with_context(|| self.weights.name().to_owned())?;
        let network = self.fused(network, &recipe, sources.len())?;
        let mut results = Vec::new();
        let checked = CheckedShapes::default();
        let is_fused = (&*network as &dyn Any).is::<Fused>();
        let forward = |input: &Tensor| {
            if !is_fused {
                checked.check(&*network, input)?;
            }
            let scores = network.forward(input).map_err(|error| with_key(error, &recipe.model, &[input]))?;
            Ok(vec![scores])
        };
        let (device, preprocess) = (self.weights.device(), &recipe.preprocess);
        let preparation = Preparation { preprocess, device, for_drawings: !drawings.is_empty() };
        let all = self.pictures.run(&sources, preparation, forward, |number, source, photo, scores| {
            let predictions = self.best(&recipe, report.classes.as_deref(), &scores)?;
            if let (Some(drawing), Some(photo)) = (drawings.get(number), photo) {
                picture::write(drawing, photo, &predictions)?;
            }
            results.push((shown(&source.file), predictions));
            Ok(())
        })?;
        self.report(&results)?;
        Ok(all.check()?)
    }

    /// The network with its weights, and what is said of these.
    fn network(&self, recipe: &Recipe) -> Result<(Box<dyn Module>, LoadReport)> {
        let random = "so that the classes would be random: give weights with a classifier of this size by --checkpoint, or use \
                      `mmcv features`";
        self.weights.load(recipe.checkpoint.as_ref(), || recipe.build(&MODELS), random)
    }

    /// The network in its fused form, where that is wanted.
    fn fused(&self, network: Box<dyn Module>, recipe: &Recipe, pictures: usize) -> Result<Box<dyn Module>> {
        let size = match (self.fuse, recipe.preprocess.crop_size) {
            (Fuse::Auto, Some(size)) if pictures >= FUSED_FROM => size,
            (Fuse::Always, Some(size)) => size,
            (Fuse::Always, None) => bail!("--fuse needs pictures of one size: set preprocess.crop_size"),
            _ => return Ok(network),
        };
        let batch = pictures.min(usize::from(self.pictures.batch_size()));
        let shape = [i64::try_from(batch)?, 3, size, size];
        memory::check_forward(&*network, &[shape.to_vec()])?;
        match fuse(&*network, &shape, &FuseOptions::default()) {
            Ok(fused) => Ok(Box::new(fused)),
            Err(error) if self.fuse == Fuse::Auto => {
                log::warn!("the network is not fused: {error}");
                Ok(network)
            }
            Err(error) => Err(error).context("--fuse"),
        }
    }

    /// The best classes of one picture.
    fn best(&self, recipe: &Recipe, classes: Option<&[String]>, scores: &[Tensor]) -> Result<Vec<Prediction>> {
        let Some(scores) = scores.first().filter(|scores| scores.dim() == 2) else {
            let shapes: Vec<_> = scores.iter().map(Tensor::size).collect();
            bail!(
                "the network gives a tensor of shape {shapes:?} and no scores; has it a head? `mmcv features` needs none"
            );
        };
        let scores = scores.f_select(0, 0)?.f_softmax(0, Kind::Float)?;
        let all_finite = scores.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0;
        ensure!(all_finite, "the scores are not finite: are these weights for classification?");
        let classes = recipe.class_names(usize::try_from(scores.size1()?)?, classes)?;
        let count = i64::from(self.topk).min(scores.size1()?);
        let (best, indices) = scores.f_topk(count, 0, true, true)?;
        let prediction = |rank: i64| {
            let index = usize::try_from(indices.f_int64_value(&[rank])?)?;
            let score = best.f_double_value(&[rank])?;
            let class = classes.and_then(|names| names.get(index).cloned()).unwrap_or_else(|| format!("class {index}"));
            Ok(Prediction { index, class, score })
        };
        (0..count).map(prediction).collect()
    }

    fn report(&self, results: &[(String, Vec<Prediction>)]) -> Result<(), Failure> {
        if self.json {
            let results: Vec<_> = results
                .iter()
                .map(|(image, predictions)| {
                    let predictions: Vec<_> = predictions
                        .iter()
                        .map(|Prediction { index, class, score }| json!({ "index": index, "class": class, "score": score }))
                        .collect();
                    json!({ "image": image, "predictions": predictions })
                })
                .collect();
            return print(&format!("{:#}\n", serde_json::Value::Array(results)));
        }
        let mut text = String::new();
        for (image, predictions) in results {
            text.push_str(&format!("{}\n", mmcv_zoo::escape(image)));
            for Prediction { class, score, .. } in predictions {
                text.push_str(&format!("  {score:.4} {} {}\n", bar(*score), mmcv_zoo::escape(class)));
            }
        }
        if let Some(out) = &self.out {
            text.push_str(&format!("picture: {}\n", name(out)));
        }
        print(&text)
    }
}

/// A bar of 30 characters.
fn bar(score: f64) -> String {
    const WIDTH: usize = 30;
    let filled = ((score.clamp(0.0, 1.0) * WIDTH as f64).round() as usize).min(WIDTH);
    format!("{}{}", "█".repeat(filled), "░".repeat(WIDTH - filled))
}
