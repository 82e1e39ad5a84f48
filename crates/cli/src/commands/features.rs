//! `mmcv features`: pictures to feature maps.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use mmcv_layers::Module;
use mmcv_models::{CheckpointConfig, MODELS, Recipe};
use mmcv_registry::{Config, Dict};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::network::shape;
use super::pictures::{self, Pictures, Preparation, Source, make_folder_of};
use super::weights::{CheckedShapes, Weights};
use super::{Failure, name, print, shown};
use crate::picture;

/// Computes the feature maps that a backbone gives for pictures: its stages in `out_indices`.
///
/// Pictures that are cut or damaged are errors. They are turned as their EXIF metadata say, unless the config has
/// `preprocess: {exif: ignore}`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv features torchvision://resnet50 cat.jpg --out-indices 0,1,2,3 --picture features.png
  mmcv features open-mmlab://detectron2/resnet50_caffe photos/ --out features/
  mmcv features model_zoo/configs/mobilenet_v2.yaml cat.jpg --pooled --out cat.npy
  mmcv features my.yaml photos/ --checkpoint epoch_10.pth --pooled --json")]
pub(crate) struct Features {
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    pictures: Pictures,
    /// The stages, from 0, in place of the config's.
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    out_indices: Option<Vec<i64>>,
    /// Gives for each channel the mean over all pixels.
    #[arg(long)]
    pooled: bool,
    /// Writes the features of each picture, without a dimension for the batch: FILE.safetensors with all stages, or FILE.npy;
    /// a folder where there are several pictures.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What is written into a folder; npy is a file for each stage, NAME.STAGE.npy.
    #[arg(long, value_name = "FORMAT", default_value = "safetensors")]
    format: Format,
    /// Writes a PNG with the picture and the most varied channels of each stage; a folder where there are several pictures.
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
    /// Prints JSON: for each picture the stages with their shapes, and the values where they are pooled.
    #[arg(long)]
    json: bool,
}

/// How features are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Safetensors,
    Npy,
}

/// A stage of one picture.
#[derive(Debug)]
pub(crate) struct Stage {
    /// `stage3` for 3 in `out_indices`.
    pub(crate) name: String,
    /// `[C, H, W]`, or `[C]` where it is pooled; on the CPU.
    pub(crate) tensor: Tensor,
}

