//! How a config dict becomes a layer: [`Builder`], and the default registry [`MODELS`].

use std::fmt::Display;

use mmcv_registry::{Config, ConfigError, ConfigErrorKind, Dict, Field, FromConfig, KeyPath, Spec};
use once_cell::sync::Lazy;

use crate::containers::{self, Children};
use crate::scopes::{OPS, SCOPES};
use crate::{Error, ErrorKind, InitCfg, Module, Result, Sequential, observe};
use crate::{activation, conv, drop, linear, norm, padding, pool, scale, upsample};

/// What builds a registered type.
pub type Build = fn(&Arguments<'_>) -> Result<Box<dyn Module>>;

/// A registry of layers, bricks and networks.
pub type Registry = mmcv_registry::Registry<Build>;

/// The default registry of this crate, with its types alone: those of `mmcv-bricks` and `mmcv-models` are in the registries
/// of these crates.
pub static MODELS: Lazy<Registry> = Lazy::new(new_registry);

/// A registry with the types of this crate. Its scope is `mmengine`, as the root registry's of the reference, and the scopes
/// of libraries whose layers and networks have the same names mean the same types.
#[must_use]
pub fn new_registry() -> Registry {
    let registry = Registry::new("mmengine");
    add_all(&registry, SPECS.iter().copied());
    for scope in SCOPES {
        registry.accept_scope(scope, |_, _| {});
    }
    registry.note_absent(OPS, "it is of mmcv.ops, whose compiled operators are not here");
    registry
}

/// All types of this crate, by group.
pub const SPECS: &[&[Spec<Build>]] = &[
    conv::SPECS,
    norm::SPECS,
    activation::SPECS,
    upsample::SPECS,
    padding::SPECS,
    pool::SPECS,
    drop::SPECS,
    scale::SPECS,
    linear::SPECS,
    containers::SPECS,
];

/// One line of a group's table.
pub(crate) const fn spec(
    group: &'static str,
    (name, aliases): (&'static str, &'static [&'static str]),
    doc: &'static str,
    source: &'static str,
    fields: &'static [Field],
    build: Build,
) -> Spec<Build> {
    Spec { group, aliases, doc, source, fields, ..Spec::new(name, build) }
}

/// Adds tables of types to a registry; a name that is taken keeps its type, and a warning is logged.
pub fn add_all(registry: &Registry, tables: impl IntoIterator<Item = &'static [Spec<Build>]>) {
    for spec in tables.into_iter().flatten() {
        if let Err(error) = registry.add(spec.clone()) {
            log::warn!("{error}");
        }
    }
}

/// The arguments of a type that is being built: its dict without `type`, and where it stands.
#[derive(Debug)]
pub struct Arguments<'a> {
    /// The keys and values.
    pub dict: Dict,
    /// Where the dict stands in the config.
    pub path: &'a KeyPath,
    /// The registry in which nested types are looked up.
    pub registry: &'a Registry,
}

impl Arguments<'_> {
    /// Reads the arguments into a struct that was declared by [`mmcv_registry::config_struct!`].
    ///
    /// # Errors
    /// All mistakes of the dict at once, with their key paths.
    pub fn decode<T: FromConfig>(&self) -> Result<T> {
        Ok(T::from_config(&Config::Dict(self.dict.clone()), self.path)?)
    }

    /// A builder for what stands in this dict.
    #[must_use]
    pub fn here(&self) -> Builder<'_> {
        Builder { registry: self.registry, path: self.path.clone() }
    }
}

/// Builds layers from config dicts, with a given registry.
///
/// Every method takes the config, and the arguments that are given beside it; a key in both is an error, and so is a
/// key that the type does not know.
#[derive(Debug, Clone)]
pub struct Builder<'a> {
    /// Where types are looked up.
    pub registry: &'a Registry,
    /// Where the config stands, for messages.
    pub path: KeyPath,
}

impl Default for Builder<'_> {
    /// A builder with [`MODELS`]: it knows the layers of this crate.
    fn default() -> Self {
        Self::new(&MODELS)
    }
}

