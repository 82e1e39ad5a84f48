//! [`Recipe`]: a config file that holds all that is needed to classify pictures.

use mmcv_checkpoint::{DtypePolicy, LoadOptions, ReviseKeys};
use mmcv_layers::{Builder, Error, Module, Registry, Result};
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath};

use crate::Preprocess;

/// The names of ImageNet's 1,000 classes, in order.
const IMAGENET: &str = include_str!("../model_zoo/imagenet_classes.txt");

/// A network with its preprocessing, weights and class names, as the files in `model_zoo/configs/` hold it.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct Recipe {
    /// The network: the dict of a registered type.
    pub model: Dict,
    /// How pictures are prepared.
    #[config(default = Preprocess::new())]
    pub preprocess: Preprocess,
    /// Where the weights come from; null for none.
    #[config(default = None)]
    pub checkpoint: Option<CheckpointConfig>,
    /// The names of the classes: a list, or `imagenet`; null for those that the checkpoint has, or numbers.
    #[config(default = None)]
    pub classes: Option<Classes>,
}

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct CheckpointConfig {
    /// A path, a URL, `torchvision://NAME` or `open-mmlab://NAME`.
    pub source: String,
    /// Pairs of a regular expression and what replaces it in the names of the tensors, applied in order. Without any, a
    /// leading `module.` is removed, which training on several devices leaves there.
    #[config(default = ReviseKeysConfig(vec![(r"^module\.".to_owned(), String::new())]))]
    pub revise_keys: ReviseKeysConfig,
    /// The prefix of the tensors that are taken; it is removed. Null for all.
    #[config(default = None)]
    pub prefix: Option<String>,
    /// The names in the file: a dialect of the network, such as `torchvision`; null for what fits best.
    #[config(default = None)]
    pub dialect: Option<String>,
    /// Whether every tensor of the network has to be in the file and the other way round.
    #[config(default = true)]
    pub strict: bool,
    /// The entry of the file that holds the tensors, such as `state_dict_ema`, or `checkpoint.net` for one inside another; null
    /// for `state_dict`, `model`, `ema`, or the whole file.
    #[config(default = None)]
    pub entry: Option<String>,
    /// Tensors of another type than the network's: `cast` converts them, `exact` refuses them.
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
        let pairs = Vec::<Vec<String>>::from_config(value, path)?;
        let pair = |(index, pair): (usize, Vec<String>)| {
            <[String; 2]>::try_from(pair)
                .map(|[pattern, replacement]| (pattern, replacement))
                .map_err(|found| ConfigError::wrong_type(&path.index(index), "[PATTERN, REPLACEMENT]", &found.into()))
        };
        pairs.into_iter().enumerate().map(pair).collect::<Result<_, _>>().map(Self)
    }

    fn to_config(&self) -> Config {
        let pairs = self.0.iter().map(|(pattern, replacement)| Config::from([pattern.as_str(), replacement.as_str()]));
        Config::List(pairs.collect())
    }
}

/// The names of the classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(Vec<String>);

impl Classes {
    /// The names in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl FromConfig for Classes {
    fn expected() -> String {
        "a list of names, or \"imagenet\"".to_owned()
    }

    fn from_config(value: &Config, path: &KeyPath) -> Result<Self, ConfigError> {
        match value {
            Config::Str(name) if name == "imagenet" => Ok(Self(IMAGENET.lines().map(str::to_owned).collect())),
            Config::List(_) => Vec::from_config(value, path).map(Self),
            _ => Err(ConfigError::wrong_type(path, Self::expected(), value)),
        }
    }

    fn to_config(&self) -> Config {
        self.0.clone().into()
    }
}

impl Recipe {
    /// Reads a recipe from a config.
    ///
    /// # Errors
    /// All mistakes at once, with their key paths.
    pub fn read(config: &Config) -> Result<Self> {
        Ok(Self::from_config(config, &KeyPath::root())?)
    }

    /// Builds the network, without weights and in training mode.
    ///
    /// # Errors
    /// Where a part cannot be built; the error has the key path.
    pub fn build(&self, registry: &Registry) -> Result<Box<dyn Module>> {
        Builder::new(registry).key("model").model(&Config::Dict(self.model.clone()))
    }

    /// Builds the backbone alone, without the classifier that some have, to give the stages `out_indices`, or those of the
    /// config; without weights and in training mode.
    ///
    /// # Errors
    /// Where it cannot be built; the error has the key path.
    pub fn build_backbone(&self, registry: &Registry, out_indices: Option<&[i64]>) -> Result<Box<dyn Module>> {
        let mut backbone = self.backbone();
        if let Some(indices) = out_indices {
            backbone.insert("out_indices", indices.to_vec());
        }
        let path = KeyPath::root().key("model");
        let path = if self.model.contains_key("backbone") { path.key("backbone") } else { path };
        Builder::new(registry).at(|_| path).model(&Config::Dict(backbone))
    }

    /// The dict of the backbone, without the classifier that some have: that of an `ImageClassifier`, or the network itself.
    #[must_use]
    pub fn backbone(&self) -> Dict {
        let mut backbone = self.model.get("backbone").and_then(Config::as_dict).unwrap_or(&self.model).clone();
        backbone.remove("num_classes");
        backbone
    }

    /// The names of the classes of a network that gives so many scores: those of the config, else those that the checkpoint
    /// has (`LoadReport::classes`), else `None`.
    ///
    /// # Errors
    /// Where there are more or fewer names than scores.
    pub fn class_names<'a>(
        &'a self,
        scores: usize,
        of_checkpoint: Option<&'a [String]>,
    ) -> Result<Option<&'a [String]>> {
        let own = self.classes.as_ref().map(Classes::names);
        let Some(names) = own.or(of_checkpoint) else { return Ok(None) };
        if names.len() == scores {
            return Ok(Some(names));
        }
        let found = format!("{} names", names.len());
        let expected = match own {
            Some(_) => format!(
                "the network gives {scores} scores: expected {scores} names, or no `classes`, for those of the checkpoint or numbers"
            ),
            None => format!(
                "they are those of the checkpoint, and the network gives {scores} scores: expected `classes` with {scores} names"
            ),
        };
        Err(Error::argument("classes", found, expected))
    }
}

impl CheckpointConfig {
    /// The options of loading that the config asks for.
    ///
    /// # Errors
    /// Where a pattern is no regular expression.
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
