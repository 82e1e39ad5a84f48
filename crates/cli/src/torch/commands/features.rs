//! `mmcv features`: computes feature maps of images.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use mmcv_cli::Failure;
use mmcv_cli::format::shape;
use mmcv_cli::output::{create_parent, display, lossy, print, print_json};
use mmcv_layers::{Forward, Module};
use mmcv_models::{MODELS, ProjectNetwork, Recipe};
use mmcv_registry::{Config, Dict};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::batch::{BATCH_SIZE, BatchRunner, ImageArgs, ImageOutput, Preparation, Source, output_files};
use crate::config::report;
use crate::draw;
use crate::network::with_key;
use crate::weights::{CheckedShapes, Weights};

/// Computes the feature maps that a backbone returns for images: its stages in `out_indices`.
///
/// Of a project config whose model is no classifier, such as a detector's, the backbone is built, and with a checkpoint of the
/// whole model also the neck.
///
/// Truncated and corrupt images are errors. Images are rotated according to their EXIF orientation, unless the config has
/// `preprocess: {exif: ignore}`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv features torchvision://resnet50 cat.jpg --out-indices 0,1,2,3 --png features.png
  mmcv features open-mmlab://detectron2/resnet50_caffe photos/ --out features/
  mmcv features model_zoo/configs/mobilenet_v2.yaml cat.jpg --pooled --out cat.npy
  mmcv features faster-rcnn_r50_fpn_1x_coco.json cat.jpg --checkpoint faster_rcnn.pth
  mmcv features my.yaml photos/ --checkpoint epoch_10.pth --pooled --json")]
pub(crate) struct Features {
    #[command(flatten)]
    pub(super) weights: Weights,
    #[command(flatten)]
    images: ImageArgs,
    /// The stages, counted from 0, in place of the config's. With the neck of a detector, the outputs of the neck.
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    out_indices: Option<Vec<i64>>,
    /// Averages each channel over all pixels.
    #[arg(long)]
    pooled: bool,
    /// Writes the features of each image, without the batch dimension: FILE.safetensors with all stages, or FILE.npy; with
    /// several images, a folder of them.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The format of files in a folder; npy is one file for each stage, NAME.STAGE.npy.
    #[arg(long, value_name = "FORMAT", default_value = "safetensors")]
    format: Format,
    /// Writes a PNG with the image and the channels of each stage that vary most; with several images, a folder of them.
    #[arg(long, alias = "picture", value_name = "FILE.png")]
    png: Option<PathBuf>,
    /// Prints JSON: the stages of each image with their shapes, and with --pooled their values.
    #[arg(long)]
    json: bool,
}

/// A format for features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Safetensors,
    Npy,
}

/// The output of a stage for one image.
#[derive(Debug)]
struct Stage {
    /// `stage3` for 3 in `out_indices`.
    name: String,
    /// `[C, H, W]`, or `[C]` if it is pooled; on the CPU.
    tensor: Tensor,
}

#[derive(Debug, Serialize)]
struct ImageReport {
    image: String,
    stages: Vec<StageReport>,
}

#[derive(Debug, Serialize)]
struct StageReport {
    name: String,
    shape: Vec<i64>,
    mean: f64,
    std: f64,
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<f64>>,
}

