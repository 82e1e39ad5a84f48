//! `init_cfg`: rules that initialise the modules below one. Reference: mmengine/model/base_module.py, weight_init.py.

use std::cell::Cell;

use mmcv_registry::{Config, ConfigError, ConfigErrorKind, Dict, FromConfig, KeyPath, nearest};

use crate::init::{self, Distribution, FanMode, Nonlinearity};
use crate::{Error, Module, Parts, Result};

/// The `init_cfg` of a module: rules in order, and whether they were applied.
///
/// A rule is a dict with `type` (`Constant`, `Xavier`, `Normal`, `TruncNormal`, `Uniform`, `Kaiming`, `Caffe2Xavier`), the
/// arguments of that initialisation, `layer` (one or several class names or names of direct base classes), `bias` or
/// `bias_prob`, and `override` (one or several dicts with the `name` of a child, and another rule or nothing).
#[derive(Debug)]
pub struct InitCfg {
    rules: Vec<Rule>,
    done: Cell<bool>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    layers: Vec<String>,
    fill: Fill,
    bias: f64,
    overrides: Vec<(String, Fill, f64)>,
}

/// What a rule writes into a weight.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fill {
    Constant(f64),
    Xavier { gain: f64, distribution: Distribution },
    Normal { mean: f64, std: f64 },
    TruncNormal { mean: f64, std: f64, a: f64, b: f64 },
    Uniform { a: f64, b: f64 },
    Kaiming { mode: FanMode, nonlinearity: Nonlinearity, distribution: Distribution },
}

impl InitCfg {
    /// Reads null, a rule, or a list of rules, from the value that stands at `path`.
    ///
    /// # Errors
    /// Where a rule has an unknown type, an unknown or missing argument, or a value of a wrong type.
    pub fn decode(config: &Config, path: &KeyPath) -> Result<Self> {
        let rules = match config {
            Config::Null => Vec::new(),
            Config::List(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| Rule::decode(item, &path.index(index))).collect::<Result<_>>()?
            }
            single => vec![Rule::decode(single, path)?],
        };
        Ok(Self { rules, done: Cell::new(false) })
    }

    /// The reference's `BaseModule.init_weights`: applies the rules to `module` and all below it, then asks the children
    /// that have an initialisation of their own for it. Where that was done before, nothing happens.
    ///
    /// # Errors
    /// Where an override names a child that does not exist, or libtorch fails.
    pub fn init_weights(&self, module: &dyn Module) -> Result<()> {
        if self.done.replace(true) {
            log::warn!("init_weights of {} was called more than once; it does nothing the second time", module.name());
            return Ok(());
        }
        self.rules.iter().try_for_each(|rule| rule.apply(module))?;
        for (name, child) in Parts::of(module).children {
            child.init_weights().map_err(|error| error.in_module(name))?;
        }
        Ok(())
    }
}

impl Rule {
    fn decode(config: &Config, path: &KeyPath) -> Result<Self> {
        let mut dict = Dict::from_config(config, path)?;
        let layers = match dict.remove("layer") {
            None | Some(Config::Null) => Vec::new(),
            Some(Config::Str(name)) => vec![name],
            Some(list) => Vec::<String>::from_config(&list, &path.key("layer"))?,
        };
        let overrides = match dict.remove("override") {
            None | Some(Config::Null) => Vec::new(),
            Some(Config::List(items)) => items,
            Some(single) => vec![single],
        };
        let (fill, bias) = decode_fill(&dict, path)?;
        let at = path.key("override");
        let overrides = overrides.iter().map(|item| decode_override(item, &at, fill, bias)).collect::<Result<_>>()?;
        Ok(Self { layers, fill, bias, overrides })
    }

