//! The table `model_zoo/networks.yaml`, which is compiled into the binary.

use std::collections::BTreeMap;

use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, config};
use once_cell::sync::Lazy;

use crate::Preprocess;

const TEXT: &str = include_str!("../../model_zoo/networks.yaml");

/// The table, or the error in it.
pub(super) static TABLE: Lazy<Result<Table, ConfigError>> = Lazy::new(|| Table::read(TEXT));

/// The parts of the table by their names.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) preprocess: BTreeMap<String, Preprocess>,
    pub(super) networks: BTreeMap<String, NetworkRow>,
    pub(super) weights: BTreeMap<String, WeightsRow>,
    /// The names without a network here, and what they are.
    pub(super) others: BTreeMap<String, String>,
}

/// The four parts of the file.
#[derive(Debug, Clone, PartialEq, Config)]
pub(super) struct Parts {
    /// The preprocessing of images, by name.
    pub preprocess: Dict,
    /// The networks.
    pub networks: Dict,
    /// The weights.
    pub weights: Dict,
    /// Names without a network here.
    pub others: Dict,
}

/// A network: an `ImageClassifier` of ImageNet's 1,000 classes.
#[derive(Debug, Clone, PartialEq, Config)]
pub(super) struct NetworkRow {
    /// The backbone.
    pub backbone: Dict,
    /// The layer that turns the stages into one vector.
    #[config(default = config! { type: "GlobalAveragePooling" })]
    pub neck: Config,
    /// The length of that vector; null if the backbone outputs scores.
    #[config(default = None)]
    pub features: Option<i64>,
    /// Figures of its authors.
    #[config(default = None)]
    pub published: Option<PublishedFigures>,
}

/// Published figures of a network with its classifier.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct PublishedFigures {
    /// The number of parameters: `25,557,032`, or `25.56 M`.
    pub parameters: String,
    /// Multiply-adds for an image of 224 x 224 pixels: `4.089 G`.
    pub multiply_adds: String,
    /// Who published them.
    pub source: String,
}

/// Weights.
#[derive(Debug, Clone, PartialEq, Config)]
pub(super) struct WeightsRow {
    /// The network.
    pub network: String,
    /// The preprocessing of images.
    pub preprocess: String,
    /// The key mapping for the names in the file; null for the network's names.
    #[config(default = None)]
    pub dialect: Option<String>,
    /// Whether the file may lack the classifier, and have tensors that the network lacks.
    #[config(default = false)]
    pub partial: bool,
}

impl Table {
    fn read(text: &str) -> Result<Self, ConfigError> {
        let parts = Parts::from_config(&Config::from_yaml(text)?, &KeyPath::root())?;
        Ok(Self {
            preprocess: rows(&parts.preprocess, "preprocess")?,
            networks: rows(&parts.networks, "networks")?,
            weights: rows(&parts.weights, "weights")?,
            others: rows(&parts.others, "others")?,
        })
    }
}

fn rows<T: FromConfig>(part: &Dict, name: &str) -> Result<BTreeMap<String, T>, ConfigError> {
    let path = KeyPath::root().key(name);
    part.iter().map(|(key, row)| Ok((key.to_owned(), T::from_config(row, &path.key(key))?))).collect()
}
