//! [`TrainingPart`]: what networks of the reference hold for training alone.

use mmcv_layers::{Error, Module, NotSend, Parts, Result};
use mmcv_registry::{Config, FromConfig, KeyPath};
use tch::{Device, Kind, Tensor};

/// A part that the reference uses in training alone. It has its place in the tree of modules and in the state, and no forward
/// pass.
#[derive(Debug)]
pub(crate) struct TrainingPart {
    class: &'static [&'static str],
    /// Of `SeesawLoss`: how many samples of each class there were.
    cum_samples: Option<Tensor>,
    _thread: NotSend,
}

impl TrainingPart {
    fn new(class: &'static [&'static str], cum_samples: Option<Tensor>) -> Self {
        Self { class, cum_samples, _thread: NotSend::default() }
    }

    /// The data preprocessor of a classifier; `None` where the config asks for one of another type.
    pub(crate) fn data_preprocessor(config: &Config) -> Option<Self> {
        const NAME: &str = "ClsDataPreprocessor";
        let other = config.get("type").and_then(Config::as_str).is_some_and(|name| name != NAME);
        (!other).then(|| Self::new(&[NAME, "BaseDataPreprocessor"], None))
    }

    /// The loss of a head; `None` where the config asks for another one than the cross entropy or the one with a state.
    ///
    /// # Errors
    /// Where the number of classes is negative or more than memory holds.
    pub(crate) fn loss(config: &Config) -> Result<Option<Self>> {
        match config.get("type").and_then(Config::as_str) {
            Some("CrossEntropyLoss") => Ok(Some(Self::new(&["CrossEntropyLoss", "Module"], None))),
            Some("SeesawLoss") => {
                let path = KeyPath::root().key("loss").key("num_classes");
                let classes = config.get("num_classes").map(|classes| i64::from_config(classes, &path)).transpose()?;
                let samples = Tensor::f_zeros([classes.unwrap_or(1000)], (Kind::Float, Device::Cpu))?;
                Ok(Some(Self::new(&["SeesawLoss", "Module"], Some(samples))))
            }
            _ => Ok(None),
        }
    }
}

impl Module for TrainingPart {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported(format!(
            "{} is for training in the reference, and has no forward pass here",
            self.name()
        )))
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.buffer("cum_samples", &self.cum_samples);
    }
}
