//! Trained networks: which config, weights and device the arguments select.

mod load;

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use mmcv_checkpoint::DtypePolicy;
use mmcv_cli::args::{UnknownClassesOption, Verification};
use mmcv_cli::shard::local_index;
use mmcv_layers::{Module, memory};
use mmcv_models::{CheckpointConfig, Project, ProjectNetwork, Recipe, ZooEntry, zoo_entry, zoo_entry_of_file};
use mmcv_registry::Config;
use tch::{Device, Tensor};

use crate::args::{ConfigOptions, DeviceName};
use crate::config;

pub(crate) use load::check_complete;

/// The arguments for a trained network.
#[derive(Debug, Args)]
pub(crate) struct Weights {
    /// A config file with model, preprocess, checkpoint and classes; the whole config of an OpenMMLab project, YAML or JSON; or a
    /// model zoo name: torchvision://NAME, open-mmlab://NAME, mmcls://NAME.
    config: String,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    /// The naming of the tensors in the file, such as torchvision; by default, the one that matches best.
    #[arg(long, alias = "dialect", value_name = "NAME")]
    key_mapping: Option<String>,
    /// What to do about tensors whose type differs from the network's.
    #[arg(long, value_enum)]
    dtype: Option<DtypeChoice>,
    /// The device of the network: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    device: DeviceName,
    #[command(flatten)]
    options: ConfigOptions,
}

/// The arguments for a checkpoint.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// The weights, in place of the config's: a path, a URL, or a model zoo name. Known weights bring their preprocessing.
    #[arg(long, value_name = "SOURCE")]
    checkpoint: Option<String>,
    /// The entry of the file that holds the weights, such as state_dict_ema, or checkpoint.net for a nested one.
    #[arg(long, value_name = "ENTRY")]
    entry: Option<String>,
    /// Loads only tensors whose names begin with this prefix, such as _orig_mod, and removes it.
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    #[command(flatten)]
    unknown_classes: UnknownClassesOption,
    #[command(flatten)]
    verification: Verification,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DtypeChoice {
    /// Refuses them.
    Exact,
    /// Converts them.
    Cast,
}

impl Weights {
    pub(crate) fn device(&self) -> Device {
        self.device.device
    }

    /// For one of several processes that a launcher started on this machine: `cuda` is the device with its number.
    pub(crate) fn use_local_device(&mut self) -> Result<()> {
        let lookup = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        if let Some(index) = local_index(&lookup)? {
            self.device.use_local(usize::try_from(index)?);
        }
        Ok(())
    }

    /// The config file or the model zoo name.
    pub(crate) fn name(&self) -> &str {
        &self.config
    }

    /// The config, with the checkpoint from the arguments and the preprocessing of its weights.
    pub(crate) fn recipe(&self) -> Result<Recipe> {
        Ok(self.read()?.0)
    }

    /// [`recipe`](Self::recipe), and the network of a project config.
    pub(crate) fn read(&self) -> Result<(Recipe, Option<ProjectNetwork>)> {
        self.read_config().with_context(|| mmcv_zoo::redact(&self.config))
    }

    fn read_config(&self) -> Result<(Recipe, Option<ProjectNetwork>)> {
        let mut config = config::read(&self.config)?;
        let entry = self.checkpoint.add_known_preprocess(&mut config)?;
        // Overrides on the command line are deliberate, so they are applied after the check of known weights.
        config::set_options(&mut config, &self.options.cfg_options)?;
        let network = Project::recognize(&config).map(|project| project.network());
        let mut recipe = Recipe::read(&config)?;
        if self.checkpoint.is_given() {
            recipe.checkpoint = self.checkpoint.config(entry.as_ref(), recipe.checkpoint);
        }
        if let Some(checkpoint) = &mut recipe.checkpoint {
            self.checkpoint.apply_to(checkpoint);
            if self.key_mapping.is_some() {
                checkpoint.dialect.clone_from(&self.key_mapping);
            }
            match self.dtype {
                Some(DtypeChoice::Exact) => checkpoint.dtype = DtypePolicy::Exact,
                Some(DtypeChoice::Cast) => checkpoint.dtype = DtypePolicy::Cast,
                None => {}
            }
        }
        Ok((recipe, network))
    }
}

impl CheckpointArgs {
    /// Gives a config the preprocessing of its weights, if the model zoo knows them, and returns their entry. Returns an error if
    /// the config contradicts it.
    pub(crate) fn add_known_preprocess(&self, config: &mut Config) -> Result<Option<ZooEntry>> {
        let source = match &self.checkpoint {
            Some(source) => Some(source.as_str()),
            None => checkpoint_source(config),
        };
        let Some(entry) = source.and_then(known_weights) else { return Ok(None) };
        if self.takes_preprocess(config) {
            set_preprocess(config, &entry);
        }
        entry.check(&Recipe::read(config)?)?;
        Ok(Some(entry))
    }