impl Features {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let sources = self.images.sources()?;
        let format = self.format(&sources)?;
        let extension = if format == Format::Npy { "npy" } else { "safetensors" };
        let files = match &self.out {
            Some(out) => output_files(out, &sources, extension)?,
            None => Vec::new(),
        };
        let drawings = match &self.png {
            Some(png) => output_files(png, &sources, "png")?,
            None => Vec::new(),
        };
        let (mut recipe, mut network) = self.weights.read()?;
        let has_neck = match &mut network {
            Some(network) => extract(network, &mut recipe),
            None => false,
        };
        let network = self.network(&recipe, has_neck).with_context(|| self.weights.name().to_owned())?;
        let preparation =
            Preparation { preprocess: &recipe.preprocess, device: self.weights.device(), draws: !drawings.is_empty() };
        let mut out_indices = self.out_indices.clone();
        if out_indices.is_none() && !has_neck {
            out_indices = config_out_indices(&recipe.backbone());
        }
        let mut extractor = Extractor {
            network,
            recipe: &recipe,
            out_indices,
            has_neck,
            pooled: self.pooled,
            format,
            files,
            drawings,
            checked: CheckedShapes::default(),
            reports: Vec::new(),
        };
        let counts = self.images.run(&sources, self.images.batch_size(BATCH_SIZE), preparation, &mut extractor)?;
        self.print(&extractor.reports)?;
        Ok(counts.check()?)
    }

    /// The format: that of the extension of `--out`, which a single file must have.
    fn format(&self, sources: &[Source]) -> Result<Format> {
        let Some(out) = &self.out else { return Ok(self.format) };
        match out.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Format::Npy),
            Some("safetensors") => Ok(Format::Safetensors),
            _ if sources.len() > 1 || out.is_dir() => Ok(self.format),
            _ => bail!("--out: {}: expected FILE.safetensors, FILE.npy, or an existing folder", display(out)),
        }
    }

    /// The backbone with its weights, and with the neck if `has_neck`.
    fn network(&self, recipe: &Recipe, has_neck: bool) -> Result<Box<dyn Module>> {
        // The file may contain more than the backbone; `load` checks that it contains the whole backbone.
        let mut checkpoint = recipe.checkpoint.clone();
        if let Some(checkpoint) = &mut checkpoint {
            checkpoint.strict = false;
        }
        let build = || {
            if has_neck { recipe.build(&MODELS) } else { recipe.build_backbone(&MODELS, self.out_indices.as_deref()) }
        };
        let consequence = if has_neck {
            "so they are not those of the whole model: `--cfg-options model.neck=null` leaves the neck out"
        } else {
            "so they do not belong to the backbone, or only to a part of it"
        };
        let (network, _) = self.weights.load(checkpoint.as_ref(), build, consequence)?;
        Ok(network)
    }

    fn print(&self, reports: &[ImageReport]) -> Result<(), Failure> {
        if self.json {
            return print_json(&reports);
        }
        let mut text = String::new();
        for ImageReport { image, stages } in reports {
            text.push_str(&format!("{}\n", mmcv_zoo::escape(image)));
            for StageReport { name, shape: sizes, mean, std, .. } in stages {
                text.push_str(&format!("  {name:<8} {:<14} mean {mean:<9.4} std {std:.4}\n", shape(sizes)));
            }
        }
        for (what, out) in [("features", &self.out), ("drawing", &self.png)] {
            if let Some(out) = out {
                text.push_str(&format!("{what}: {}\n", display(out)));
            }
        }
        print(&text)
    }
}

/// A backbone, and the results so far.
struct Extractor<'a> {
    network: Box<dyn Module>,
    recipe: &'a Recipe,
    /// The stages that the backbone returns, if they are known.
    out_indices: Option<Vec<i64>>,
    /// Whether the outputs are those of a neck.
    has_neck: bool,
    pooled: bool,
    format: Format,
    /// The output file of each image; empty if nothing is written.
    files: Vec<PathBuf>,
    /// The drawing of each image; empty if nothing is drawn.
    drawings: Vec<PathBuf>,
    checked: CheckedShapes,
    reports: Vec<ImageReport>,
}

impl BatchRunner<'_> for Extractor<'_> {
    fn forward(&mut self, input: &Tensor) -> Result<Vec<Tensor>> {
        self.checked.check(&*self.network, input)?;
        match self.network.call(&[input], &Dict::new()) {
            Ok(stages) if self.has_neck => self.choose(stages.into_vec()),
            Ok(stages) => Ok(stages.into_vec()),
            Err(error) => Err(with_key(error, &self.recipe.model, &[input]).into()),
        }
    }

    fn handle(&mut self, output: ImageOutput<'_>) -> Result<()> {
        let stages = self.stages(&output.outputs)?;
        if let (Some(file), Some(thumbnail)) = (self.drawings.get(output.index), output.thumbnail) {
            let rows: Vec<_> =
                stages.iter().map(|stage| draw::FeatureRow { name: &stage.name, maps: &stage.tensor }).collect();
            draw::write_features(file, thumbnail, &rows)?;
        }
        let files = match self.files.get(output.index) {
            Some(file) => write(file, self.format, &stages)?,
            None => Vec::new(),
        };
        let mut reports = Vec::new();
        for (position, stage) in stages.iter().enumerate() {
            // One file may hold all stages.
            let file = files.get(position).or(files.first());
            reports.push(self.stage_report(stage, file)?);
        }
        self.reports.push(ImageReport { image: lossy(&output.source.file), stages: reports });
        Ok(())
    }
}

