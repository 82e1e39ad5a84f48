//! Modules that hold others: `Sequential`, `ModuleList`, `ModuleDict`. With them a config alone describes a network.
//!
//! Reference: mmengine/model/base_module.py, torch/nn/modules/container.py.

mod children;
mod module_dict;
mod module_list;
mod sequential;

use mmcv_registry::{Config, Spec};

use crate::{Build, Builder, InitCfg, Layer, Result};

pub use children::Children;
pub use module_dict::ModuleDict;
pub use module_list::ModuleList;
pub use sequential::Sequential;

/// Arguments of `Sequential`, `ModuleList` and `ModuleDict`.
#[derive(Debug, Clone, PartialEq, Config)]
pub struct ContainerConfig {
    /// The modules: a list of dicts, named `0`, `1`, ..., or a dict of named dicts.
    #[config(default = Config::Null)]
    pub modules: Config,
    /// Initialization rules.
    #[config(default = Config::Null)]
    pub init_cfg: Config,
}

/// The registered containers.
pub const SPECS: &[Spec<Build>] = &[
    Spec { group: "container", doc: "Runs modules one after the other.", source: "mmengine", ..Sequential::SPEC },
    Spec { group: "container", doc: "Numbered modules that the parent runs.", source: "mmengine", ..ModuleList::SPEC },
    Spec { group: "container", doc: "Named modules that the parent runs.", source: "mmengine", ..ModuleDict::SPEC },
];

/// The children of a container, and its rules of initialization.
fn parts(config: &ContainerConfig, builder: &Builder<'_>) -> Result<(Children, InitCfg)> {
    let init_cfg = builder.init_cfg(&config.init_cfg)?;
    Ok((Children::build(&builder.key("modules"), &config.modules)?, init_cfg))
}
