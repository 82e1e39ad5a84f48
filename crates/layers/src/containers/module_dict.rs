//! [`ModuleDict`]: modules by name.

use tch::Tensor;

use super::{Children, ContainerConfig, parts};
use crate::{Builder, Error, Forward, InitCfg, Layer, Module, Parts, Result};

/// Named modules that the parent runs. Reference: `mmengine.model.ModuleDict`.
///
/// ```
/// use mmcv_layers::containers::{Children, ModuleDict};
/// use mmcv_layers::{LayerConfig, LinearConfig};
///
/// let mut children = Children::default();
/// children.add("fc", Box::new(LinearConfig::new(8, 4).build()?))?;
/// let heads = ModuleDict::from(children);
/// assert!(heads.get("fc").is_some());
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct ModuleDict {
    children: Children,
    init_cfg: InitCfg,
}

impl ModuleDict {
    /// Sets the initialization rules.
    #[must_use]
    pub fn with_init_cfg(self, init_cfg: InitCfg) -> Self {
        Self { init_cfg, ..self }
    }

    /// The module with that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn Module> {
        self.children.get(name)
    }

    /// Names and modules, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &dyn Module)> {
        self.children.iter()
    }
}

impl From<Children> for ModuleDict {
    fn from(children: Children) -> Self {
        Self { children, init_cfg: InitCfg::default() }
    }
}

impl Layer for ModuleDict {
    const NAME: &'static str = "ModuleDict";
    type Config = ContainerConfig;
    type Module = Self;

    fn build(config: &ContainerConfig, builder: &Builder<'_>) -> Result<Self> {
        let (children, init_cfg) = parts(config, builder)?;
        Ok(Self::from(children).with_init_cfg(init_cfg))
    }
}

impl Forward for ModuleDict {
    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported("a ModuleDict has no forward pass: its parent runs the modules in it"))
    }
}

impl Module for ModuleDict {
    fn class(&self) -> &'static [&'static str] {
        &["ModuleDict", "BaseModule", "ModuleDict"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        self.children.parts(parts);
    }
}
