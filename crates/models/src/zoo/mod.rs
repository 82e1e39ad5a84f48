//! What the names of the zoo stand for: network, preprocessing, names of the tensors.
//!
//! The table is `model_zoo/networks.yaml`.

mod table;

use std::ffi::OsStr;

use mmcv_checkpoint::{CheckpointLoader, LoadReport};
use mmcv_layers::Module;
use mmcv_registry::{Config, ConfigError, Dict, FromConfig, config, dict};
use mmcv_zoo::{Resolved, Zoo};

pub use table::Published;
use table::{NetworkRow, TABLE, Table, WeightsRow};

use crate::{CheckpointConfig, MODELS, Recipe};

/// A name of the zoo, and all that is needed to use its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ZooEntry {
    /// The name with its scheme, such as `open-mmlab://detectron2/resnet50_caffe`; of several for the same file the
    /// plainest.
    pub name: String,
    /// The network, such as `resnet50_caffe`; several names may have the same.
    pub network: String,
    /// The config of an `ImageClassifier`, as a [`Recipe`] reads it.
    pub config: Config,
    /// The dialect of the network in which the tensors are named; none for the network's own names.
    pub dialect: Option<String>,
    /// Whether the file may lack the classifier, and hold tensors that the network has not.
    pub partial: bool,
    /// Published figures of the network with its classifier.
    pub published: Option<Published>,
}

/// A network with weights of the zoo.
#[derive(Debug)]
pub struct Pretrained {
    /// The network, in evaluation mode.
    pub network: Box<dyn Module>,
    /// How pictures are prepared for it, and what its classes are called.
    pub recipe: Recipe,
    /// What was loaded: a file without a classifier leaves `head.*` as it was drawn.
    pub report: LoadReport,
}

