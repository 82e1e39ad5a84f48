//! `mmcv features`: computes feature maps of images.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use mmcv_cli::Failure;
use mmcv_cli::format::shape;
use mmcv_cli::output::{create_parent, display, lossy, print, print_json};
use mmcv_layers::{Forward, Module, Output};
use mmcv_models::{MODELS, ProjectNetwork, Recipe};
use mmcv_registry::{Config, Dict};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::batch::{
    BATCH_SIZE, BatchNetwork, BatchRunner, ImageArgs, ImageOutput, SharedForward, Source, output_files, process_threads,
};
use crate::config::report;
use crate::draw;
use crate::inference::{Fusing, Inference, stream_options};
use crate::listed::{ListArgs, Listed, Recorder, Settings};
use crate::network::with_key;
use crate::weights::Weights;

/// Computes the feature maps that a backbone returns for images: its stages in `out_indices`.
///
/// Of a project config whose model is no classifier, such as a detector's, the backbone is built, and with a checkpoint of the
/// whole model also the neck.
///
/// Truncated and corrupt images are errors. Images are rotated according to their EXIF orientation, unless the config has
/// `preprocess: {exif: ignore}`.
///
/// With --list, the network is fused if all images have one size. A record has the stages of an image with their shapes, and with
/// --pooled their values.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mmcv features torchvision://resnet50 cat.jpg --out-indices 0,1,2,3 --png features.png
  mmcv features open-mmlab://detectron2/resnet50_caffe photos/ --out features/
  mmcv features model_zoo/configs/mobilenet_v2.yaml cat.jpg --pooled --out cat.npy
  mmcv features faster-rcnn_r50_fpn_1x_coco.json cat.jpg --checkpoint faster_rcnn.pth
  mmcv features my.yaml photos/ --checkpoint epoch_10.pth --pooled --json
  mmcv features torchvision://resnet50 --pooled --list images.txt --output vectors.jsonl
  srun mmcv features torchvision://resnet50 --pooled --list images.txt --shard auto --output vectors/ --resume")]
pub(crate) struct Features {
    #[command(flatten)]
    pub(super) weights: Weights,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    list: ListArgs,
    /// The stages, counted from 0, in place of the config's. With the neck of a detector, the outputs of the neck.
    #[arg(long, value_name = "STAGES", value_delimiter = ',')]
    out_indices: Option<Vec<i64>>,
    /// Averages each channel over all pixels.
    #[arg(long)]
    pooled: bool,
    /// Writes the features of each image, without the batch dimension: FILE.safetensors with all stages, or FILE.npy; with
    /// several images, a folder of them.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    out: Option<PathBuf>,
    /// The format of files in a folder; npy is one file for each stage, NAME.STAGE.npy.
    #[arg(long, value_name = "FORMAT", default_value = "safetensors")]
    format: Format,
    /// Writes a PNG with the image and the channels of each stage that vary most; with several images, a folder of them.
    #[arg(long, alias = "picture", value_name = "FILE.png", conflicts_with = "list")]
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

/// The stages of an image of a list.
#[derive(Debug, Serialize)]
struct Stages {
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
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        if let Some(list) = self.list.read()? {
            return Ok(self.run_list(&list)?);
        }
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
        let (recipe, has_neck) = self.recipe()?;
        let network = self.network(&recipe, has_neck).with_context(|| self.weights.name().to_owned())?;
        let preparation = self.images.preparation(&recipe.preprocess, self.weights.device(), !drawings.is_empty());
        let mut extractor = self.extractor(Inference::new(network), &recipe, has_neck);
        (extractor.format, extractor.files, extractor.drawings) = (format, files, drawings);
        let counts = self.images.run(&sources, self.images.batch_size(BATCH_SIZE), preparation, &mut extractor)?;
        self.print(&extractor.reports)?;
        Ok(counts.check()?)
    }

    fn run_list(&mut self, list: &Listed) -> Result<()> {
        if self.list.is_auto() {
            self.weights.use_local_device()?;
        }
        let (recipe, has_neck) = self.recipe()?;
        let network = self.network(&recipe, has_neck).with_context(|| self.weights.name().to_owned())?;
        let is_cpu = self.weights.device() == Device::Cpu;
        let block = self.images.batch_size(if is_cpu { 1 } else { BATCH_SIZE });
        let settings = self.settings(&recipe, &*network)?;
        let Some(target) = list.open(settings.into_map(), block as u64)? else { return Ok(()) };
        let network = match recipe.preprocess.output_size() {
            Some([height, width]) => {
                let streams = if is_cpu { Some(stream_options(process_threads())) } else { None };
                let fusing = Fusing { is_required: false, quantized: None, streams };
                Inference::fuse(network, &[i64::try_from(block)?, 3, height, width], &fusing)?
            }
            None => Inference::new(network),
        };
        let preparation = self.images.preparation(&recipe.preprocess, self.weights.device(), false);
        let mut extractor = self.extractor(network, &recipe, has_neck);
        list.run(target, block as u64, process_threads(), preparation, &mut extractor)
    }

