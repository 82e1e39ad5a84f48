//! [`Recipe`]: a config file with everything needed to classify images.

use mmcv_checkpoint::{DtypePolicy, LoadOptions, ReviseKeys};
use mmcv_layers::{Builder, Error, Module, Registry, Result};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath};

use crate::{Preprocess, Project};

/// The names of ImageNet's 1,000 classes, in order.
const IMAGENET: &str = include_str!("../model_zoo/imagenet_classes.txt");

/// A network with its preprocessing, weights and class names, as in the files in `model_zoo/configs/`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct Recipe {
    /// The network: the dict of a registered type.
    pub model: Dict,
    /// The preprocessing of images.
    #[config(default = Preprocess::new())]
    pub preprocess: Preprocess,
    /// The weights; null for none.
    #[config(default = None)]
    pub checkpoint: Option<CheckpointConfig>,
    /// The names of the classes: a list, or `imagenet`; null for the names in the checkpoint, or numbers.
    #[config(default = None)]
    pub classes: Option<ClassNames>,
    /// The names of the classes if neither `classes` nor the checkpoint has them: a list, or `imagenet`; null for numbers.
    #[config(default = None)]
    pub default_classes: Option<ClassNames>,
}

/// The weights of a network, and how to load them.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct CheckpointConfig {
    /// A path, a URL, `torchvision://NAME` or `open-mmlab://NAME`.
    pub source: String,
    /// Pairs of a regular expression and its replacement, applied in order to the names of the tensors. By default, the
    /// prefix `module.` is removed, which training on several devices adds.
    #[config(default = ReviseKeysConfig(vec![(r"^module\.".to_owned(), String::new())]))]
    pub revise_keys: ReviseKeysConfig,
    /// The prefix of the tensors to load, which is removed; null for all tensors.
    #[config(default = None)]
    pub prefix: Option<String>,
    /// The key mapping for the names in the file, such as `torchvision`; null for the one that fits best.
    #[config(default = None)]
    pub dialect: Option<String>,
    /// Whether the tensors of the file and of the network have to be the same.
    #[config(default = true)]
    pub strict: bool,
    /// The entry of the file that holds the tensors, such as `state_dict_ema`, or `checkpoint.net` for a nested one; null
    /// for `state_dict`, `model`, `ema`, or the whole file.
    #[config(default = None)]
    pub entry: Option<String>,
    /// Tensors of another type than the network's: `cast` converts them, `exact` rejects them.
    #[config(default = DtypePolicy::Cast)]
    pub dtype: DtypePolicy,
}

/// Pairs of a regular expression and its replacement.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviseKeysConfig(pub Vec<(String, String)>);

impl FromConfig for ReviseKeysConfig {
    fn expected() -> String {
        "a list of pairs [PATTERN, REPLACEMENT]".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        let mut pairs = Vec::new();
        for (index, pair) in Vec::<Vec<String>>::from_config(value, path)?.into_iter().enumerate() {
            match <[String; 2]>::try_from(pair) {
                Ok([pattern, replacement]) => pairs.push((pattern, replacement)),
                Err(found) => {
                    let path = path.index(index);
                    return Err(ConfigError::wrong_type(&path, "[PATTERN, REPLACEMENT]", &found.into()));
                }
            }
        }
        Ok(Self(pairs))
    }

    fn to_config(&self) -> Config {
        let pairs = self.0.iter().map(|(pattern, replacement)| Config::from([pattern.as_str(), replacement.as_str()]));
        Config::List(pairs.collect())
    }
}

/// The names of the classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    /// The names of ImageNet's 1,000 classes.
    #[must_use]
    pub fn imagenet() -> Self {
        Self(IMAGENET.lines().map(str::to_owned).collect())
    }

    /// The names in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl FromConfig for ClassNames {
    fn expected() -> String {
        "a list of names, or \"imagenet\"".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Str(name) if name == "imagenet" => Ok(Self::imagenet()),
            Config::Str(_) => Err(ConfigError::wrong_type(path, Self::expected(), value)),
            _ => Vec::from_config(value, path).map(Self),
        }
    }

    fn to_config(&self) -> Config {
        self.0.clone().into()
    }
}

