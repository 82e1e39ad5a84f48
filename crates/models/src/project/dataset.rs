//! The dataset that a project config is tested with: its pipeline and the names of its classes.

use mmcv_registry::{Config, ConfigError, Dict, FromConfig, KeyPath};

use crate::ClassNames;

/// Where a config has the datasets for tests, in the order in which they are looked up.
const DATASETS: [[&str; 2]; 4] =
    [["test_dataloader", "dataset"], ["val_dataloader", "dataset"], ["data", "test"], ["data", "val"]];
/// Where a config has the pipelines of these datasets, too.
const PIPELINES: [&str; 2] = ["test_pipeline", "val_pipeline"];
/// Datasets in datasets, at most.
const MOST_NESTED: usize = 8;

/// The datasets for tests of a project config.
pub(super) struct Datasets<'a> {
    config: &'a Dict,
    found: Vec<(&'a Dict, KeyPath)>,
}

impl<'a> Datasets<'a> {
    pub(super) fn of(config: &'a Dict) -> Self {
        let mut found = Vec::new();
        for [outer, inner] in DATASETS {
            if let Some(Config::Dict(dataset)) = config.get(outer).and_then(|outer| outer.get(inner)) {
                add(&mut found, dataset, KeyPath::root().key(outer).key(inner));
            }
        }
        Self { config, found }
    }

    /// The pipeline and its path. That of a dataset wins over the variable, as in the reference.
    pub(super) fn pipeline(&self) -> Option<(&'a Config, KeyPath)> {
        for (dataset, path) in &self.found {
            if let Some(pipeline) = dataset.get("pipeline")
                && !pipeline.is_null()
            {
                return Some((pipeline, path.key("pipeline")));
            }
        }
        for key in PIPELINES {
            if let Some(pipeline) = self.config.get(key)
                && !pipeline.is_null()
            {
                return Some((pipeline, KeyPath::root().key(key)));
            }
        }
        None
    }

    /// The names of the classes: those that a dataset states, or those of ImageNet for a network of 1,000 classes that is
    /// tested with it.
    pub(super) fn classes(&self) -> Result<Option<ClassNames>, ConfigError> {
        let mut datasets = self.found.clone();
        datasets.push((self.config, KeyPath::root()));
        for (dataset, path) in datasets {
            if let Some(classes) = dataset.get("metainfo").and_then(|metainfo| metainfo.get("classes")) {
                return names(classes, &path.key("metainfo").key("classes"));
            }
            if !path.is_root()
                && let Some(classes) = dataset.get("classes")
            {
                return names(classes, &path.key("classes"));
            }
        }
        if self.is_imagenet() && has_imagenet_classes(self.config) {
            return Ok(Some(ClassNames::imagenet()));
        }
        Ok(None)
    }

    fn is_imagenet(&self) -> bool {
        self.found.iter().any(|(dataset, _)| {
            let name = dataset.get("type").and_then(Config::as_str).unwrap_or_default();
            name.rsplit('.').next() == Some("ImageNet")
        })
    }
}

/// Adds a dataset and those in it: a wrapper such as `RepeatDataset` has one under `dataset`, and `ConcatDataset` several under
/// `datasets`.
fn add<'a>(found: &mut Vec<(&'a Dict, KeyPath)>, dataset: &'a Dict, path: KeyPath) {
    let (mut dataset, mut path) = (dataset, path);
    for _ in 0..MOST_NESTED {
        found.push((dataset, path.clone()));
        if let Some(Config::Dict(inner)) = dataset.get("dataset") {
            (dataset, path) = (inner, path.key("dataset"));
        } else if let Some(Config::List(inner) | Config::Tuple(inner)) = dataset.get("datasets")
            && let Some(Config::Dict(first)) = inner.first()
        {
            (dataset, path) = (first, path.key("datasets").index(0));
        } else {
            return;
        }
    }
}

/// The names in a list; `None` for a file with names, which is not read.
fn names(classes: &Config, path: &KeyPath) -> Result<Option<ClassNames>, ConfigError> {
    match classes {
        Config::Null | Config::Str(_) => Ok(None),
        _ => ClassNames::from_config(classes, path).map(Some),
    }
}

/// Whether the network has the 1,000 classes of ImageNet-1k.
fn has_imagenet_classes(config: &Dict) -> bool {
    let Some(model) = config.get("model") else { return false };
    let parts =
        [model.get("head"), model.get("backbone"), model.get("data_preprocessor"), config.get("data_preprocessor")];
    parts.into_iter().flatten().find_map(|part| part.get("num_classes")) == Some(&Config::Int(1000))
}
