//! The builders with the registry of all types, [`MODELS`].

use std::fmt::Display;
use std::ops::Deref;

use mmcv_bricks::ConvModule;
use mmcv_layers::{Module, Registry, Result, Size};
use mmcv_registry::{Config, Dict};

use crate::MODELS;

/// Builds layers, bricks and networks from config dicts, with [`MODELS`] or another registry: the
/// [`Builder`](mmcv_layers::Builder) of `mmcv-layers` with all types as the default.
///
/// ```no_run
/// use mmcv::prelude::*;
///
/// let (name, block) = Builder::default().plugin(
///     &config! { type: "ConvModule" },
///     1,
///     &dict! { in_channels: 3, out_channels: 8, kernel_size: 3 },
/// )?;
/// assert_eq!(name, "conv_block1");
/// # Ok::<(), mmcv::layers::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder<'a>(mmcv_layers::Builder<'a>);

impl<'a> Builder<'a> {
    /// A builder with the given registry.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        Self(mmcv_layers::Builder::new(registry))
    }
}

impl Default for Builder<'_> {
    /// A builder with [`MODELS`].
    fn default() -> Self {
        Self::new(&MODELS)
    }
}

impl<'a> Deref for Builder<'a> {
    type Target = mmcv_layers::Builder<'a>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a> From<Builder<'a>> for mmcv_layers::Builder<'a> {
    fn from(builder: Builder<'a>) -> Self {
        builder.0
    }
}

/// Builds a module of any registered type with [`MODELS`]: layers, bricks, backbones, classifiers.
///
/// # Errors
/// Returns an error with the key path if the config is invalid.
pub fn build_model(cfg: &Config) -> Result<Box<dyn Module>> {
    Builder::default().model(cfg)
}

/// Builds a convolution with [`MODELS`]; `Conv2d` if `cfg` is null.
///
/// # Errors
/// As [`build_model`].
pub fn build_conv_layer(cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
    Builder::default().conv(cfg, arguments)
}

/// Builds a normalization layer of `num_features` channels with [`MODELS`]. Returns its name, which is its abbreviation and
/// `postfix`, and the layer.
///
/// # Errors
/// As [`build_model`].
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
/// As [`build_model`].
pub fn build_activation_layer(cfg: &Config) -> Result<Box<dyn Module>> {
    Builder::default().activation(cfg)
}

/// Builds an upsampling layer with [`MODELS`].
///
/// # Errors
/// As [`build_model`].
pub fn build_upsample_layer(cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
    Builder::default().upsample(cfg, arguments)
}

/// Builds a padding layer with [`MODELS`]; its argument is `padding`.
///
/// # Errors
/// As [`build_model`].
pub fn build_padding_layer(cfg: &Config, arguments: &Dict) -> Result<Box<dyn Module>> {
    Builder::default().padding(cfg, arguments)
}

/// Builds a plugin with [`MODELS`]. Returns its name, which is its abbreviation and `postfix`, and the layer.
///
/// # Errors
/// As [`build_model`].
pub fn build_plugin_layer(cfg: &Config, postfix: impl Display, arguments: &Dict) -> Result<(String, Box<dyn Module>)> {
    Builder::default().plugin(cfg, postfix, arguments)
}

/// Builds a `ConvModule` with the types of [`MODELS`]. `options` holds its other keys.
///
/// # Errors
/// Returns an error if an option is unknown or has the wrong type, or if a part cannot be built.
pub fn conv_module(
    in_channels: i64,
    out_channels: i64,
    kernel_size: impl Into<Size>,
    options: Dict,
) -> Result<ConvModule> {
    mmcv_bricks::conv_module_by(&Builder::default(), in_channels, out_channels, kernel_size, options)
}
