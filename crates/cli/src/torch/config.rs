//! Reading configs.

use std::path::Path;

use anyhow::{Context, Result};
use mmcv_layers::Builder;
use mmcv_models::{MODELS, Project, ProjectNetwork, Recipe, zoo_entry};
use mmcv_registry::{Config, ConfigError, ConfigErrorKind, ConfigStruct, KeyPath, config, nearest};

/// The file extensions of configs.
const EXTENSIONS: [&str; 4] = ["yaml", "yml", "json", "py"];

/// Reads the config of a file, or that of a name in the model zoo.
pub(crate) fn read(name: &str) -> Result<Config> {
    let is_scheme = name.contains("://");
    if !is_scheme && is_config_file(Path::new(name)) {
        return Ok(Config::from_file(Path::new(name))?);
    }
    match zoo_entry(name) {
        Ok(entry) => Ok(entry.config),
        Err(error) if is_scheme => Err(error.into()),
        Err(error) => Err(error).context("there is no such file"),
    }
}

fn is_config_file(file: &Path) -> bool {
    if file.exists() {
        return true;
    }
    match file.extension() {
        Some(extension) => EXTENSIONS.iter().any(|known| extension == *known),
        None => false,
    }
}

/// [`read`], with overrides of the form `KEY.KEY=VALUE` applied and the keys of a recipe checked.
pub(crate) fn read_with_options(name: &str, options: &[String]) -> Result<Config> {
    let mut config = read(name)?;
    set_options(&mut config, options)?;
    Ok(config)
}

/// Applies overrides, and checks the keys beside `model`, which no registered type checks: those of a recipe, and in a project
/// config any that the file has.
pub(crate) fn set_options(config: &mut Config, options: &[String]) -> Result<(), ConfigError> {
    let mut allowed: Vec<String> = Recipe::FIELDS.iter().map(|field| field.name.to_owned()).collect();
    if Project::recognize(config).is_some() {
        allowed.extend(root_keys(config));
        allowed.extend(Project::KEYS.iter().map(|key| (*key).to_owned()));
    }
    config.set_options(options)?;
    if is_recipe(config) { check_root_keys(config, allowed) } else { Ok(()) }
}

fn check_root_keys(config: &Config, allowed: Vec<String>) -> Result<(), ConfigError> {
    for key in root_keys(config) {
        if !allowed.contains(&key) {
            let nearest = nearest(&key, allowed.iter().map(String::as_str));
            return Err(ConfigError::new(&KeyPath::root().key(&key), ConfigErrorKind::UnknownKey { nearest, allowed }));
        }
    }
    Ok(())
}

fn root_keys(config: &Config) -> Vec<String> {
    match config.as_dict() {
        Some(dict) => dict.keys().map(str::to_owned).collect(),
        None => Vec::new(),
    }
}

/// Whether the network is under the key `model`; otherwise it is the whole config.
pub(crate) fn is_recipe(config: &Config) -> bool {
    config.get("type").is_none() && config.get("model").is_some()
}

/// The config of the network alone: a project config becomes a dict with the part of its `model` that can be built. What is
/// left out is reported on stderr.
pub(crate) fn network_alone(config: &Config) -> Config {
    let Some(project) = Project::recognize(config) else { return config.clone() };
    let network = project.network();
    report(&network);
    config! { model: network.model }
}

/// Reports on stderr that only a part of a model is built.
pub(crate) fn report(network: &ProjectNetwork) {
    if network.unknown_type.is_some() {
        log::warn!("{network}");
    }
}

/// A builder for the network of a config.
pub(crate) fn builder(config: &Config) -> Builder<'static> {
    let builder = Builder::new(&MODELS);
    if is_recipe(config) { builder.at(|path: &KeyPath| path.key("model")) } else { builder }
}
