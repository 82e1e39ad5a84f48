//! [`Builder`]: from a config dict to a layer, and the six functions of the reference.

use std::fmt::Display;

use mmcv_registry::{Config, ConfigError, ConfigErrorKind, Dict, FromConfig, KeyPath, Spec};

use crate::containers::Children;
use crate::{Build, Error, ErrorKind, InitCfg, MODELS, Module, ModuleExt, Registry, Result, Sequential, observe};

/// Builds layers from config dicts, with a given registry.
///
/// Every method takes a config and further arguments. A key in both is an error, and so is a key that the type does not
/// know. The path of an error starts at the dict that is being built: whoever builds that dict puts its own path in front.
#[derive(Debug, Clone)]
pub struct Builder<'a> {
    /// Where types are looked up.
    pub registry: &'a Registry,
    /// The path of the config from the dict that is being built.
    pub path: KeyPath,
    /// The path of the dict that holds the further arguments; an error about one of them gets this path.
    pub arguments: KeyPath,
    /// The path of the dict that is being built from the root of the whole config.
    pub origin: KeyPath,
}

impl<'a> Builder<'a> {
    /// A builder with the given registry.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, path: KeyPath::root(), arguments: KeyPath::root(), origin: KeyPath::root() }
    }

    /// The builder for another path, of the config and of further arguments alike.
    #[must_use]
    pub fn at(&self, path: impl FnOnce(&KeyPath) -> KeyPath) -> Self {
        let path = path(&self.path);
        Self { registry: self.registry, arguments: path.clone(), path, origin: self.origin.clone() }
    }

    /// The builder for the config under `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.at(|path| path.key(key))
    }

    /// The builder for the config under `key`, with further arguments from the dict that holds the key: a mistake in
    /// `kernel_size` is then reported as `kernel_size` and not as `conv_cfg.kernel_size`.
    #[must_use]
    pub fn part(&self, key: &str) -> Self {
        Self { arguments: self.path.clone(), ..self.key(key) }
    }

    /// Builds any registered type; a list becomes a `Sequential`.
    ///
    /// # Errors
    /// Returns an error if `cfg` is not a dict, its `type` is missing or unknown, an argument is missing, unknown, given
    /// twice or of a wrong type, or the layer refuses it.
    pub fn model(&self, cfg: &Config) -> Result<Box<dyn Module>> {
        if let Config::List(_) | Config::Tuple(_) = cfg {
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
            let layer = self.layer(&mmcv_registry::config! { type: "Conv2d" }, arguments);
            return layer.map_err(|error| self.blame_arguments(error));
        }
        self.layer(cfg, arguments).map_err(|error| self.explain(error, cfg, "conv"))
    }

    /// Builds a normalization of `num_features` channels (for `LN` also a list of sizes); also returns its name, such as
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
        self.build_norm(cfg, num_features.into(), &postfix).map_err(|error| self.explain(error, cfg, "norm"))
    }

    fn build_norm(
        &self,
        cfg: &Config,
        num_features: Config,
        postfix: &dyn Display,
    ) -> Result<(String, Box<dyn Module>)> {
        let (spec, mut dict) = self.registry.resolve(cfg, &self.path)?;
        let requires_grad = match dict.remove("requires_grad") {
            Some(value) => bool::from_config(&value, &self.path.key("requires_grad"))?,
            None => true,
        };
        dict.set_default("eps", 1e-5);
        let mut arguments = Dict::new();
        arguments.insert(spec.channels.unwrap_or("num_features"), num_features);
        let layer = self.build(&spec, dict, &arguments)?;
        if !requires_grad {
            layer.requires_grad(false)?;
        }
        let abbreviation = spec.abbreviation.unwrap_or_else(|| norm_abbreviation(layer.name()));
        Ok((format!("{abbreviation}{postfix}"), layer))
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
        self.layer(cfg, arguments).map_err(|error| self.explain(error, cfg, "upsample"))
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

    /// Reads the rules of initialization under the key `init_cfg`: null, a rule, or a list of rules.
    ///
    /// # Errors
    /// Returns an error if a rule is wrong.
    pub fn init_cfg(&self, config: &Config) -> Result<InitCfg> {
        let path = self.path.key("init_cfg");
        Ok(InitCfg::decode(config, &path, &self.registry.initializers)?.below(&self.origin))
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
        for key in spec.decided {
            dict.remove(key);
        }
        for (key, value) in arguments.iter() {
            let decided = spec.decided.contains(&key);
            if decided || dict.insert(key, value.clone()).is_some() {
                errors.push(ConfigError::new(&self.path.key(key), ConfigErrorKind::Duplicate).in_type(spec.name));
            }
        }
        if !errors.is_empty() {
            return Err(ConfigError::many(&self.path, errors).into());
        }
        let origin = self.path.below(&self.origin);
        let builder = Builder { origin, ..Builder::new(self.registry) };
        let module = (spec.build)(&dict, &builder).map_err(|error| self.locate(error.in_type(spec.name), arguments))?;
        observe::built(&*module, &builder.origin, spec.name);
        Ok(module)
    }

    /// The error of a layer without a config: what is wrong with the layer as a whole is in the arguments.
    fn blame_arguments(&self, error: Error) -> Error {
        error.map_config(|error| {
            error.map_paths(&|path: KeyPath| if path == self.path { self.arguments.clone() } else { path })
        })
    }

    /// The error of a layer, whose path starts at the layer's arguments, from the dict that is being built.
    fn locate(&self, error: Error, arguments: &Dict) -> Error {
        error.map_config(|error| {
            error.map_paths(&|path: KeyPath| match path.first_key() {
                Some(key) if arguments.contains_key(key) => path.below(&self.arguments),
                _ => path.below(&self.path),
            })
        })
    }
}

