//! [`TrainingPart`]: what networks of the reference hold for training alone.

use mmcv_layers::{Error, Module, Result};
use mmcv_registry::Config;
use tch::Tensor;

/// A part without weights that the reference uses in training alone. It has its place in the tree of modules, and no
/// forward pass.
#[derive(Debug)]
pub(crate) struct TrainingPart(&'static [&'static str]);

impl TrainingPart {
    /// The data preprocessor of a classifier; `None` where the config asks for one of another type.
    pub(crate) fn data_preprocessor(config: &Config) -> Option<Self> {
        const NAME: &str = "ClsDataPreprocessor";
        let other = config.get("type").and_then(Config::as_str).is_some_and(|name| name != NAME);
        (!other).then_some(Self(&[NAME, "BaseDataPreprocessor"]))
    }

    /// The loss of a head; `None` where the config asks for another one than the cross entropy.
    pub(crate) fn loss(config: &Config) -> Option<Self> {
        const NAME: &str = "CrossEntropyLoss";
        let asked = config.get("type").and_then(Config::as_str) == Some(NAME);
        asked.then_some(Self(&[NAME, "Module"]))
    }
}

impl Module for TrainingPart {
    fn class(&self) -> &'static [&'static str] {
        self.0
    }

    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported(format!(
            "{} is for training in the reference, and has no forward pass here",
            self.name()
        )))
    }
}