    fn apply(&self, module: &dyn Module) -> Result<()> {
        apply(module, &mut |module| {
            let matches = module.class().iter().any(|class| self.layers.iter().any(|layer| layer == class));
            if matches { self.fill.apply(module, self.bias) } else { Ok(()) }
        })?;
        for (name, fill, bias) in &self.overrides {
            let parts = Parts::of(module);
            let Some((_, child)) = parts.children.iter().find(|(child, _)| child == name) else {
                let children = parts.children.iter().map(|(child, _)| &**child).collect::<Vec<_>>().join(", ");
                let reason = format!("{} has no child of that name; it has {children}", module.name());
                return Err(Error::argument("init_cfg.override.name", format!("{name:?}"), reason));
            };
            apply(*child, &mut |module| fill.apply(module, *bias))?;
        }
        Ok(())
    }
}

/// `module.apply` of the reference: the children first, in order, and then the module itself.
fn apply(module: &dyn Module, visit: &mut dyn FnMut(&dyn Module) -> Result<()>) -> Result<()> {
    for (_, child) in Parts::of(module).children {
        apply(child, visit)?;
    }
    visit(module)
}

fn decode_override(config: &Config, path: &KeyPath, fill: Fill, bias: f64) -> Result<(String, Fill, f64)> {
    let mut dict = Dict::from_config(config, path)?;
    let Some(name) = dict.remove("name") else {
        let expected = "the name of a child of the module".to_owned();
        return Err(ConfigError::new(&path.key("name"), ConfigErrorKind::Missing { expected }).into());
    };
    let name = String::from_config(&name, &path.key("name"))?;
    if dict.is_empty() {
        return Ok((name, fill, bias));
    }
    let (fill, bias) = decode_fill(&dict, path)?;
    Ok((name, fill, bias))
}

fn decode_fill(dict: &Dict, path: &KeyPath) -> Result<(Fill, f64)> {
    const TYPES: [&str; 7] = ["Constant", "Xavier", "Normal", "TruncNormal", "Uniform", "Kaiming", "Caffe2Xavier"];
    let mut reader = Reader { dict: dict.clone(), path, known: Vec::new() };
    let name: String = match reader.take("type")? {
        Some(name) => name,
        None => {
            let expected = format!("one of {}", TYPES.join(", "));
            return Err(ConfigError::new(&path.key("type"), ConfigErrorKind::Missing { expected }).into());
        }
    };
    let bias: Option<f64> = reader.take("bias")?;
    if let Some(whole @ Config::Int(_)) = dict.get("bias_prob") {
        return Err(ConfigError::wrong_type(&path.key("bias_prob"), "a float between 0 and 1", whole).into());
    }
    let bias_prob: Option<f64> = reader.take("bias_prob")?;
    let bias = bias_prob.map_or(bias.unwrap_or(0.0), init::bias_init_with_prob);
    let fill = match name.trim_end_matches("Init") {
        "Constant" => match reader.take("val")? {
            Some(value) => Fill::Constant(value),
            None => {
                let expected = "the number to fill the weights with".to_owned();
                return Err(ConfigError::new(&path.key("val"), ConfigErrorKind::Missing { expected }).into());
            }
        },
        "Xavier" => {
            Fill::Xavier { gain: reader.number("gain", 1.0)?, distribution: reader.distribution(Distribution::Normal)? }
        }
        "Normal" => Fill::Normal { mean: reader.number("mean", 0.0)?, std: reader.number("std", 1.0)? },
        "TruncNormal" => Fill::TruncNormal {
            mean: reader.number("mean", 0.0)?,
            std: reader.number("std", 1.0)?,
            a: reader.number("a", -2.0)?,
            b: reader.number("b", 2.0)?,
        },
        "Uniform" => Fill::Uniform { a: reader.number("a", 0.0)?, b: reader.number("b", 1.0)? },
        "Kaiming" => reader.kaiming()?,
        "Caffe2Xavier" => Fill::Kaiming {
            mode: FanMode::FanIn,
            nonlinearity: Nonlinearity::LeakyRelu(1.0),
            distribution: Distribution::Uniform,
        },
        _ => {
            let kind = ConfigErrorKind::UnknownType {
                name: name.clone(),
                registry: "weight initializer".to_owned(),
                nearest: nearest(&name, TYPES),
                hint: match name.as_str() {
                    "Pretrained" => "; load weights with `load_checkpoint` instead".to_owned(),
                    _ => format!("; it holds {}", TYPES.join(", ")),
                },
            };
            return Err(ConfigError::new(&path.key("type"), kind).into());
        }
    };
    reader.finish()?;
    Ok((fill, bias))
}

