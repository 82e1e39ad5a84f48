//! The table `model_zoo/networks.yaml`, as it is inside the binary.

use std::collections::BTreeMap;

use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath, config, config_struct};
use once_cell::sync::Lazy;

use crate::Preprocess;

const TEXT: &str = include_str!("../../model_zoo/networks.yaml");

/// The table, or what is wrong with it.
pub(super) static TABLE: Lazy<Result<Table, ConfigError>> = Lazy::new(|| Table::read(TEXT));

/// The parts of the table by their names.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) preprocess: BTreeMap<String, Preprocess>,
    pub(super) networks: BTreeMap<String, NetworkRow>,
    pub(super) weights: BTreeMap<String, WeightsRow>,
    /// Why a name is none of these networks.
    pub(super) others: BTreeMap<String, String>,
}

config_struct! {
    /// The four parts, as they stand in the file.
    pub struct Parts {
        required {
            /// How pictures are prepared.
            preprocess: Dict,
            /// The networks.
            networks: Dict,
            /// The weights.
            weights: Dict,
            /// Names that are none of these networks.
            others: Dict,
        }
    }
}

config_struct! {
    /// A network: an `ImageClassifier` of ImageNet's 1,000 classes.
    pub struct NetworkRow {
        required {
            /// The backbone.
            backbone: Dict,
        }
        optional {
            /// What turns the stages into one vector.
            neck: Config = config! { type: "GlobalAveragePooling" },
            /// The size of that vector; null where the backbone gives scores itself.
            features: Option<i64> = None,
            /// What its authors say of it.
            published: Option<Published> = None,
        }
    }
}

config_struct! {
    /// Published figures of a network with its classifier.
    pub struct Published {
        required {
            /// The number of parameters: `25,557,032`, or `25.56 M`.
            parameters: String,
            /// Multiply-adds for a picture of 224 x 224 pixels: `4.089 G`.
            multiply_adds: String,
            /// Who says so.
            source: String,
        }
    }
}

config_struct! {
    /// Weights.
    pub struct WeightsRow {
        required {
            /// The network.
            network: String,
            /// How pictures are prepared.
            preprocess: String,
        }
        optional {
            /// How the tensors are named in the file; null for the network's own names.
            dialect: Option<String> = None,
            /// Whether the file may lack the classifier, and hold tensors that the network has not.
            partial: bool = false,
        }
    }
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