impl<'a> Builder<'a> {
    /// A builder with the given registry.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, path: KeyPath::root() }
    }

    /// The same builder for what stands at another place.
    #[must_use]
    pub fn at(&self, path: impl FnOnce(&KeyPath) -> KeyPath) -> Self {
        Self { registry: self.registry, path: path(&self.path) }
    }

    /// Builds any registered type; a list becomes a `Sequential`.
    ///
    /// # Errors
    /// Where `cfg` is no dict, its `type` is missing or unknown, an argument is missing, unknown, given twice or of a
    /// wrong type, or the layer refuses it.
    pub fn model(&self, cfg: &Config) -> Result<Box<dyn Module>> {
        if let Config::List(_) = cfg {
            let children = Children::build(self, cfg)?;
            return Ok(Box::new(Sequential::from(children).with_init_cfg(InitCfg::default())));
        }
        self.layer(cfg, &Dict::new())
    }

    /// Builds a convolution; `Conv2d` where `cfg` is null.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn conv(&self, cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
        if cfg.is_null() {
            let cfg = mmcv_registry::config! { type: "Conv2d" };
            return self.layer(&cfg, arguments);
        }
        self.layer(cfg, arguments).map_err(|error| self.explain(error, cfg, "conv"))
    }

    /// Builds a normalisation of `num_features` channels (for `LN` also a list of sizes); also returns its name, such as
    /// `bn1`, from the type's abbreviation and `postfix`.
    ///
    /// The keys `requires_grad` (whether its parameters are trained, default true) and `eps` (default 1e-5) can be in
    /// every config.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn norm(
        &self,
        cfg: &Config,
        num_features: impl Into<Config>,
        postfix: impl Display,
    ) -> Result<(String, Box<dyn Module>)> {
        norm::build(self, cfg, num_features.into(), &postfix).map_err(|error| self.explain(error, cfg, "norm"))
    }

    /// Builds an activation.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn activation(&self, cfg: &Config) -> Result<Box<dyn Module>> {
        self.model(cfg).map_err(|error| self.explain(error, cfg, "activation"))
    }

    /// Builds an upsampling layer.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn upsample(&self, cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
        upsample::build(self, cfg, arguments).map_err(|error| self.explain(error, cfg, "upsample"))
    }

    /// Builds a padding layer; its argument is `padding`.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn padding(&self, cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
        self.layer(cfg, arguments).map_err(|error| self.explain(error, cfg, "padding"))
    }

    /// Builds a plugin; also returns its name, such as `conv_block1`, from the type's abbreviation and `postfix`.
    ///
    /// # Errors
    /// As [`Self::model`].
    pub fn plugin(&self, cfg: &Config, postfix: impl Display, arguments: &Dict) -> Result<(String, Box<dyn Module>)> {
        let (spec, dict) = self.registry.resolve(cfg, &self.path)?;
        let layer = self.build(&spec, dict, arguments)?;
        let abbreviation = spec.abbreviation.map_or_else(|| snake_case(layer.name()), str::to_owned);
        Ok((format!("{abbreviation}{postfix}"), layer))
    }

    /// The error of a type that is unknown, or of another group than the one that is built, says what the group holds:
    /// that is the mistake, and not the arguments which the type does not take.
    fn explain(&self, error: Error, cfg: &Config, group: &str) -> Error {
        let Some(name) = cfg.get("type").and_then(Config::as_str) else { return error };
        match (self.registry.get(name), &*error.kind) {
            (Some(spec), _) if spec.group.is_empty() || spec.group == group => error,
            (None, ErrorKind::Config(inner)) if !is_unknown(inner) => error,
            (found, ErrorKind::Config(_)) => {
                let specs = self.registry.specs();
                let names: Vec<&str> = specs.iter().filter(|spec| spec.group == group).map(|spec| spec.name).collect();
                let unknown = if found.is_some() { "" } else { " that is in the registry" };
                let reason = format!("expected a type of group {group:?}{unknown}, such as {}", names.join(", "));
                ConfigError::invalid(&self.path.key("type"), format!("{name:?}"), reason).into()
            }
            _ => error,
        }
    }

    /// Builds the type that `cfg` names with the arguments of both.
    pub(crate) fn layer(&self, cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
        let (spec, dict) = self.registry.resolve(cfg, &self.path)?;
        self.build(&spec, dict, arguments)
    }

    /// Builds a type whose config was resolved before.
    pub(crate) fn build(&self, spec: &Spec<Build>, mut dict: Dict, arguments: &Dict) -> Result<Box<dyn Module>> {
        let mut errors = Vec::new();
        for (key, value) in arguments.iter() {
            if dict.insert(key, value.clone()).is_some() {
                errors.push(ConfigError::new(&self.path.key(key), ConfigErrorKind::Duplicate).in_type(spec.name));
            }
        }
        if !errors.is_empty() {
            return Err(ConfigError::many(&self.path, errors).into());
        }
        let arguments = Arguments { dict, path: &self.path, registry: self.registry };
        let module = (spec.build)(&arguments).map_err(|error| error.in_type(spec.name))?;
        observe::built(&*module, &self.path, spec.name);
        Ok(module)
    }
}

