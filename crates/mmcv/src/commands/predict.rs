//! `mmcv predict`: pictures to classes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use mmcv_layers::{Module, ModuleExt};
use mmcv_models::Recipe;
use serde_json::json;
use tch::{Device, Kind, Tensor};

use super::weights::Weights;
use super::{Failure, network, print, shown};
use crate::{picture, progress};

/// Classifies pictures with the network of a config file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv predict model_zoo/configs/mobilenet_v2.yaml cat.jpg
  mmcv predict model_zoo/configs/mobilenet_v2.yaml photos/*.jpg --topk 1 --json
  mmcv predict model_zoo/configs/mobilenet_v2.yaml cat.jpg --out result.png
  mmcv predict my.yaml cat.jpg --checkpoint work_dir/epoch_10.pth --cfg-options preprocess.crop_size=192")]
pub(crate) struct Predict {
    /// The config file: model, preprocess, checkpoint, classes.
    config: PathBuf,
    /// The pictures: PNG, JPEG, WebP or BMP.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    #[command(flatten)]
    weights: Weights,
    /// How many classes are shown for each picture.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    topk: u16,
    /// Where the network runs: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    /// Writes a PNG with the picture and its classes; a folder where there are several pictures.
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Prints JSON: for each picture its classes and scores.
    #[arg(long)]
    json: bool,
    /// Changes the config: KEY.KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    cfg_options: Vec<String>,
}

/// A device as it is written on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceName(Device);

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        // An index beyond a byte is cut off by libtorch.
        match (name, name.strip_prefix("cuda:").map(str::parse::<u8>)) {
            ("cpu", _) => Ok(Self(Device::Cpu)),
            ("cuda", _) => Ok(Self(Device::Cuda(0))),
            (_, Some(Ok(index))) => Ok(Self(Device::Cuda(usize::from(index)))),
            _ => Err("expected cpu, cuda or cuda:N".to_owned()),
        }
    }
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
        self.check_outputs()?;
        let config = network::read(&self.config, &self.cfg_options)?;
        let recipe = Recipe::read(&config).with_context(|| self.config.display().to_string())?;
        let network = self.network(&recipe).with_context(|| self.config.display().to_string())?;
        let bar = progress::pictures(self.images.len());
        let mut results = Vec::new();
        for image in &self.images {
            let result = self.classify(&recipe, &*network, image).with_context(|| image.display().to_string())?;
            results.push((image, result));
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.report(&results)
    }

    /// Where the picture with the classes of `image` is written, if it is.
    fn output(&self, image: &Path) -> Option<PathBuf> {
        let out = self.out.as_ref()?;
        let several = self.images.len() > 1;
        Some(if several { out.join(image.with_extension("png").file_name().unwrap_or_default()) } else { out.clone() })
    }

    /// No picture may be written over that of another.
    fn check_outputs(&self) -> Result<()> {
        let mut seen = HashSet::new();
        for output in self.images.iter().filter_map(|image| self.output(image)) {
            let shown = output.display().to_string();
            ensure!(
                seen.insert(output),
                "{shown}: several of the pictures would be written to it: give them one by one"
            );
        }
        Ok(())
    }

    /// The network with its weights, in evaluation mode on the device.
    fn network(&self, recipe: &Recipe) -> Result<Box<dyn Module>> {
        let Some(checkpoint) = self.weights.chosen(recipe.checkpoint.as_ref()) else {
            bail!("there are no weights: give --checkpoint, or `checkpoint: {{source: ...}}` in the config");
        };
        let network = self.weights.load(&checkpoint, || recipe.build(&mmcv_models::MODELS))?;
        let DeviceName(device) = self.device;
        network.to_device(device).with_context(|| format!("cannot use the device {device:?}"))?;
        network.train(false);
        Ok(network)
    }

    /// The best classes of one picture, and its picture where one is wanted.
    fn classify(&self, recipe: &Recipe, network: &dyn Module, image: &Path) -> Result<Vec<Prediction>> {
        let _guard = tch::no_grad_guard();
        let photo = picture::read(image)?;
        let (width, height) = (i64::from(photo.width()), i64::from(photo.height()));
        let pixels = Tensor::f_from_slice(photo.as_raw())?.f_view([height, width, 3])?;
        let DeviceName(device) = self.device;
        let input = recipe.preprocess.apply(&pixels)?.f_to_device(device)?;
        let scores = network.forward(&input)?;
        ensure!(
            scores.dim() == 2,
            "the network gives a tensor of shape {:?} and no scores; has it a head?",
            scores.size()
        );
        let classes = scores.size().get(1).copied().unwrap_or(0);
        let count = i64::from(self.topk).min(classes);
        let (best, indices) = scores.f_softmax(1, Kind::Float)?.f_select(0, 0)?.f_topk(count, 0, true, true)?;
        let mut predictions = Vec::new();
        for rank in 0..count {
            let index = usize::try_from(indices.f_int64_value(&[rank])?)?;
            predictions.push(Prediction {
                index,
                class: recipe.class_name(index),
                score: best.f_double_value(&[rank])?,
            });
        }
        if let Some(file) = self.output(image) {
            picture::write(&file, &photo, &predictions)?;
        }
        Ok(predictions)
    }

    fn report(&self, results: &[(&PathBuf, Vec<Prediction>)]) -> Result<(), Failure> {
        if self.json {
            let results: Vec<_> = results
                .iter()
                .map(|(image, predictions)| {
                    let predictions: Vec<_> = predictions
                        .iter()
                        .map(|Prediction { index, class, score }| json!({ "index": index, "class": class, "score": score }))
                        .collect();
                    json!({ "image": shown(image), "predictions": predictions })
                })
                .collect();
            return print(&format!("{:#}\n", serde_json::Value::Array(results)));
        }
        let mut text = String::new();
        for (image, predictions) in results {
            text.push_str(&format!("{}\n", image.display()));
            for Prediction { class, score, .. } in predictions {
                text.push_str(&format!("  {score:.4} {} {class}\n", bar(*score)));
            }
        }
        if let Some(out) = &self.out {
            text.push_str(&format!("picture: {}\n", out.display()));
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
