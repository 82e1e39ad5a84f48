//! [`TrainingPart`]: modules that the reference uses in training only.

use mmcv_layers::explain::python;
use mmcv_layers::{Error, Forward, Module, NotSend, Parts, Result};
use mmcv_registry::{Config, FromConfig, KeyPath};
use tch::{Device, Kind, Tensor};

/// A module that the reference uses in training only. It is part of the module tree and of the state, and has no
/// forward pass.
#[derive(Debug)]
pub(crate) struct TrainingPart {
    class: &'static [&'static str],
    extra_repr: String,
    /// `SeesawLoss`: the number of samples seen of each class.
    cum_samples: Option<Tensor>,
    _thread: NotSend,
}

impl TrainingPart {
    fn new(class: &'static [&'static str], cum_samples: Option<Tensor>) -> Self {
        Self { class, extra_repr: String::new(), cum_samples, _thread: NotSend::default() }
    }

    /// The loss of a head for segmentation; `None` for types other than `CrossEntropyLoss`, and for several losses.
    pub(crate) fn segmentation_loss(config: &Config) -> Option<Self> {
        const NAME: &str = "CrossEntropyLoss";
        if config.get("type").and_then(Config::as_str) != Some(NAME) {
            return None;
        }
        let average = config.get("avg_non_ignore").cloned().unwrap_or(Config::Bool(false));
        let extra_repr = format!("avg_non_ignore={}", python::value(average));
        Some(Self { extra_repr, ..Self::new(&[NAME, "Module"], None) })
    }

    /// The data preprocessor of a classifier; `None` if the config names another type.
    pub(crate) fn data_preprocessor(config: &Config) -> Option<Self> {
        const NAME: &str = "ClsDataPreprocessor";
        match config.get("type") {
            Some(Config::Str(name)) if name != NAME => None,
            _ => Some(Self::new(&[NAME, "BaseDataPreprocessor"], None)),
        }
    }

    /// The loss of a head; `None` for types other than `CrossEntropyLoss`, and `SeesawLoss`, which has a state.
    ///
    /// # Errors
    /// Returns an error if the number of classes is negative or more than memory holds.
    pub(crate) fn loss(config: &Config) -> Result<Option<Self>> {
        let Some(Config::Str(name)) = config.get("type") else { return Ok(None) };
        match name.as_str() {
            "CrossEntropyLoss" => Ok(Some(Self::new(&["CrossEntropyLoss", "Module"], None))),
            "SeesawLoss" => {
                let classes = match config.get("num_classes") {
                    Some(classes) => i64::from_config(classes, &KeyPath::root().key("loss").key("num_classes"))?,
                    None => 1000,
                };
                let samples = Tensor::f_zeros([classes], (Kind::Float, Device::Cpu))?;
                Ok(Some(Self::new(&["SeesawLoss", "Module"], Some(samples))))
            }
            _ => Ok(None),
        }
    }
}

impl Forward for TrainingPart {
    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported(format!(
            "the reference uses {} in training only, and it has no forward pass here",
            self.name()
        )))
    }
}

impl Module for TrainingPart {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn extra_repr(&self) -> String {
        self.extra_repr.clone()
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.buffer("cum_samples", &self.cum_samples);
    }
}
