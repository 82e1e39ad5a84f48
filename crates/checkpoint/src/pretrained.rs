//! The initializer `Pretrained`, for `init_cfg`. Reference: `mmengine.model.PretrainedInit`.

use mmcv_layers::init::{BuildInitializer, Initializer};
use mmcv_layers::{Error, ErrorKind, Module, Result};
use mmcv_registry::{Config, ConfigStruct, Spec};

use crate::{LoadOptions, load_checkpoint};

/// Arguments of the initializer `Pretrained`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct PretrainedInit {
    /// A path, a URL, `torchvision://NAME` or `open-mmlab://NAME`.
    pub checkpoint: String,
    /// The prefix of the tensors to load, such as `backbone.`; it is removed. Null for all.
    #[config(default = None)]
    pub prefix: Option<String>,
    /// Accepted for compatibility: the weights are loaded to the module's device.
    #[config(default = Some("cpu".to_owned()))]
    pub map_location: Option<String>,
}

impl Initializer for PretrainedInit {
    /// Loads the tensors that fit, and logs a warning about the others and about those that were cast.
    fn initialize(&self, module: &dyn Module) -> Result<()> {
        if self.checkpoint.is_empty() {
            let reason = "it is empty, a placeholder: expected a path, a URL, torchvision://NAME or open-mmlab://NAME";
            return Err(Error::argument("checkpoint", "\"\"", reason));
        }
        let options = LoadOptions { prefix: self.prefix.clone(), strict: false, ..LoadOptions::default() };
        let report = match load_checkpoint(module, &self.checkpoint, &options) {
            Ok(report) => report,
            Err(error) => return Err(Error::new(ErrorKind::Other(Box::new(error)))),
        };
        // An incomplete one has been logged.
        if report.is_complete() && report.is_converted() {
            log::warn!("{report}");
        }
        Ok(())
    }

    fn loads(&self) -> bool {
        true
    }
}

/// The entry of `Pretrained` for [`Registry::initializers`](mmcv_layers::Registry); the registry of `mmcv-models` has it.
pub const PRETRAINED: Spec<BuildInitializer> = Spec {
    group: "initializer",
    doc: "Loads a checkpoint, after everything else is initialized.",
    source: "mmengine PretrainedInit",
    fields: PretrainedInit::FIELDS,
    aliases: &["PretrainedInit"],
    ..Spec::new("Pretrained", |arguments, path| Ok(Box::new(PretrainedInit::decode(arguments, path)?)))
};