    /// What the records of a list depend on.
    fn settings(&self, recipe: &Recipe, network: &dyn Module) -> Result<Settings> {
        let mut settings = Settings::new("features", self.weights.device());
        settings.set_config(recipe);
        settings.set_weights(network)?;
        settings.set("--out-indices", format!("{:?}", self.out_indices));
        settings.set("--pooled", self.pooled);
        settings.set("--max-pixels", self.images.max_pixels());
        Ok(settings)
    }

    /// The recipe of the network, and whether that has a neck.
    fn recipe(&self) -> Result<(Recipe, bool)> {
        let (mut recipe, mut network) = self.weights.read()?;
        let has_neck = match &mut network {
            Some(network) => extract(network, &mut recipe),
            None => false,
        };
        Ok((recipe, has_neck))
    }

    fn extractor<'a>(&self, network: Inference, recipe: &'a Recipe, has_neck: bool) -> Extractor<'a> {
        let mut out_indices = self.out_indices.clone();
        if out_indices.is_none() && !has_neck {
            out_indices = config_out_indices(&recipe.backbone());
        }
        Extractor {
            network,
            outputs: Outputs { recipe, out_indices, has_neck },
            pooled: self.pooled,
            format: self.format,
            files: Vec::new(),
            drawings: Vec::new(),
            reports: Vec::new(),
        }
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
    network: Inference,
    outputs: Outputs<'a>,
    pooled: bool,
    format: Format,
    /// The output file of each image; empty if nothing is written.
    files: Vec<PathBuf>,
    /// The drawing of each image; empty if nothing is drawn.
    drawings: Vec<PathBuf>,
    reports: Vec<ImageReport>,
}

/// Which outputs of a network are features.
#[derive(Clone)]
struct Outputs<'a> {
    recipe: &'a Recipe,
    /// The stages that the backbone returns, if they are known.
    out_indices: Option<Vec<i64>>,
    /// Whether the outputs are those of a neck.
    has_neck: bool,
}

impl<'a> BatchNetwork<'a> for Extractor<'a> {
    fn forward(&mut self, input: &Tensor) -> Result<Vec<Tensor>> {
        self.outputs.features(self.network.call(input)?, input)
    }

    fn shared(&self) -> Option<SharedForward<'a>> {
        let (streams, outputs) = (self.network.streams()?, self.outputs.clone());
        Some(Arc::new(move |input| outputs.features(streams.call(&[input], &Dict::new()), input)))
    }
}

impl<'a> Recorder<'a> for Extractor<'a> {
    type Result = Stages;

    fn result(&self, outputs: &[Tensor]) -> Result<Stages> {
        let mut stages = Vec::new();
        for stage in self.stages(outputs)? {
            stages.push(self.stage_report(&stage, None)?);
        }
        Ok(Stages { stages })
    }
}

impl<'a> BatchRunner<'a> for Extractor<'a> {
    fn handle(&mut self, index: usize, source: &Source, output: ImageOutput) -> Result<()> {
        let stages = self.stages(&output.outputs)?;
        if let (Some(file), Some(thumbnail)) = (self.drawings.get(index), &output.thumbnail) {
            let rows: Vec<_> =
                stages.iter().map(|stage| draw::FeatureRow { name: &stage.name, maps: &stage.tensor }).collect();
            draw::write_features(file, thumbnail, &rows)?;
        }
        let files = match self.files.get(index) {
            Some(file) => write(file, self.format, &stages)?,
            None => Vec::new(),
        };
        let mut reports = Vec::new();
        for (position, stage) in stages.iter().enumerate() {
            // One file may hold all stages.
            let file = files.get(position).or(files.first());
            reports.push(self.stage_report(stage, file)?);
        }
        self.reports.push(ImageReport { image: lossy(&source.file), stages: reports });
        Ok(())
    }
}

impl Outputs<'_> {
    /// The features among the outputs of the network.
    fn features(&self, outputs: mmcv_layers::Result<Output>, input: &Tensor) -> Result<Vec<Tensor>> {
        match outputs {
            Ok(stages) if self.has_neck => self.choose(stages.into_vec()),
            Ok(stages) => Ok(stages.into_vec()),
            Err(error) => Err(with_key(error, &self.recipe.model, &[input]).into()),
        }
    }

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
}

impl Extractor<'_> {
    /// The stages of one image, from outputs `[1, ...]`.
    fn stages(&self, outputs: &[Tensor]) -> Result<Vec<Stage>> {
        let mut stages = Vec::new();
        for (name, output) in self.outputs.stage_names(outputs.len()).into_iter().zip(outputs) {
            let mut tensor = output.f_select(0, 0)?.f_to_device(Device::Cpu)?;
            if self.pooled && tensor.dim() > 1 {
                let pixels: Vec<i64> = (1..tensor.dim() as i64).collect();
                tensor = tensor.f_mean_dim(pixels, false, Kind::Float)?;
            }
            stages.push(Stage { name, tensor: tensor.f_contiguous()? });
        }
        Ok(stages)
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
