//! The networks of the zoo: for each name a network, its preprocessing, and the key mapping of its tensors.
//!
//! The table is `model_zoo/networks.yaml`.

mod table;

use std::ffi::OsStr;

use mmcv_checkpoint::{CheckpointLoader, LoadReport};
use mmcv_layers::Module;
use mmcv_registry::{Config, ConfigError, ConfigStruct, Dict, FromConfig, config, dict};
use mmcv_zoo::{Resolved, Zoo};

pub use table::PublishedFigures;
use table::{NetworkRow, TABLE, Table, WeightsRow};

use crate::{CheckpointConfig, MODELS, Preprocess, Recipe, SPECS};

/// A name of the zoo, with everything needed to use its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ZooEntry {
    /// The name with its scheme, such as `open-mmlab://detectron2/resnet50_caffe`; the plainest if a file has several.
    pub name: String,
    /// The network, such as `resnet50_caffe`; several names may have the same network.
    pub network: String,
    /// The config of an `ImageClassifier`, as a [`Recipe`] reads it.
    pub config: Config,
    /// The key mapping for the names of the tensors; `None` for the network's names.
    pub dialect: Option<String>,
    /// Whether the file may lack the classifier, and have tensors that the network lacks.
    pub partial: bool,
    /// Published figures of the network with its classifier.
    pub published: Option<PublishedFigures>,
}

/// A network with weights of the zoo.
#[derive(Debug)]
pub struct Pretrained {
    /// The network, in evaluation mode.
    pub network: Box<dyn Module>,
    /// The preprocessing of images and the names of the classes.
    pub recipe: Recipe,
    /// The loaded tensors: a file without a classifier leaves the initial values of `head.*`.
    pub report: LoadReport,
}

