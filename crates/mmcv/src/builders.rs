//! The builders with the registry of all types, [`MODELS`].

use mmcv_bricks::ConvModule;
use mmcv_layers::{BuildResult, Builder, Result, Size};
use mmcv_registry::{Config, Dict};

use crate::MODELS;

mmcv_layers::build_functions!(MODELS);

/// Builds a module of any registered type with [`MODELS`]: a layer, a brick, a backbone or a classifier.
///
/// # Errors
/// Returns an error if the config is wrong; it has the key path.
pub fn build_model(cfg: &Config) -> BuildResult {
    Builder::new(&MODELS).model(cfg)
}

/// Builds a `ConvModule` whose parts are looked up in [`MODELS`]; `options` are its other arguments.
///
/// # Errors
/// Returns an error if an option is unknown, given twice or of a wrong type, or a part cannot be built.
pub fn conv_module(
    in_channels: i64,
    out_channels: i64,
    kernel_size: impl Into<Size>,
    options: Dict,
) -> Result<ConvModule> {
    mmcv_bricks::conv_module_by(&Builder::new(&MODELS), in_channels, out_channels, kernel_size, options)
}
