//! One case: its description and its tensors.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use mmcv::registry::{Config, Dict};
use serde::{Deserialize, Deserializer};

use super::tensors::Tensors;

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What is built and run, and what is expected.
    pub description: Description,
    /// The tensors beside it.
    pub tensors: Tensors,
}

/// What is built and run, and what is expected.
#[derive(Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Description {
    pub builder: String,
    pub cfg: Config,
    #[serde(default)]
    pub kwargs: Option<Config>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub seed: i64,
    #[serde(default, deserialize_with = "null_as_default")]
    pub init_weights: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub state: State,
    #[serde(default)]
    pub digest: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub train: bool,
    #[serde(default, deserialize_with = "null_as_default")]
    pub forward: Vec<String>,
    #[serde(default)]
    pub forward_kwargs: Option<Config>,
    #[serde(default)]
    pub forward_seed: Option<i64>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub expect: Expect,
}

/// Where the parameters and buffers come from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// From the seed.
    #[default]
    Seeded,
    /// From the case's tensors.
    Given,
}

/// What is expected.
#[derive(Debug, Default, Deserialize)]
#[allow(missing_docs)]
pub struct Expect {
    #[serde(default)]
    pub abbr: Option<String>,
    #[serde(default)]
    pub error: Option<Vec<String>>,
    #[serde(default)]
    pub rtol: Option<f64>,
    #[serde(default)]
    pub atol: Option<f64>,
}

impl Case {
    /// Reads `NAME.json` and `NAME.safetensors`; the latter may be missing where the case needs no tensors.
    ///
    /// # Errors
    /// Where one of them cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let description = serde_json::from_str(&text).context("not a parity case")?;
        let beside = file.with_extension("safetensors");
        let tensors = if beside.exists() { Tensors::read(&beside)? } else { Tensors::default() };
        Ok(Self { description, tensors })
    }

    /// Whether this is a case of an error that comes without a state.
    #[must_use]
    pub fn lacks_state(&self) -> bool {
        let digests = self.description.digest.as_ref().is_some_and(|digests| !digests.is_empty());
        self.description.expect.error.is_some() && !digests && self.tensors.with_prefix("state:").next().is_none()
    }
}

/// A key that stands there as null counts as missing.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A dict that may be missing or null.
pub(super) fn dict_or_empty(config: Option<&Config>) -> Result<Dict> {
    match config {
        None | Some(Config::Null) => Ok(Dict::new()),
        Some(Config::Dict(dict)) => Ok(dict.clone()),
        Some(other) => bail!("expected a dict, got {other}"),
    }
}
