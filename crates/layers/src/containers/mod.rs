//! Modules that hold others: `Sequential`, `ModuleList`, `ModuleDict`. With them a network needs no code.
//!
//! Reference: mmengine/model/base_module.py, torch/nn/modules/container.py.

mod children;
mod module_dict;
mod module_list;
mod sequential;

use mmcv_registry::{Config, KeyPath, Spec, config_struct};

use crate::registry::{Arguments, Build};
use crate::{InitCfg, Module, Result};

pub use children::Children;
pub use module_dict::ModuleDict;
pub use module_list::ModuleList;
pub use sequential::Sequential;

config_struct! {
    /// Arguments of `Sequential`, `ModuleList` and `ModuleDict`.
    pub struct ContainerConfig {
        optional {
            /// The modules: a list of dicts, which are named `0`, `1`, ..., or a dict of dicts with their names.
            modules: Config = Config::Null,
            /// Rules of initialisation.
            init_cfg: Config = Config::Null,
        }
    }
}

/// The registered containers.
pub const SPECS: &[Spec<Build>] = &[
    container("Sequential", "Modules that are run one after the other.", |arguments| {
        build(arguments, |children, init_cfg| Sequential::from(children).with_init_cfg(init_cfg))
    }),
    container("ModuleList", "Modules by number, which their parent runs.", |arguments| {
        build(arguments, |children, init_cfg| ModuleList::from(children).with_init_cfg(init_cfg))
    }),
    container("ModuleDict", "Modules by name, which their parent runs.", |arguments| {
        build(arguments, |children, init_cfg| ModuleDict::from(children).with_init_cfg(init_cfg))
    }),
];

const fn container(name: &'static str, doc: &'static str, build: Build) -> Spec<Build> {
    Spec { group: "container", doc, source: "mmengine", fields: ContainerConfig::FIELDS, ..Spec::new(name, build) }
}

fn build<M: Module>(arguments: &Arguments<'_>, make: impl FnOnce(Children, InitCfg) -> M) -> Result<Box<dyn Module>> {
    let config = arguments.decode::<ContainerConfig>()?;
    let init_cfg = InitCfg::decode(&config.init_cfg, &arguments.path.key("init_cfg"))?;
    let builder = arguments.here();
    let children = Children::build(&builder.at(|path: &KeyPath| path.key("modules")), &config.modules)?;
    Ok(Box::new(make(children, init_cfg)))
}
