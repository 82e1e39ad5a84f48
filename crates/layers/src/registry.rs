//! [`Registry`]: the types that a config can name.

use std::ops::Deref;

use mmcv_registry::{ConfigError, Spec};

use crate::init::{BuildInitializer, INITIALIZER_SPECS};
use crate::layer::Build;

/// A registry of layers, bricks and networks, and of the initializers that their `init_cfg` names.
///
/// Clones share their content.
#[derive(Debug, Clone)]
pub struct Registry {
    modules: mmcv_registry::Registry<Build>,
    /// The initializers. A new registry has those of this crate; `mmcv-models` adds `Pretrained`.
    pub initializers: mmcv_registry::Registry<BuildInitializer>,
}

impl Registry {
    /// A registry without modules, with a scope: the name before the dot in `mmengine.Conv2d`.
    #[must_use]
    pub fn new(scope: impl Into<String>) -> Self {
        let initializers = mmcv_registry::Registry::new("weight initializer");
        add_all(&initializers, INITIALIZER_SPECS);
        Self { modules: mmcv_registry::Registry::new(scope), initializers }
    }

    /// A registry whose unknown types are looked up here. It has the same initializers.
    ///
    /// # Errors
    /// Returns an error if there is a child with that scope.
    pub fn child(&self, scope: impl Into<String>) -> Result<Self, ConfigError> {
        Ok(Self { modules: self.modules.child(scope)?, initializers: self.initializers.clone() })
    }
}

impl Deref for Registry {
    type Target = mmcv_registry::Registry<Build>;

    fn deref(&self) -> &Self::Target {
        &self.modules
    }
}

/// Adds a table of types. A name that is taken keeps its type, and a warning is logged.
pub fn add_all<B: Clone>(registry: &mmcv_registry::Registry<B>, table: &[Spec<B>]) {
    for spec in table {
        if let Err(error) = registry.add(spec.clone()) {
            log::warn!("{error}");
        }
    }
}