/// Why a name of the zoo has no network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZooError {
    /// There is no such name.
    #[error(transparent)]
    Zoo(#[from] mmcv_zoo::Error),
    /// The name is known, and this crate does not have its network.
    #[error("{name}: there is no network for it here: {what}; the file itself can be fetched")]
    NoNetwork {
        /// The name.
        name: String,
        /// The contents of the file.
        what: String,
    },
    /// The built-in table is invalid.
    #[error("model_zoo/networks.yaml: {0}")]
    Table(#[from] ConfigError),
    /// The network cannot be built.
    #[error(transparent)]
    Build(#[from] mmcv_layers::Error),
    /// The weights cannot be found, fetched, read or loaded.
    #[error(transparent)]
    Load(#[from] mmcv_checkpoint::Error),
    /// The weights need other preprocessing, or another network, than the config has.
    #[error("{name}: these weights need {key}: {expected}, and the config has {found}")]
    Disagreement {
        /// The name.
        name: String,
        /// The key of the config.
        key: &'static str,
        /// The value that the weights need.
        expected: String,
        /// The value in the config.
        found: String,
    },
    /// The file does not have the weights of this backbone.
    #[error("{name}: the weights are not those of the network: {report}")]
    Incomplete {
        /// The name.
        name: String,
        /// The tensors that match, and those that do not.
        report: Box<LoadReport>,
    },
}

/// Looks up a name of the zoo: `torchvision://resnet50`, `open-mmlab://detectron2/resnet50_caffe`, `mmcls://resnet50`, or
/// one of their URLs. Names without a scheme are those of `open-mmlab://`.
///
/// # Errors
/// Returns an error if the name is unknown, or this crate does not have its network.
pub fn zoo_entry(name: &str) -> Result<ZooEntry, ZooError> {
    let (zoo, table) = (Zoo::from_env()?, table()?);
    let key = zoo.canonical_name(name);
    if let Some(row) = table.weights.get(&key) {
        return entry(&zoo, table, &key, row);
    }
    let resolved = zoo.resolve(name)?;
    if matches!(resolved, Resolved::Url(_)) {
        for (key, row) in &table.weights {
            if let Ok(other) = zoo.resolve(key)
                && other == resolved
            {
                return entry(&zoo, table, key, row);
            }
        }
    }
    let what = match table.others.get(&key) {
        Some(what) => what.clone(),
        None => format!("it is none of {}", backbones().join(", ")),
    };
    Err(ZooError::NoNetwork { name: mmcv_zoo::redact(name), what })
}

/// The names of this crate's backbones.
fn backbones() -> Vec<&'static str> {
    SPECS.iter().filter(|spec| spec.group == "backbone").map(|spec| spec.name).collect()
}

/// All names with a network here, one for each file, sorted.
///
/// # Errors
/// Returns an error if the cache folder of the zoo is unknown.
pub fn zoo_entries() -> Result<Vec<ZooEntry>, ZooError> {
    let (zoo, table) = (Zoo::from_env()?, table()?);
    table.weights.iter().map(|(name, row)| entry(&zoo, table, name, row)).collect()
}

/// The name whose file in the cache is called `file_name`, if it has a network here. No file is read but the user's tables.
///
/// # Errors
/// Returns an error if the folder of the zoo is unknown.
pub fn zoo_entry_of_file(file_name: &OsStr) -> Result<Option<ZooEntry>, ZooError> {
    let (zoo, table) = (Zoo::from_env()?, table()?);
    for (name, row) in &table.weights {
        if zoo.path(name).is_ok_and(|path| path.file_name() == Some(file_name)) {
            return entry(&zoo, table, name, row).map(Some);
        }
    }
    Ok(None)
}

/// Builds the network of a name and loads its weights, which are fetched unless they are cached.
///
/// ```no_run
/// let resnet = mmcv_models::from_zoo("torchvision://resnet50")?;
/// println!("{}", resnet.report);
/// # Ok::<(), mmcv_models::ZooError>(())
/// ```
///
/// # Errors
/// Returns an error if [`zoo_entry`] does, or the file cannot be fetched or loaded, or lacks a tensor of the backbone.
pub fn from_zoo(name: &str) -> Result<Pretrained, ZooError> {
    zoo_entry(name)?.load(&CheckpointLoader::new())
}

/// Whether files without a classifier lack a tensor of an `ImageClassifier`.
fn is_of_classifier(tensor: &str) -> bool {
    ["head.", "neck.", "backbone.classifier."].iter().any(|prefix| tensor.starts_with(prefix))
}

impl ZooEntry {
    /// Builds the network and loads its weights with `loader`, which may have another cache folder.
    ///
    /// # Errors
    /// Returns an error if the network cannot be built, or the file cannot be fetched or loaded, or lacks a tensor of the
    /// backbone.
    pub fn load(&self, loader: &CheckpointLoader) -> Result<Pretrained, ZooError> {
        let recipe = Recipe::read(&self.config)?;
        let network = recipe.build(&MODELS)?;
        let checkpoint = match &recipe.checkpoint {
            Some(checkpoint) => checkpoint.clone(),
            None => CheckpointConfig::new(self.name.clone()),
        };
        let report = loader.load_checkpoint(&*network, &checkpoint.source, &checkpoint.options()?)?;
        if !report.missing.iter().all(|tensor| is_of_classifier(tensor)) || !report.mismatched.is_empty() {
            return Err(ZooError::Incomplete { name: self.name.clone(), report: Box::new(report) });
        }
        network.train(false);
        Ok(Pretrained { network, recipe, report })
    }

    /// The convolution with the stride of a block: `pytorch`, the 3x3 convolution, or `caffe`, the first one. `None` for
    /// networks without this argument.
    #[must_use]
    pub fn style(&self) -> Option<String> {
        let style = style(self.config.get("model")?.get("backbone")?.as_dict()?)?;
        Some(style.as_str()?.to_owned())
    }

    /// Checks that a recipe has the preprocessing that these weights need, and that its blocks have the style of these
    /// weights, which no shape shows.
    ///
    /// # Errors
    /// Returns [`ZooError::Disagreement`] for the first difference.
    pub fn check(&self, recipe: &Recipe) -> Result<(), ZooError> {
        let expected = Recipe::read(&self.config)?;
        let (ours, theirs) = (&expected.preprocess, &recipe.preprocess);
        self.compare("preprocess.channel_order", &ours.channel_order, &theirs.channel_order)?;
        self.compare("preprocess.mean", &ours.mean, &theirs.mean)?;
        self.compare("preprocess.std", &ours.std, &theirs.std)?;
        let (ours, theirs) = (expected.backbone(), recipe.backbone());
        if ours.get("type") == theirs.get("type") {
            self.compare("model.backbone.style", &style(&ours), &style(&theirs))?;
        }
        Ok(())
    }

    fn compare<T: FromConfig>(&self, key: &'static str, expected: &T, found: &T) -> Result<(), ZooError> {
        let (expected, found) = (expected.to_config(), found.to_config());
        if expected == found {
            return Ok(());
        }
        let (expected, found) = (expected.to_json(), found.to_json());
        Err(ZooError::Disagreement { name: self.name.clone(), key, expected, found })
    }

    /// The path of its file in `model_zoo/configs/`.
    #[must_use]
    pub fn config_file(&self) -> String {
        format!("{}.yaml", self.name.replacen("://", "/", 1))
    }
}

/// The `style` of a backbone: the one in its config, or the default of its type.
fn style(backbone: &Dict) -> Option<Config> {
    if let Some(style) = backbone.get("style") {
        return Some(style.clone());
    }
    let spec = MODELS.get(backbone.get("type")?.as_str()?)?;
    let style = spec.fields.iter().find(|field| field.name == "style")?;
    Some(style.default?())
}

fn table() -> Result<&'static Table, ZooError> {
    TABLE.as_ref().map_err(|error| ZooError::Table(error.clone()))
}

fn entry(zoo: &Zoo, table: &Table, name: &str, row: &WeightsRow) -> Result<ZooEntry, ZooError> {
    let Some(network) = table.networks.get(&row.network) else { return Err(missing_row(name, &row.network)) };
    let Some(preprocess) = table.preprocess.get(&row.preprocess) else {
        return Err(missing_row(name, &row.preprocess));
    };
    // A scheme with a prefix, such as `mmcls://`, loads a part of the file; the URL loads all of it.
    let is_part = zoo.scheme(name).is_some_and(|scheme| scheme.prefix().is_some());
    let source = match zoo.resolve(name) {
        Ok(Resolved::Url(url)) if is_part => url.as_str().to_owned(),
        _ => name.to_owned(),
    };
    let mut checkpoint = dict! { source: source };
    if row.partial {
        checkpoint.insert("strict", false);
    } else if let Some(mapping) = &row.dialect {
        checkpoint.insert("dialect", mapping.as_str());
    }
    let config = config! {
        model: classifier(network),
        preprocess: stated(preprocess),
        checkpoint: checkpoint,
        classes: "imagenet",
    };
    Ok(ZooEntry {
        name: name.to_owned(),
        network: row.network.clone(),
        config,
        dialect: row.dialect.clone(),
        partial: row.partial,
        published: network.published.clone(),
    })
}

/// The preprocessing, without the keys that no weights here need.
fn stated(preprocess: &Preprocess) -> Dict {
    let mut stated = preprocess.to_dict();
    for (key, value) in Preprocess::new().to_dict() {
        if ["pipeline", "pad_size_divisor", "pad_value"].contains(&key.as_str()) && stated.get(&key) == Some(&value) {
            stated.remove(&key);
        }
    }
    stated
}

fn missing_row(name: &str, key: &str) -> ZooError {
    ZooError::NoNetwork { name: name.to_owned(), what: format!("model_zoo/networks.yaml has no `{key}`") }
}

/// The dict of the whole network.
fn classifier(network: &NetworkRow) -> Dict {
    let mut model = dict! { type: "ImageClassifier", backbone: network.backbone.clone() };
    match network.features {
        Some(features) => {
            model.insert("neck", network.neck.clone());
            model.insert("head", dict! { type: "LinearClsHead", num_classes: 1000, in_channels: features });
        }
        None => {
            model.insert("head", dict! { type: "ClsHead" });
        }
    }
    model
}
