//! What the commands that describe a network have in common: a config file, and how it is built.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::Args;
use mmcv_layers::explain::Explanation;
use mmcv_layers::{Builder, ErrorKind, init};
use mmcv_models::{MODELS, Recipe};
use mmcv_registry::{Config, ConfigError, ConfigErrorKind, Dict, KeyPath, config, nearest};
use tch::Tensor;

use super::weights::read_config;

/// The arguments for a network.
#[derive(Debug, Args)]
pub(super) struct Network {
    /// The config file, YAML or JSON: the dict of a type or a list of them, or with one under `model`; or a name of the zoo.
    config: String,
    /// Changes the config: KEY.KEY=VALUE.
    #[arg(long, value_name = "KEY=VALUE", num_args = 1..)]
    cfg_options: Vec<String>,
    /// The shape of an input, such as 1x3x224x224; several times where the network takes several inputs.
    #[arg(long, value_name = "SHAPE")]
    input: Vec<Shape>,
    /// Fails where a rule of init_cfg matches no module.
    #[arg(long)]
    strict_init: bool,
    /// The seed of the initial weights.
    #[arg(long, default_value_t = 0)]
    seed: i64,
}

/// A shape as it is written on the command line.
#[derive(Debug, Clone)]
struct Shape(Vec<i64>);

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes = text.split(['x', ',']).map(|size| size.trim().parse::<u32>().map(i64::from));
        sizes.collect::<Result<_, _>>().map(Self).map_err(|_| "expected sizes such as 1x3x224x224".to_owned())
    }
}

impl Network {
    /// The config file, or the name of the zoo.
    pub(super) fn name(&self) -> String {
        self.config.clone()
    }

    /// Builds and initialises the network, and runs it where there is an input. Where `needs_input` and none is given, it
    /// is one picture of the size that the config prepares.
    pub(super) fn explain(&self, needs_input: bool) -> Result<Explanation> {
        let config = read(&self.config, &self.cfg_options)?;
        self.explain_config(&config, needs_input).with_context(|| self.name())
    }

    fn explain_config(&self, config: &Config, needs_input: bool) -> Result<Explanation> {
        let mut inputs: Vec<Vec<i64>> = self.input.iter().map(|Shape(sizes)| sizes.clone()).collect();
        let recipe = is_recipe(config);
        if needs_input && inputs.is_empty() {
            let size = if recipe { Recipe::read(config)?.preprocess.crop_size } else { None };
            let Some(size) = size else {
                bail!("the shape of the input is not known: give it, such as --input 1x3x224x224");
            };
            inputs.push(vec![1, 3, size, size]);
        }
        tch::manual_seed(self.seed);
        let explanation = Explanation::new(&builder(config), config, true, &inputs)?;
        match explanation.unmatched_rules() {
            unmatched if self.strict_init && !unmatched.is_empty() => bail!("{}", unmatched.join("; ")),
            _ => Ok(explanation),
        }
    }
}

/// Reads a config file, or the config of a name of the zoo, and changes it by `KEY.KEY=VALUE`.
pub(super) fn read(name: &str, options: &[String]) -> Result<Config> {
    let mut config = read_config(name)?;
    let known: Vec<String> = root_keys(&config).map(str::to_owned).collect();
    config.set_options(options)?;
    if is_recipe(&config) {
        // Only the keys of a type are checked when it is built, and these are none's.
        let mut allowed: Vec<String> = Recipe::FIELDS.iter().map(|field| field.name.to_owned()).collect();
        for key in known {
            if !allowed.contains(&key) {
                allowed.push(key);
            }
        }
        for key in root_keys(&config) {
            if !allowed.iter().any(|known| known == key) {
                let nearest = nearest(key, allowed.iter().map(String::as_str));
                let kind = ConfigErrorKind::UnknownKey { nearest, allowed };
                return Err(ConfigError::new(&KeyPath::root().key(key), kind).into());
            }
        }
    }
    Ok(config)
}

fn root_keys(config: &Config) -> impl Iterator<Item = &str> {
    config.as_dict().into_iter().flat_map(Dict::keys)
}

/// Whether the network stands under `model`; else it is the whole config.
pub(super) fn is_recipe(config: &Config) -> bool {
    config.get("type").is_none() && config.get("model").is_some()
}

/// A builder for the network of a config.
pub(super) fn builder(config: &Config) -> Builder<'static> {
    let builder = Builder::new(&MODELS);
    if is_recipe(config) { builder.at(|path: &KeyPath| path.key("model")) } else { builder }
}

/// The error of a network of a config that was given `inputs`: where a shape does not fit, with the key to change.
pub(super) fn with_key(error: mmcv_layers::Error, model: &Dict, inputs: &[&Tensor]) -> mmcv_layers::Error {
    if !matches!(*error.kind, ErrorKind::Shape(_)) {
        return error;
    }
    let config = config! { model: model.clone() };
    let shapes: Vec<Vec<i64>> = inputs.iter().map(|input| input.size()).collect();
    let explanation = init::without_draws(|| Explanation::new(&builder(&config), &config, false, &shapes));
    explanation.err().unwrap_or(error)
}

/// A number with its thousands apart: `3,504,872`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let first = (digits.len() - 1) % 3 + 1;
    let groups =
        std::iter::once(digits.get(..first)).chain((first..digits.len()).step_by(3).map(|at| digits.get(at..at + 3)));
    groups.flatten().collect::<Vec<_>>().join(",")
}

/// A shape as it is written on the command line: `1x3x224x224`.
pub(super) fn shape(sizes: &[i64]) -> String {
    if sizes.is_empty() { "scalar".to_owned() } else { sizes.iter().map(i64::to_string).collect::<Vec<_>>().join("x") }
}

/// Several shapes.
pub(super) fn shapes(shapes: &[Vec<i64>]) -> String {
    shapes.iter().map(|sizes| shape(sizes)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        for (number, expected) in [(0, "0"), (12, "12"), (999, "999"), (1000, "1,000"), (3_504_872, "3,504,872")] {
            assert_eq!(thousands(number), expected);
        }
    }
}
