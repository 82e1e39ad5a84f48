//! Backbones and classifiers of the OpenMMLab model zoo.

use mmcv_layers::Registry;
use once_cell::sync::Lazy;

/// The default registry with the types of this crate added: the same registry as [`mmcv_layers::MODELS`].
pub static MODELS: Lazy<Registry> = Lazy::new(|| mmcv_bricks::MODELS.clone());
