//! Normalisations. Reference: mmcv/cnn/bricks/norm.py.

mod batch_norm;
mod check;
mod group_norm;
mod instance_norm;
mod layer_norm;

use std::fmt::Display;

use mmcv_registry::{Config, Dict, FromConfig, Spec};

pub use batch_norm::{BatchNorm, BatchNormConfig, BatchNormKind};
pub use group_norm::{GroupNorm, GroupNormConfig};
pub use instance_norm::{InstanceNorm, InstanceNormConfig};
pub use layer_norm::{LayerNorm, LayerNormConfig};

use crate::registry::{Build, Builder, build_from, spec};
use crate::{Module, ModuleExt, Result};

/// The registered normalisations.
pub const SPECS: &[Spec<Build>] = &[
    spec(
        "norm",
        ("BN1d", &["torch.nn.BatchNorm1d"]),
        "Batch norm of 2-D or 3-D input.",
        "torch.nn.BatchNorm1d",
        BatchNormConfig::FIELDS,
        |arguments| build_from(arguments, |config| BatchNorm::new(BatchNormKind::OneD, config)),
    ),
    spec(
        "norm",
        ("BN2d", &["BN", "torch.nn.BatchNorm2d"]),
        "Batch norm of 4-D input.",
        "torch.nn.BatchNorm2d",
        BatchNormConfig::FIELDS,
        |arguments| build_from(arguments, |config| BatchNorm::new(BatchNormKind::TwoD, config)),
    ),
    spec(
        "norm",
        ("BN3d", &["torch.nn.BatchNorm3d"]),
        "Batch norm of 5-D input.",
        "torch.nn.BatchNorm3d",
        BatchNormConfig::FIELDS,
        |arguments| build_from(arguments, |config| BatchNorm::new(BatchNormKind::ThreeD, config)),
    ),
    spec(
        "norm",
        ("SyncBN", &["torch.nn.SyncBatchNorm"]),
        "Batch norm of any dimension; in a single process there is nothing to synchronise.",
        "torch.nn.SyncBatchNorm",
        BatchNormConfig::FIELDS,
        |arguments| build_from(arguments, |config| BatchNorm::new(BatchNormKind::Sync, config)),
    ),
    Spec {
        group: "norm",
        doc: "Group norm.",
        source: "torch.nn.GroupNorm; Wu and He, Group Normalization (2018)",
        fields: GroupNormConfig::FIELDS,
        aliases: &["torch.nn.GroupNorm"],
        ..Spec::new("GN", |arguments| build_from(arguments, GroupNorm::new))
    },
    Spec {
        group: "norm",
        doc: "Layer norm over the last dimensions.",
        source: "torch.nn.LayerNorm; Ba et al., Layer Normalization (2016)",
        fields: LayerNormConfig::FIELDS,
        aliases: &["torch.nn.LayerNorm"],
        ..Spec::new("LN", |arguments| build_from(arguments, LayerNorm::new))
    },
    spec(
        "norm",
        ("IN1d", &["torch.nn.InstanceNorm1d"]),
        "Instance norm of 2-D or 3-D input.",
        "torch.nn.InstanceNorm1d",
        InstanceNormConfig::FIELDS,
        |arguments| build_from(arguments, |config| InstanceNorm::new(1, config)),
    ),
    spec(
        "norm",
        ("IN2d", &["IN", "torch.nn.InstanceNorm2d"]),
        "Instance norm of 3-D or 4-D input.",
        "torch.nn.InstanceNorm2d",
        InstanceNormConfig::FIELDS,
        |arguments| build_from(arguments, |config| InstanceNorm::new(2, config)),
    ),
    spec(
        "norm",
        ("IN3d", &["torch.nn.InstanceNorm3d"]),
        "Instance norm of 4-D or 5-D input.",
        "torch.nn.InstanceNorm3d",
        InstanceNormConfig::FIELDS,
        |arguments| build_from(arguments, |config| InstanceNorm::new(3, config)),
    ),
];

/// The body of [`Builder::norm`].
pub(crate) fn build(
    builder: &Builder<'_>,
    cfg: &Config,
    num_features: Config,
    postfix: &dyn Display,
) -> Result<(String, Box<dyn Module>)> {
    let (spec, mut dict) = builder.registry.resolve(cfg, &builder.path)?;
    let requires_grad = match dict.remove("requires_grad") {
        Some(value) => bool::from_config(&value, &builder.path.key("requires_grad"))?,
        None => true,
    };
    dict.set_default("eps", 1e-5);
    let mut arguments = Dict::new();
    arguments.insert(channels_argument(&spec), num_features);
    let layer = builder.build(&spec, dict, &arguments)?;
    if !requires_grad {
        layer.requires_grad(false)?;
    }
    let abbreviation = spec.abbreviation.unwrap_or_else(|| abbreviation(layer.name()));
    Ok((format!("{abbreviation}{postfix}"), layer))
}

/// The argument that takes the number of channels: `num_channels` of group norm, else the first one.
fn channels_argument(spec: &Spec<Build>) -> &'static str {
    let by_name = spec.fields.iter().find(|field| field.name == "num_channels");
    by_name.or(spec.fields.first()).map_or("num_features", |field| field.name)
}

/// The abbreviation of a class, by the words in its name.
fn abbreviation(class: &str) -> &'static str {
    let class = class.to_lowercase();
    let words = [("batch", "bn"), ("group", "gn"), ("layer", "ln"), ("instance", "in")];
    words.iter().find(|(word, _)| class.contains(word)).map_or("norm_layer", |(_, abbreviation)| abbreviation)
}

#[cfg(test)]
mod tests {
    use super::abbreviation;

    #[test]
    fn abbreviations_by_words_of_the_class_name() {
        for (class, expected) in [
            ("BatchNorm2d", "bn"),
            ("SyncBatchNorm", "bn"),
            ("InstanceNorm2d", "in"),
            ("MyLayerNorm", "ln"),
            ("X", "norm_layer"),
        ] {
            assert_eq!(abbreviation(class), expected);
        }
    }
}