/// Takes keys out of a rule one by one.
struct Reader<'a> {
    dict: Dict,
    path: &'a KeyPath,
    /// The keys that were asked for.
    known: Vec<&'static str>,
}

impl Reader<'_> {
    fn take<T: FromConfig>(&mut self, key: &'static str) -> Result<Option<T>> {
        self.known.push(key);
        let value = self.dict.remove(key).filter(|value| !value.is_null());
        Ok(value.map(|value| T::from_config(&value, &self.path.key(key))).transpose()?)
    }

    fn number(&mut self, key: &'static str, default: f64) -> Result<f64> {
        Ok(self.take(key)?.unwrap_or(default))
    }

    /// One of several words.
    fn word<T: Copy>(&mut self, key: &'static str, default: T, words: &[(&str, T)]) -> Result<T> {
        let Some(word) = self.take::<String>(key)? else { return Ok(default) };
        let found = words.iter().find(|(name, _)| *name == word);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let allowed = words.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>().join(", ");
            ConfigError::wrong_type(&self.path.key(key), format!("one of {allowed}"), &Config::from(word)).into()
        })
    }

    fn distribution(&mut self, default: Distribution) -> Result<Distribution> {
        self.word("distribution", default, &[("normal", Distribution::Normal), ("uniform", Distribution::Uniform)])
    }

    fn kaiming(&mut self) -> Result<Fill> {
        let slope = self.number("a", 0.0)?;
        let mode = self.word("mode", FanMode::FanOut, &[("fan_in", FanMode::FanIn), ("fan_out", FanMode::FanOut)])?;
        let nonlinearities = [
            ("relu", Nonlinearity::Relu),
            ("leaky_relu", Nonlinearity::LeakyRelu(slope)),
            ("linear", Nonlinearity::Linear),
            ("sigmoid", Nonlinearity::Linear),
            ("tanh", Nonlinearity::Tanh),
            ("selu", Nonlinearity::Selu),
        ];
        let nonlinearity = self.word("nonlinearity", Nonlinearity::Relu, &nonlinearities)?;
        let distribution = self.distribution(Distribution::Normal)?;
        Ok(Fill::Kaiming { mode, nonlinearity, distribution })
    }

    fn finish(self) -> Result<()> {
        let allowed: Vec<&str> = self.known.iter().copied().chain(["layer", "override"]).collect();
        let unknown = |key: &str| {
            let kind = ConfigErrorKind::UnknownKey {
                nearest: nearest(key, allowed.iter().copied()),
                allowed: allowed.iter().map(|&name| name.to_owned()).collect(),
            };
            ConfigError::new(&self.path.key(key), kind)
        };
        let errors: Vec<_> = self.dict.keys().map(unknown).collect();
        if errors.is_empty() { Ok(()) } else { Err(ConfigError::many(self.path, errors).into()) }
    }
}

impl Fill {
    fn apply(self, module: &dyn Module, bias: f64) -> Result<()> {
        match self {
            Self::Constant(value) => init::constant_init(module, value, bias),
            Self::Xavier { gain, distribution } => init::xavier_init(module, gain, bias, distribution),
            Self::Normal { mean, std } => init::normal_init(module, mean, std, bias),
            Self::TruncNormal { mean, std, a, b } => init::trunc_normal_init(module, mean, std, a, b, bias),
            Self::Uniform { a, b } => init::uniform_init(module, a, b, bias),
            Self::Kaiming { mode, nonlinearity, distribution } => {
                init::kaiming_init(module, mode, nonlinearity, bias, distribution)
            }
        }
    }
}