impl Extractor<'_> {
    /// The outputs of a neck that the arguments ask for; all by default.
    fn choose(&self, outputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let Some(indices) = &self.out_indices else { return Ok(outputs) };
        let count = outputs.len();
        let mut indices = indices.clone();
        indices.sort_unstable();
        let mut chosen = Vec::new();
        for index in indices {
            match usize::try_from(index).ok().and_then(|index| outputs.get(index)) {
                Some(output) => chosen.push(output.shallow_clone()),
                None => bail!("--out-indices {index}: the neck has {count} outputs, counted from 0"),
            }
        }
        Ok(chosen)
    }

    /// The stages of one image, from outputs `[1, ...]`.
    fn stages(&self, outputs: &[Tensor]) -> Result<Vec<Stage>> {
        let mut stages = Vec::new();
        for (name, output) in self.stage_names(outputs.len()).into_iter().zip(outputs) {
            let mut tensor = output.f_select(0, 0)?.f_to_device(Device::Cpu)?;
            if self.pooled && tensor.dim() > 1 {
                let pixels: Vec<i64> = (1..tensor.dim() as i64).collect();
                tensor = tensor.f_mean_dim(pixels, false, Kind::Float)?;
            }
            stages.push(Stage { name, tensor: tensor.f_contiguous()? });
        }
        Ok(stages)
    }

    fn stage_names(&self, count: usize) -> Vec<String> {
        if let Some(indices) = &self.out_indices
            && indices.len() == count
        {
            let mut indices = indices.clone();
            indices.sort_unstable();
            return indices.iter().map(|index| format!("stage{index}")).collect();
        }
        if count == 1 {
            return vec!["last".to_owned()];
        }
        (0..count).map(|position| format!("stage{position}")).collect()
    }

    fn stage_report(&self, stage: &Stage, file: Option<&PathBuf>) -> Result<StageReport> {
        let numbers = stage.tensor.f_to_kind(Kind::Double)?;
        Ok(StageReport {
            name: stage.name.clone(),
            shape: stage.tensor.size(),
            mean: numbers.f_mean(Kind::Double)?.f_double_value(&[])?,
            std: numbers.f_std(false)?.f_double_value(&[])?,
            file: file.map(|file| lossy(file)),
            values: if self.pooled { Some(Vec::try_from(&numbers)?) } else { None },
        })
    }
}

/// Chooses what of a project's model computes the features, and reports it. Returns whether the model has a neck, which needs
/// the weights of a checkpoint.
fn extract(network: &mut ProjectNetwork, recipe: &mut Recipe) -> bool {
    if network.unknown_type.is_none() {
        return false;
    }
    if recipe.checkpoint.is_none() && network.has_neck() {
        log::warn!("model.neck is left out: its weights are in no checkpoint; name one with --checkpoint");
        network.remove_neck();
        recipe.model.clone_from(&network.model);
    }
    report(network);
    network.has_neck()
}

/// The stages that a backbone returns according to its config or by default.
fn config_out_indices(backbone: &Dict) -> Option<Vec<i64>> {
    let indices = match backbone.get("out_indices") {
        Some(indices) => indices.clone(),
        None => default_out_indices(backbone)?,
    };
    let items = match indices {
        Config::Int(index) => return Some(vec![index]),
        Config::List(items) | Config::Tuple(items) => items,
        _ => return None,
    };
    let mut indices = Vec::new();
    for item in items.iter() {
        let Config::Int(index) = item else { return None };
        indices.push(*index);
    }
    Some(indices)
}

fn default_out_indices(backbone: &Dict) -> Option<Config> {
    let spec = MODELS.get(backbone.get("type")?.as_str()?)?;
    let field = spec.fields.iter().find(|field| field.name == "out_indices")?;
    let default = field.default?;
    Some(default())
}

/// Writes the stages of one image; returns the files.
fn write(file: &Path, format: Format, stages: &[Stage]) -> Result<Vec<PathBuf>> {
    ensure!(!stages.is_empty(), "the network returned no stages");
    create_parent(file)?;
    if format == Format::Safetensors {
        let named: Vec<(&str, &Tensor)> = stages.iter().map(|stage| (stage.name.as_str(), &stage.tensor)).collect();
        mmcv_pth::replace_file(file, |temporary| {
            Tensor::write_safetensors(&named, temporary).with_context(|| format!("cannot write {}", display(file)))
        })?;
        return Ok(vec![file.to_owned()]);
    }
    let mut files = Vec::new();
    for stage in stages {
        let file = if stages.len() == 1 { file.to_owned() } else { file.with_extension(format!("{}.npy", stage.name)) };
        mmcv_pth::replace_file(&file, |temporary| {
            stage.tensor.write_npy(temporary).with_context(|| format!("cannot write {}", display(&file)))
        })?;
        files.push(file);
    }
    Ok(files)
}