    /// Whether the preprocessing of known weights replaces that of the config: it does if the arguments name the weights, but
    /// the pipeline of a project config stays, which says how images are resized, too.
    fn takes_preprocess(&self, config: &Config) -> bool {
        match Project::recognize(config) {
            Some(project) => !project.has_preprocessing(),
            None => self.is_given() || config.get("preprocess").is_none(),
        }
    }

    /// Whether the arguments name weights.
    pub(crate) fn is_given(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// How to load the weights that the arguments name, if any: as the model zoo says, or else like `default`.
    pub(crate) fn choose(&self, default: Option<CheckpointConfig>) -> Option<CheckpointConfig> {
        let entry = known_weights(self.checkpoint.as_ref()?);
        self.config(entry.as_ref(), default)
    }

    /// [`choose`](Self::choose), or `default` if the arguments name no weights.
    pub(crate) fn choose_or(&self, default: Option<CheckpointConfig>) -> Option<CheckpointConfig> {
        if self.is_given() {
            return self.choose(default);
        }
        let mut checkpoint = default?;
        self.apply_to(&mut checkpoint);
        Some(checkpoint)
    }

    /// [`choose`](Self::choose), for weights with this model zoo entry.
    fn config(&self, entry: Option<&ZooEntry>, default: Option<CheckpointConfig>) -> Option<CheckpointConfig> {
        let source = self.checkpoint.clone()?;
        let mut config = match entry.and_then(entry_checkpoint) {
            Some(config) => config,
            None => match default {
                Some(default) => CheckpointConfig { source, ..default },
                None => CheckpointConfig::new(source),
            },
        };
        self.apply_to(&mut config);
        Some(config)
    }

    /// Applies the arguments that select a part of the file.
    fn apply_to(&self, checkpoint: &mut CheckpointConfig) {
        if self.entry.is_some() {
            checkpoint.entry.clone_from(&self.entry);
        }
        if self.prefix.is_some() {
            checkpoint.prefix.clone_from(&self.prefix);
        }
    }
}

fn entry_checkpoint(entry: &ZooEntry) -> Option<CheckpointConfig> {
    Recipe::read(&entry.config).ok()?.checkpoint
}

fn checkpoint_source(config: &Config) -> Option<&str> {
    match config.get("checkpoint").and_then(|checkpoint| checkpoint.get("source")) {
        Some(source) => source.as_str(),
        None if Project::recognize(config).is_some() => config.get("load_from")?.as_str(),
        None => None,
    }
}

/// The model zoo entry of weights. A URL is recognized, and so is a local file with the name of a published one, since that
/// name contains a digest.
fn known_weights(source: &str) -> Option<ZooEntry> {
    if let Ok(entry) = zoo_entry(source) {
        return Some(entry);
    }
    if source.contains("://") {
        return None;
    }
    let file_name = Path::new(source).file_name()?;
    let mut entry = zoo_entry_of_file(file_name).ok()??;
    if let Config::Dict(config) = &mut entry.config
        && let Some(Config::Dict(checkpoint)) = config.get_mut("checkpoint")
    {
        checkpoint.insert("source", source);
    }
    Some(entry)
}

/// Replaces the preprocessing of a config by that of weights, except for `exif`, which depends on the images.
fn set_preprocess(config: &mut Config, entry: &ZooEntry) {
    let (Config::Dict(config), Some(preprocess)) = (config, entry.config.get("preprocess")) else { return };
    let mut preprocess = preprocess.clone();
    if let Config::Dict(preprocess) = &mut preprocess
        && let Some(exif) = config.get("preprocess").and_then(|preprocess| preprocess.get("exif"))
    {
        preprocess.insert("exif", exif.clone());
    }
    config.insert("preprocess", preprocess);
}

/// Input shapes that are known to fit in memory.
#[derive(Debug, Default)]
pub(crate) struct CheckedShapes(HashSet<Vec<i64>>);

impl CheckedShapes {
    /// Checks that the network has enough memory for an input, once for each shape.
    pub(crate) fn check(&mut self, network: &dyn Module, input: &Tensor) -> Result<()> {
        let shape = input.size();
        if !self.0.contains(&shape) {
            memory::check_forward(network, std::slice::from_ref(&shape))?;
            self.0.insert(shape);
        }
        Ok(())
    }
}
