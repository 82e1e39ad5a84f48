//! The types of this crate: the tables of all groups, and the default registry.

use mmcv_registry::Spec;
use once_cell::sync::Lazy;

use crate::layer::Build;
use crate::registry::{Registry, add_all};
use crate::scopes::{OPS, SCOPES};
use crate::{activation, containers, conv, drop, linear, norm, padding, pool, scale, upsample};

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

/// The default registry of this crate, with its types alone: those of `mmcv-bricks` and `mmcv-models` are in the
/// registries of these crates.
pub static MODELS: Lazy<Registry> = Lazy::new(new_registry);

/// A new registry with the types of this crate. Its scope is `mmengine`, as in the reference's root registry; the scopes
/// of the OpenMMLab libraries whose layers have the same names mean the same types.
#[must_use]
pub fn new_registry() -> Registry {
    let registry = Registry::new("mmengine");
    for table in SPECS {
        add_all(&registry, table);
    }
    for scope in SCOPES {
        registry.accept_scope(scope, |_, _| {});
    }
    registry.note_absent(OPS, "it is of mmcv.ops, whose compiled operators are not here");
    registry
}
