//! The network of `mmcv build` and `mmcv summary`: its config, and how it is built.

use anyhow::{Context, Result, bail};
use clap::Args;
use mmcv_checkpoint::{CheckpointFile, LoadReport};
use mmcv_layers::explain::Explanation;
use mmcv_layers::{ErrorKind, Module, init};
use mmcv_models::{Preprocess, Recipe};
use mmcv_registry::{Config, Dict, KeyPath, config};
use tch::Tensor;

use crate::args::{ConfigOptions, Shape};
use crate::config::{builder, is_recipe, network_alone, read_with_options};
use crate::placeholder::without_placeholders;
use crate::weights::CheckpointArgs;

/// The seed of weights that no checkpoint has.
const SEED: i64 = 0;

/// A network with its weights.
pub(crate) struct Loaded {
    pub(crate) network: Box<dyn Module>,
    /// The rest of the config; `None` if the config is a network alone.
    pub(crate) recipe: Option<Recipe>,
    /// The dict of the network.
    pub(crate) model: Config,
    pub(crate) checkpoint: Option<LoadedCheckpoint>,
}

/// A checkpoint that was loaded.
pub(crate) struct LoadedCheckpoint {
    pub(crate) source: String,
    pub(crate) report: LoadReport,
    pub(crate) file: CheckpointFile,
}

impl Loaded {
    pub(crate) fn preprocess(&self) -> Option<&Preprocess> {
        Some(&self.recipe.as_ref()?.preprocess)
    }
}

/// The weights of a network if the arguments name none.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DefaultWeights {
    /// Initial ones.
    Initial,
    /// Those of the config's checkpoint; initial ones if it has none.
    OfConfig,
}

/// The network of a config with its weights.
pub(crate) fn load(config: &Config, weights: &CheckpointArgs, default: DefaultWeights) -> Result<Loaded> {
    let recipe = if is_recipe(config) { Some(Recipe::read(config)?) } else { None };
    tch::manual_seed(SEED);
    let config = network_alone(config);
    let builder = builder(&config);
    let model = builder.path.find(&config).unwrap_or(&Config::Null);
    let build = || builder.model(model);
    let of_config = recipe.as_ref().and_then(|recipe| recipe.checkpoint.clone());
    let chosen = match default {
        DefaultWeights::Initial => weights.choose(of_config),
        DefaultWeights::OfConfig => weights.choose_or(of_config),
    };
    let (network, checkpoint) = match chosen {
        Some(checkpoint) => {
            let (network, report, file) = weights.load(&checkpoint, build)?;
            (network, Some(LoadedCheckpoint { source: checkpoint.source, report, file }))
        }
        None => {
            let network = build()?;
            network.init_weights()?;
            (network, None)
        }
    };
    Ok(Loaded { network, recipe, model: model.clone(), checkpoint })
}

/// The arguments for a network.
#[derive(Debug, Args)]
pub(crate) struct NetworkArgs {
    /// A config file, YAML or JSON, with the dict of a type or a list of dicts, at the top level or under `model`, such as the
    /// whole config of an OpenMMLab project; or a model zoo name.
    config: String,
    #[command(flatten)]
    options: ConfigOptions,
    /// The shape of an input, such as 1x3x224x224. Repeat it for a network with several inputs.
    #[arg(long, value_name = "SHAPE")]
    input: Vec<Shape>,
    /// Fails if an init_cfg rule matches no module.
    #[arg(long)]
    strict_init: bool,
    /// Applies no init_cfg: weights keep the values that the layers are made with, and no checkpoint is loaded.
    #[arg(long, conflicts_with = "strict_init")]
    no_init: bool,
    /// The seed of the initial weights.
    #[arg(long, default_value_t = 0)]
    seed: i64,
}

impl NetworkArgs {
    /// The config file or the model zoo name.
    pub(crate) fn name(&self) -> &str {
        &self.config
    }

    /// Builds and initializes the network, and runs it if the shape of an input is known.
    pub(crate) fn explain(&self) -> Result<Explanation> {
        let config = read_with_options(&self.config, &self.options.cfg_options)?;
        self.explain_with(&config, &self.inputs()).with_context(|| self.config.clone())
    }

    /// [`explain`](Self::explain), with an image of the config's size as the default input.
    ///
    /// Returns an error if neither the arguments nor the config have a size.
    pub(crate) fn explain_with_input(&self) -> Result<Explanation> {
        let config = read_with_options(&self.config, &self.options.cfg_options)?;
        self.explain_with_default_input(&config).with_context(|| self.config.clone())
    }

    fn explain_with_default_input(&self, config: &Config) -> Result<Explanation> {
        let mut inputs = self.inputs();
        if inputs.is_empty() {
            inputs.push(image_shape(config)?);
        }
        self.explain_with(config, &inputs)
    }

    fn inputs(&self) -> Vec<Vec<i64>> {
        self.input.iter().map(|Shape(sizes)| sizes.clone()).collect()
    }

    fn explain_with(&self, config: &Config, inputs: &[Vec<i64>]) -> Result<Explanation> {
        let config = without_placeholders(config, &KeyPath::root());
        tch::manual_seed(self.seed);
        let config = network_alone(&config);
        let explanation = Explanation::new(&builder(&config), &config, !self.no_init, inputs)?;
        if self.strict_init && !explanation.unmatched_rules().is_empty() {
            bail!("{}", explanation.unmatched_rules().join("; "));
        }
        Ok(explanation)
    }
}

/// The shape of one image as the config preprocesses it.
fn image_shape(config: &Config) -> Result<Vec<i64>> {
    if is_recipe(config)
        && let Some([height, width]) = Recipe::read(config)?.preprocess.output_size()
    {
        return Ok(vec![1, 3, height, width]);
    }
    bail!("the shape of the input is unknown: add an option such as --input 1x3x224x224")
}

/// Names the config key to change in an error about a shape; other errors are returned unchanged. The network, `model`, was
/// called with `inputs`.
pub(crate) fn with_key(error: mmcv_layers::Error, model: &Dict, inputs: &[&Tensor]) -> mmcv_layers::Error {
    if !matches!(*error.kind, ErrorKind::Shape(_)) {
        return error;
    }
    let config = config! { model: model.clone() };
    let shapes: Vec<Vec<i64>> = inputs.iter().map(|input| input.size()).collect();
    match init::without_draws(|| Explanation::new(&builder(&config), &config, false, &shapes)) {
        Err(explained) => explained,
        Ok(_) => error,
    }
}