/// Whether nothing is known of a type: neither a name that looks like it, nor why it is not there.
fn is_unknown(error: &ConfigError) -> bool {
    matches!(&*error.kind, ConfigErrorKind::UnknownType { names, .. } if !names.is_empty())
}

/// The reference's rule for a normalization that declares no abbreviation: a word in its class name decides.
fn norm_abbreviation(class: &str) -> &'static str {
    let class = class.to_lowercase();
    for (word, abbreviation) in [("batch", "bn"), ("group", "gn"), ("layer", "ln"), ("instance", "in")] {
        if class.contains(word) {
            return abbreviation;
        }
    }
    "norm_layer"
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

/// Declares the six functions of `mmcv.cnn` that build a layer, for the registry of a crate.
#[doc(hidden)]
#[macro_export]
macro_rules! build_functions {
    ($registry:path) => {
        /// Builds a convolution with [`MODELS`]; `Conv2d` if `cfg` is null.
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
        /// As [`Builder::model`]($crate::Builder::model). Reference: mmcv/cnn/bricks/conv.py.
        pub fn build_conv_layer(cfg: &$crate::Config, arguments: &$crate::Dict) -> $crate::BuildResult {
            $crate::Builder::new(&$registry).conv(cfg, arguments)
        }

        /// Builds a normalization of `num_features` channels with [`MODELS`], and its name: abbreviation and `postfix`.
        ///
        /// # Errors
        /// As [`Builder::model`]($crate::Builder::model). Reference: mmcv/cnn/bricks/norm.py.
        pub fn build_norm_layer(
            cfg: &$crate::Config,
            num_features: impl Into<$crate::Config>,
            postfix: impl ::std::fmt::Display,
        ) -> $crate::NamedBuildResult {
            $crate::Builder::new(&$registry).norm(cfg, num_features, postfix)
        }

        /// Builds an activation with [`MODELS`].
        ///
        /// # Errors
        /// As [`Builder::model`]($crate::Builder::model). Reference: mmcv/cnn/bricks/activation.py.
        pub fn build_activation_layer(cfg: &$crate::Config) -> $crate::BuildResult {
            $crate::Builder::new(&$registry).activation(cfg)
        }

        /// Builds an upsampling layer with [`MODELS`].
        ///
        /// # Errors
        /// As [`Builder::model`]($crate::Builder::model). Reference: mmcv/cnn/bricks/upsample.py.
        pub fn build_upsample_layer(cfg: &$crate::Config, arguments: &$crate::Dict) -> $crate::BuildResult {
            $crate::Builder::new(&$registry).upsample(cfg, arguments)
        }

        /// Builds a padding layer with [`MODELS`]; its argument is `padding`.
        ///
        /// # Errors
        /// As [`Builder::model`]($crate::Builder::model). Reference: mmcv/cnn/bricks/padding.py.
        pub fn build_padding_layer(cfg: &$crate::Config, arguments: &$crate::Dict) -> $crate::BuildResult {
            $crate::Builder::new(&$registry).padding(cfg, arguments)
        }

        /// Builds a plugin with [`MODELS`], and its name: abbreviation and `postfix`.
        ///
        /// # Errors
        /// As [`Builder::model`]($crate::Builder::model). Reference: mmcv/cnn/bricks/plugin.py.
        pub fn build_plugin_layer(
            cfg: &$crate::Config,
            postfix: impl ::std::fmt::Display,
            arguments: &$crate::Dict,
        ) -> $crate::NamedBuildResult {
            $crate::Builder::new(&$registry).plugin(cfg, postfix, arguments)
        }
    };
}

build_functions!(MODELS);

#[cfg(test)]
mod tests {
    use super::{norm_abbreviation, snake_case};

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

    #[test]
    fn abbreviations_by_words_of_the_class_name() {
        for (class, expected) in [
            ("BatchNorm2d", "bn"),
            ("SyncBatchNorm", "bn"),
            ("InstanceNorm2d", "in"),
            ("MyLayerNorm", "ln"),
            ("X", "norm_layer"),
        ] {
            assert_eq!(norm_abbreviation(class), expected);
        }
    }
}