/// Whether nothing is known of a type: neither a name that looks like it, nor why it is not there.
fn is_unknown(error: &ConfigError) -> bool {
    matches!(&*error.kind, ConfigErrorKind::UnknownType { nearest: None, hint, .. } if hint.starts_with("; it holds"))
}

/// Decodes the arguments, makes the layer, and puts the key path before its errors: the usual body of a [`Build`].
///
/// # Errors
/// As decoding and `make`.
pub fn build_from<C: FromConfig, M: Module>(
    arguments: &Arguments<'_>,
    make: impl FnOnce(&C) -> Result<M>,
) -> Result<Box<dyn Module>> {
    let config = arguments.decode::<C>()?;
    let layer = make(&config).map_err(|error| error.below(arguments.path))?;
    Ok(Box::new(layer))
}

/// `SiLU` as `si_lu`, `BatchNorm2d` as `batch_norm2d`.
fn snake_case(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut words = String::new();
    for (position, &character) in characters.iter().enumerate() {
        let before = position.checked_sub(1).and_then(|position| characters.get(position));
        let after = characters.get(position + 1);
        let starts_word = character.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase))
            });
        if starts_word {
            words.push('_');
        }
        words.push(if character == '-' { '_' } else { character.to_ascii_lowercase() });
    }
    words
}

/// Builds a convolution with [`MODELS`]; `Conv2d` where `cfg` is null.
///
/// ```no_run
/// use mmcv_layers::build_conv_layer;
/// use mmcv_registry::{Config, config, dict};
///
/// let arguments = dict! { in_channels: 3, out_channels: 8, kernel_size: 3 };
/// let conv = build_conv_layer(&config! { type: "Conv3d", bias: false }, &arguments)?;
/// let plain = build_conv_layer(&Config::Null, &arguments)?;
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
///
/// # Errors
/// As [`Builder::model`]. Reference: mmcv/cnn/bricks/conv.py.
pub fn build_conv_layer(cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
    Builder::default().conv(cfg, arguments)
}

/// Builds a normalisation of `num_features` channels with [`MODELS`], and its name: abbreviation and `postfix`.
///
/// # Errors
/// As [`Builder::model`]. Reference: mmcv/cnn/bricks/norm.py.
pub fn build_norm_layer(
    cfg: &Config,
    num_features: impl Into<Config>,
    postfix: impl Display,
) -> Result<(String, Box<dyn Module>)> {
    Builder::default().norm(cfg, num_features, postfix)
}

/// Builds an activation with [`MODELS`].
///
/// # Errors
/// As [`Builder::model`]. Reference: mmcv/cnn/bricks/activation.py.
pub fn build_activation_layer(cfg: &Config) -> Result<Box<dyn Module>> {
    Builder::default().activation(cfg)
}

/// Builds an upsampling layer with [`MODELS`].
///
/// # Errors
/// As [`Builder::model`]. Reference: mmcv/cnn/bricks/upsample.py.
pub fn build_upsample_layer(cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
    Builder::default().upsample(cfg, arguments)
}

/// Builds a padding layer with [`MODELS`]; its argument is `padding`.
///
/// # Errors
/// As [`Builder::model`]. Reference: mmcv/cnn/bricks/padding.py.
pub fn build_padding_layer(cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
    Builder::default().padding(cfg, arguments)
}

/// Builds a plugin with [`MODELS`], and its name: abbreviation and `postfix`.
///
/// # Errors
/// As [`Builder::model`]. Reference: mmcv/cnn/bricks/plugin.py.
pub fn build_plugin_layer(cfg: &Config, postfix: impl Display, arguments: &Dict) -> Result<(String, Box<dyn Module>)> {
    Builder::default().plugin(cfg, postfix, arguments)
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn class_names_in_snake_case() {
        for (name, expected) in [
            ("SiLU", "si_lu"),
            ("BatchNorm2d", "batch_norm2d"),
            ("FancyBlock", "fancy_block"),
            ("HTTPLayer", "http_layer"),
        ] {
            assert_eq!(snake_case(name), expected);
        }
    }
}
