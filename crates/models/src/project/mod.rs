//! [`Project`]: a whole config of an OpenMMLab project, read as a recipe.
//!
//! Reference: mmengine/runner/runner.py, mmpretrain/apis.

mod data_preprocessor;
mod dataset;
mod keys;
mod network;
mod pipeline;

use mmcv_registry::{Config, ConfigError, ConfigStruct, Dict, FromConfig, KeyPath};

pub use network::ProjectNetwork;

use crate::{ChannelOrder, CheckpointConfig, Preprocess, Recipe};
use data_preprocessor::DataPreprocessor;
use dataset::Datasets;
use keys::KEYS;

/// A whole config of an OpenMMLab project, such as mmpretrain's `resnet50_8xb32_in1k`.
///
/// A dict with `model` is one if it has a key that only such configs have: a data loader, a pipeline, an optimizer, a hook or
/// a schedule. The model, the preprocessing, the checkpoint and the names of the classes are read from it; all other keys
/// beside `model` are ignored. It may also have the keys of a [`Recipe`], which win.
///
/// ```
/// use mmcv_models::Recipe;
/// use mmcv_registry::config;
///
/// let recipe = Recipe::read(&config! {
///     model: { type: "ImageClassifier", backbone: { type: "ResNet", depth: 18 } },
///     data_preprocessor: { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375], to_rgb: true },
///     test_pipeline: [
///         { type: "LoadImageFromFile" },
///         { type: "ResizeEdge", scale: 256, edge: "short" },
///         { type: "CenterCrop", crop_size: 224 },
///         { type: "PackInputs" },
///     ],
///     optim_wrapper: { optimizer: { type: "SGD", lr: 0.1 } },
/// })?;
/// assert_eq!(recipe.preprocess.output_size(), Some([224, 224]));
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Project<'a> {
    config: &'a Dict,
}

impl<'a> Project<'a> {
    /// The keys that only a project config has.
    pub const KEYS: &'static [&'static str] = KEYS;

    /// The project config, or `None` if `config` is something else.
    #[must_use]
    pub fn recognize(config: &'a Config) -> Option<Self> {
        let config = config.as_dict()?;
        if config.contains_key("type") || !config.contains_key("model") {
            return None;
        }
        if config.keys().any(|key| KEYS.contains(&key)) { Some(Self { config }) } else { None }
    }

    /// The network as far as it can be built.
    #[must_use]
    pub fn network(&self) -> ProjectNetwork {
        ProjectNetwork::of(self.config)
    }

    /// Whether the config says how images become inputs.
    #[must_use]
    pub fn has_preprocessing(&self) -> bool {
        self.config.contains_key("preprocess")
            || DataPreprocessor::find(self.config).is_some()
            || Datasets::of(self.config).pipeline().is_some()
    }

    /// The model, the preprocessing, the checkpoint and the names of the classes.
    ///
    /// # Errors
    /// Returns an error with the key path if the model is no dict, or if the preprocessing has a step that is not known
    /// here and may change pixels.
    pub fn recipe(&self) -> Result<Recipe, ConfigError> {
        let root = KeyPath::root();
        let mut recipe = Recipe::new(self.model()?);
        recipe.preprocess = self.preprocess()?;
        recipe.checkpoint = self.checkpoint()?;
        if let Some(classes @ (Config::List(_) | Config::Tuple(_) | Config::Str(_))) = self.config.get("classes") {
            recipe.classes = FromConfig::from_config(classes, &root.key("classes"))?;
        }
        recipe.default_classes = match self.config.get("default_classes") {
            Some(classes) => FromConfig::from_config(classes, &root.key("default_classes"))?,
            None => Datasets::of(self.config).classes()?,
        };
        Ok(recipe)
    }

    fn model(&self) -> Result<Dict, ConfigError> {
        let model = self.config.get("model").unwrap_or(&Config::Null);
        Dict::from_config(model, &KeyPath::root().key("model"))?;
        Ok(self.network().model)
    }

    /// The preprocessing of the pipeline and of `data_preprocessor`, with the values of the recipe's key `preprocess`.
    fn preprocess(&self) -> Result<Preprocess, ConfigError> {
        let path = KeyPath::root().key("preprocess");
        let overrides = match self.config.get("preprocess") {
            Some(overrides) => Dict::from_config(overrides, &path)?,
            None => Dict::new(),
        };
        let mut preprocess = Preprocess::new();
        if DataPreprocessor::find(self.config).is_some() {
            // Images come in OpenCV's order.
            preprocess.channel_order = ChannelOrder::Bgr;
        }
        if !overrides.contains_key("pipeline")
            && let Some((steps, path)) = Datasets::of(self.config).pipeline()
        {
            preprocess = pipeline::read(steps, &path)?;
        }
        DataPreprocessor::apply_to(&mut preprocess, self.config)?;
        let mut values = preprocess.to_dict();
        for (key, value) in overrides {
            values.insert(key, value);
        }
        Preprocess::decode(&values, &path)
    }

    /// The checkpoint of the recipe's key `checkpoint`, or else that of `load_from`.
    fn checkpoint(&self) -> Result<Option<CheckpointConfig>, ConfigError> {
        let root = KeyPath::root();
        // Some configs have a variable of this name, which is a path.
        if let Some(checkpoint @ Config::Dict(_)) = self.config.get("checkpoint") {
            return CheckpointConfig::from_config(checkpoint, &root.key("checkpoint")).map(Some);
        }
        let Some(source) = self.config.get("load_from") else { return Ok(None) };
        let source: Option<String> = FromConfig::from_config(source, &root.key("load_from"))?;
        match source {
            Some(source) if source.is_empty() => {
                let reason = "expected the path, URL or model zoo name of a checkpoint, or null";
                Err(ConfigError::invalid(&root.key("load_from"), "an empty string", reason))
            }
            Some(source) => Ok(Some(CheckpointConfig::new(source))),
            None => Ok(None),
        }
    }
}