/// Why a name of the zoo gives no network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ZooError {
    /// There is no such name.
    #[error(transparent)]
    Zoo(#[from] mmcv_zoo::Error),
    /// The name is known, and its network is not one of those of this crate.
    #[error("{name}: there is no network for it here: {what}")]
    NoNetwork {
        /// The name.
        name: String,
        /// What it stands for.
        what: String,
    },
    /// The built-in table is wrong.
    #[error("model_zoo/networks.yaml: {0}")]
    Table(#[from] ConfigError),
    /// The network cannot be built.
    #[error(transparent)]
    Build(#[from] mmcv_layers::Error),
    /// The weights cannot be found, fetched, read or loaded.
    #[error(transparent)]
    Load(#[from] mmcv_checkpoint::Error),
    /// The weights want other pictures, or another network, than a config gives.
    #[error("{name}: these weights want {key}: {expected}, and the config has {found}")]
    Disagreement {
        /// The name.
        name: String,
        /// The key of the config.
        key: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The file has not the weights of this backbone.
    #[error("{name}: the weights are not those of the network: {report}")]
    Incomplete {
        /// The name.
        name: String,
        /// What fits and what does not.
        report: Box<LoadReport>,
    },
}

/// What a name of the zoo stands for: `torchvision://resnet50`, `open-mmlab://detectron2/resnet50_caffe`,
/// `mmcls://resnet50`, or one of their URLs. Names without scheme are those of `open-mmlab://`.
///
/// # Errors
/// Where there is no such name, or its network is none of this crate's.
pub fn zoo_entry(name: &str) -> Result<ZooEntry, ZooError> {
    let (zoo, table) = (Zoo::from_env()?, table()?);
    let key = zoo.canonical_name(name);
    if let Some(row) = table.weights.get(&key) {
        return entry(&zoo, table, &key, row);
    }
    let resolved = zoo.resolve(name)?;
    if matches!(resolved, Resolved::Url(_)) {
        for (key, row) in &table.weights {
            if zoo.resolve(key).is_ok_and(|other| other == resolved) {
                return entry(&zoo, table, key, row);
            }
        }
    }
    let what = table.others.get(&key).cloned().unwrap_or_else(|| {
        "it is none of VGG, AlexNet, ResNet, ResNeXt, Res2Net, RegNetX, HRNet and MobileNetV2".to_owned()
    });
    Err(ZooError::NoNetwork { name: mmcv_zoo::redact(name), what })
}

/// All names that have a network here, one for each file, sorted.
///
/// # Errors
/// Where the folder of the zoo is not known.
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

/// Builds the network of a name and loads its weights, which are fetched where they are not cached.
///
/// ```no_run
/// let resnet = mmcv_models::from_zoo("torchvision://resnet50")?;
/// println!("{}", resnet.report);
/// # Ok::<(), mmcv_models::ZooError>(())
/// ```
///
/// # Errors
/// As [`zoo_entry`], and where the file cannot be had, or lacks a tensor of the backbone.
pub fn from_zoo(name: &str) -> Result<Pretrained, ZooError> {
    zoo_entry(name)?.load(&CheckpointLoader::new())
}

/// Whether a tensor of an `ImageClassifier` is one that files without a classifier lack.
fn is_of_classifier(tensor: &str) -> bool {
    ["head.", "neck.", "backbone.classifier."].iter().any(|prefix| tensor.starts_with(prefix))
}

impl ZooEntry {
    /// Builds the network and loads its weights with `loader`, which may have another cache folder.
    ///
    /// # Errors
    /// Where the network cannot be built, the file cannot be had, or it lacks a tensor of the backbone.
    pub fn load(&self, loader: &CheckpointLoader) -> Result<Pretrained, ZooError> {
        let recipe = Recipe::read(&self.config)?;
        let network = recipe.build(&MODELS)?;
        let checkpoint = recipe.checkpoint.clone().unwrap_or_else(|| CheckpointConfig::new(self.name.clone()));
        let report = loader.load_checkpoint(&*network, &checkpoint.source, &checkpoint.options()?)?;
        if !report.missing.iter().all(|tensor| is_of_classifier(tensor)) || !report.mismatched.is_empty() {
            return Err(ZooError::Incomplete { name: self.name.clone(), report: Box::new(report) });
        }
        network.train(false);
        Ok(Pretrained { network, recipe, report })
    }

    /// Where the stride of a block stands: `pytorch`, in the 3x3 convolution, or `caffe`, in the first one. None for networks
    /// without such blocks.
    #[must_use]
    pub fn style(&self) -> Option<&str> {
        style(self.config.get("model")?.get("backbone")?.as_dict()?)
    }

    /// Checks that a recipe prepares pictures as these weights want them: the order of the channels, their scale; and that
    /// its blocks have the style of these weights, which no shape shows.
    ///
    /// # Errors
    /// [`ZooError::Disagreement`] for the first difference.
    pub fn check(&self, recipe: &Recipe) -> Result<(), ZooError> {
        let own = Recipe::read(&self.config)?;
        let (wanted, given) = (&own.preprocess, &recipe.preprocess);
        let style = |recipe: &Recipe| style(&recipe.backbone()).map(str::to_owned);
        let same_type = own.backbone().get("type") == recipe.backbone().get("type");
        let (own_style, style) = (style(&own), if same_type { style(recipe) } else { style(&own) });
        let pairs = [
            ("preprocess.channel_order", wanted.channel_order.to_config(), given.channel_order.to_config()),
            ("preprocess.mean", wanted.mean.to_config(), given.mean.to_config()),
            ("preprocess.std", wanted.std.to_config(), given.std.to_config()),
            ("model.backbone.style", own_style.to_config(), style.to_config()),
        ];
        match pairs.into_iter().find(|(_, expected, found)| expected != found) {
            None => Ok(()),
            Some((key, expected, found)) => Err(ZooError::Disagreement {
                name: self.name.clone(),
                key,
                expected: expected.to_json(),
                found: found.to_json(),
            }),
        }
    }

    /// The path of its file in `model_zoo/configs/`.
    #[must_use]
    pub fn config_file(&self) -> String {
        format!("{}.yaml", self.name.replacen("://", "/", 1))
    }
}

fn style(backbone: &Dict) -> Option<&str> {
    let default = backbone.get("type")?.as_str()?.contains("Res").then_some("pytorch");
    backbone.get("style").and_then(Config::as_str).or(default)
}

fn table() -> Result<&'static Table, ZooError> {
    TABLE.as_ref().map_err(|error| ZooError::Table(error.clone()))
}

fn entry(zoo: &Zoo, table: &Table, name: &str, row: &WeightsRow) -> Result<ZooEntry, ZooError> {
    let unknown = |name: &str, key: &str| ZooError::NoNetwork {
        name: name.to_owned(),
        what: format!("model_zoo/networks.yaml has no `{key}`"),
    };
    let network = table.networks.get(&row.network).ok_or_else(|| unknown(name, &row.network))?;
    let preprocess = table.preprocess.get(&row.preprocess).ok_or_else(|| unknown(name, &row.preprocess))?;
    // A scheme with a prefix, such as `mmcls://`, loads a part of the file; the URL loads all of it.
    let is_part = zoo.scheme(name).is_some_and(|scheme| scheme.prefix().is_some());
    let source = match zoo.resolve(name) {
        Ok(Resolved::Url(url)) if is_part => url.as_str().to_owned(),
        _ => name.to_owned(),
    };
    let mut checkpoint = dict! { source: source };
    match &row.dialect {
        _ if row.partial => {
            checkpoint.insert("strict", false);
        }
        Some(dialect) => {
            checkpoint.insert("dialect", dialect.as_str());
        }
        None => {}
    }
    let config = config! {
        model: classifier(network),
        preprocess: preprocess.to_config(),
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