impl Recipe {
    /// Reads a recipe from a config: that of a recipe, or a whole [`Project`] config.
    ///
    /// # Errors
    /// Returns an error with all mistakes and their key paths if the config is neither.
    pub fn read(config: &Config) -> Result<Self> {
        if let Some(project) = Project::recognize(config) {
            return Ok(project.recipe()?);
        }
        Ok(Self::from_config(config, &KeyPath::root())?)
    }

    /// Builds the network, without weights and in training mode.
    ///
    /// # Errors
    /// Returns an error if a part cannot be built; it has the key path.
    pub fn build(&self, registry: &Registry) -> Result<Box<dyn Module>> {
        Builder::new(registry).key("model").model(&Config::Dict(self.model.clone()))
    }

    /// Builds the backbone, without the classifier that some have, without weights and in training mode. It returns the
    /// stages `out_indices`, or those of the config.
    ///
    /// # Errors
    /// Returns an error if the backbone cannot be built; it has the key path.
    pub fn build_backbone(&self, registry: &Registry, out_indices: Option<&[i64]>) -> Result<Box<dyn Module>> {
        let mut backbone = self.backbone();
        if let Some(indices) = out_indices {
            backbone.insert("out_indices", indices.to_vec());
        }
        let mut builder = Builder::new(registry).key("model");
        if self.model.contains_key("backbone") {
            builder = builder.key("backbone");
        }
        builder.model(&Config::Dict(backbone))
    }

    /// The dict of the backbone, without the classifier that some have: that of an `ImageClassifier`, or the network.
    #[must_use]
    pub fn backbone(&self) -> Dict {
        let mut backbone = match self.model.get("backbone") {
            Some(Config::Dict(backbone)) => backbone.clone(),
            _ => self.model.clone(),
        };
        backbone.remove("num_classes");
        backbone
    }

    /// The names of the classes of a network that outputs `scores` scores: those of the config, else those in the
    /// checkpoint (`LoadReport::classes`), else the config's default, else `None`.
    ///
    /// # Errors
    /// Returns an error if there are more or fewer names than scores.
    pub fn class_names<'a>(
        &'a self,
        scores: usize,
        names_in_checkpoint: Option<&'a [String]>,
    ) -> Result<Option<&'a [String]>> {
        let (names, expected) = match (&self.classes, names_in_checkpoint, &self.default_classes) {
            (Some(classes), _, _) => (
                classes.names(),
                format!("expected {scores} names, or no `classes`, for the names in the checkpoint or numbers"),
            ),
            (None, Some(names), _) => {
                (names, format!("the class names of the checkpoint do not fit: expected `classes` with {scores} names"))
            }
            (None, None, Some(classes)) => {
                (classes.names(), format!("the class names of the dataset do not fit: expected {scores} names"))
            }
            (None, None, None) => return Ok(None),
        };
        if names.len() == scores {
            return Ok(Some(names));
        }
        let reason = format!("the network outputs {scores} scores; {expected}");
        Err(Error::argument("classes", format!("{} names", names.len()), reason))
    }
}

impl CheckpointConfig {
    /// The options of loading in the config.
    ///
    /// # Errors
    /// Returns an error if a pattern is not a regular expression.
    pub fn options(&self) -> Result<LoadOptions, mmcv_checkpoint::Error> {
        let ReviseKeysConfig(pairs) = &self.revise_keys;
        let revise_keys =
            ReviseKeys::new(pairs.iter().map(|(pattern, replacement)| (pattern.as_str(), replacement.as_str())))?;
        Ok(LoadOptions {
            revise_keys,
            prefix: self.prefix.clone(),
            dialect: self.dialect.clone(),
            strict: self.strict,
            entry: self.entry.clone(),
            dtype: self.dtype,
            ..LoadOptions::default()
        })
    }
}
