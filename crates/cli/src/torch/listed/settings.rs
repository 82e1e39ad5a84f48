//! [`Settings`]: what records depend on besides the list, so that parts of different runs are told apart.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use mmcv_cli::output::display;
use mmcv_layers::{Module, ModuleExt};
use mmcv_models::Recipe;
use sha2::{Digest, Sha256};
use tch::{Device, Kind};

/// Settings by name.
pub(crate) struct Settings(BTreeMap<String, String>);

impl Settings {
    pub(crate) fn new(command: &str, device: Device) -> Self {
        let mut settings = Self(BTreeMap::new());
        settings.set("the command", command);
        settings.set("the version of mmcv", env!("CARGO_PKG_VERSION"));
        settings.set("the device", if device == Device::Cpu { "cpu" } else { "cuda" });
        settings
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Display) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// The digest of a value.
    pub(crate) fn set_digest(&mut self, name: &str, value: &impl Debug) {
        self.set(name, HEXLOWER.encode(&Sha256::digest(format!("{value:?}"))));
    }

    /// The digest of a config, but for the place of the weights.
    pub(crate) fn set_config(&mut self, recipe: &Recipe) {
        self.set_digest("the config", &Recipe { checkpoint: None, ..recipe.clone() });
    }

    /// The digest of all tensors of a network, wherever they come from.
    pub(crate) fn set_weights(&mut self, network: &dyn Module) -> Result<()> {
        let mut digest = Sha256::new();
        for (name, tensor) in network.state_dict() {
            digest.update(format!("{name} {:?} {:?}\n", tensor.kind(), tensor.size()));
            let bytes = tensor.f_to_device(Device::Cpu)?.f_contiguous()?.f_reshape([-1])?.f_view_dtype(Kind::Uint8)?;
            digest.update(Vec::<u8>::try_from(&bytes)?);
        }
        self.set("the weights", HEXLOWER.encode(&digest.finalize()));
        Ok(())
    }

    /// The digest of a file with weights.
    pub(crate) fn set_weights_file(&mut self, file: &Path) -> Result<()> {
        let digest = File::open(file).and_then(mmcv_zoo::Digest::of_reader);
        self.set("the weights", digest.with_context(|| format!("cannot read {}", display(file)))?);
        Ok(())
    }

    pub(crate) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}