impl Features {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let sources = self.pictures.sources()?;
        let to = |out: Option<&Path>, extension| match out {
            Some(out) => pictures::outputs(out, &sources, extension),
            None => Ok(Vec::new()),
        };
        let format = self.format(&sources)?;
        let extension = if format == Format::Npy { "npy" } else { "safetensors" };
        let files = to(self.out.as_deref(), extension)?;
        let drawings = to(self.picture.as_deref(), "png")?;
        let recipe = self.weights.recipe()?;
        let network = self.network(&recipe).with_context(|| self.weights.name().to_owned())?;
        let mut results = Vec::new();
        let checked = CheckedShapes::default();
        let forward = |input: &Tensor| {
            checked.check(&*network, input)?;
            let stages = network.call(&[input], &Dict::new())?.into_vec();
            Ok(stages)
        };
        let (device, preprocess) = (self.weights.device(), &recipe.preprocess);
        let preparation = Preparation { preprocess, device, for_drawings: !drawings.is_empty() };
        let all = self.pictures.run(&sources, preparation, forward, |number, source, photo, stages| {
            let stages = self.stages(&recipe, &stages)?;
            if let (Some(file), Some(photo)) = (drawings.get(number), photo) {
                picture::write_features(file, photo, &stages)?;
            }
            let written = match files.get(number) {
                Some(file) => write(file, format, &stages)?,
                None => Vec::new(),
            };
            results.push((shown(&source.file), self.described(&stages, &written)?));
            Ok(())
        })?;
        self.report(&results)?;
        Ok(all.check()?)
    }

    /// The format: that of the file's name, where it tells one. A single picture's file has to.
    fn format(&self, sources: &[Source]) -> Result<Format> {
        let Some(out) = &self.out else { return Ok(self.format) };
        match out.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Format::Npy),
            Some("safetensors") => Ok(Format::Safetensors),
            _ if sources.len() > 1 || out.is_dir() => Ok(self.format),
            _ => bail!("--out: {}: expected FILE.safetensors, FILE.npy, or a folder that exists", name(out)),
        }
    }

    /// The backbone with its weights.
    fn network(&self, recipe: &Recipe) -> Result<Box<dyn Module>> {
        // What the file has beyond the backbone does not matter, and all of the backbone does.
        let checkpoint = recipe.checkpoint.clone().map(|own| CheckpointConfig { strict: false, ..own });
        let build = || recipe.build_backbone(&MODELS, self.out_indices.as_deref());
        let partial = "so that they are not those of the backbone, or only of a part of it";
        self.weights.load(checkpoint.as_ref(), build, partial).map(|(network, _)| network)
    }

    /// The stages of one picture by their names.
    fn stages(&self, recipe: &Recipe, outputs: &[Tensor]) -> Result<Vec<Stage>> {
        let indices = self.out_indices.clone().or_else(|| out_indices(&recipe.backbone()));
        let names: Vec<String> = match indices {
            Some(indices) if indices.len() == outputs.len() => {
                let mut indices = indices;
                indices.sort_unstable();
                indices.iter().map(|index| format!("stage{index}")).collect()
            }
            _ if outputs.len() == 1 => vec!["last".to_owned()],
            _ => (0..outputs.len()).map(|position| format!("stage{position}")).collect(),
        };
        let stage = |(name, output): (String, &Tensor)| {
            let mut tensor = output.f_select(0, 0)?.f_to_device(Device::Cpu)?;
            if self.pooled && tensor.dim() > 1 {
                let pixels: Vec<i64> = (1..tensor.dim() as i64).collect();
                tensor = tensor.f_mean_dim(pixels, false, Kind::Float)?;
            }
            Ok(Stage { name, tensor: tensor.f_contiguous()? })
        };
        names.into_iter().zip(outputs).map(stage).collect()
    }

    /// The stages of one picture as JSON.
    fn described(&self, stages: &[Stage], written: &[PathBuf]) -> Result<Vec<Value>> {
        let describe = |(position, Stage { name, tensor }): (usize, &Stage)| {
            let numbers = tensor.f_to_kind(Kind::Double)?;
            let mut described = json!({
                "name": name,
                "shape": tensor.size(),
                "mean": numbers.f_mean(Kind::Double)?.f_double_value(&[])?,
                "std": numbers.f_std(false)?.f_double_value(&[])?,
                "file": written.get(position).or(written.first()).map(|file| shown(file)),
            });
            if let (true, Some(described)) = (self.pooled, described.as_object_mut()) {
                described.insert("values".to_owned(), json!(Vec::<f64>::try_from(&numbers)?));
            }
            Ok(described)
        };
        stages.iter().enumerate().map(describe).collect()
    }

    fn report(&self, results: &[(String, Vec<Value>)]) -> Result<(), Failure> {
        if self.json {
            let results = results.iter().map(|(image, stages)| json!({ "image": image, "stages": stages }));
            return print(&format!("{:#}\n", results.collect::<Value>()));
        }
        let mut text = String::new();
        for (image, stages) in results {
            text.push_str(&format!("{}\n", mmcv_zoo::escape(image)));
            for stage in stages {
                let sizes: Vec<i64> =
                    stage["shape"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
                let number = |key: &str| stage[key].as_f64().unwrap_or(f64::NAN);
                let (stage, mean, std) = (stage["name"].as_str().unwrap_or_default(), number("mean"), number("std"));
                text.push_str(&format!("  {stage:<8} {:<14} mean {mean:<9.4} std {std:.4}\n", shape(&sizes)));
            }
        }
        for (what, out) in [("features", &self.out), ("picture", &self.picture)] {
            if let Some(out) = out {
                text.push_str(&format!("{what}: {}\n", name(out)));
            }
        }
        print(&text)
    }
}

/// The stages that a backbone gives by its config or by default.
fn out_indices(backbone: &Dict) -> Option<Vec<i64>> {
    let default = || {
        let spec = MODELS.get(backbone.get("type")?.as_str()?)?;
        let field = spec.fields.iter().find(|field| field.name == "out_indices")?;
        field.default.map(|default| default())
    };
    match backbone.get("out_indices").cloned().or_else(default)? {
        Config::Int(index) => Some(vec![index]),
        Config::List(indices) => {
            indices.iter().map(|index| if let Config::Int(index) = index { Some(*index) } else { None }).collect()
        }
        _ => None,
    }
}

/// Writes the stages of one picture; gives the files.
fn write(file: &Path, format: Format, stages: &[Stage]) -> Result<Vec<PathBuf>> {
    make_folder_of(file)?;
    let files: Vec<PathBuf> = match (format, stages) {
        (Format::Safetensors, _) | (Format::Npy, [_]) => vec![file.to_owned()],
        (Format::Npy, _) => stages.iter().map(|stage| file.with_extension(format!("{}.npy", stage.name))).collect(),
    };
    let failed = || format!("cannot write {}", name(file));
    match format {
        Format::Safetensors => {
            let named: Vec<(&str, &Tensor)> =
                stages.iter().map(|Stage { name, tensor }| (name.as_str(), tensor)).collect();
            mmcv_pth::replace_file(file, |temporary| {
                Tensor::write_safetensors(&named, temporary).with_context(failed)
            })?;
        }
        Format::Npy => {
            for (Stage { tensor, .. }, file) in stages.iter().zip(&files) {
                mmcv_pth::replace_file(file, |temporary| tensor.write_npy(temporary).with_context(failed))?;
            }
        }
    }
    if files.is_empty() {
        bail!("the network gives no stages");
    }
    Ok(files)
}
