//! [`ModuleList`]: modules by number.

use tch::Tensor;

use super::Children;
use crate::{Error, InitCfg, Module, Parts, Result};

/// Modules named `0`, `1`, ... that their parent runs. Reference: `mmengine.model.ModuleList`.
#[derive(Debug, Default)]
pub struct ModuleList {
    children: Children,
    init_cfg: InitCfg,
}

impl ModuleList {
    /// The given modules in order.
    #[must_use]
    pub fn new(modules: Vec<Box<dyn Module>>) -> Self {
        Children::numbered(modules).into()
    }

    /// The same with rules of initialisation.
    #[must_use]
    pub fn with_init_cfg(self, init_cfg: InitCfg) -> Self {
        Self { init_cfg, ..self }
    }

    /// The modules in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Module> {
        self.children.iter().map(|(_, module)| module)
    }
}

impl From<Children> for ModuleList {
    fn from(children: Children) -> Self {
        Self { children, init_cfg: InitCfg::default() }
    }
}

impl Module for ModuleList {
    fn class(&self) -> &'static [&'static str] {
        &["ModuleList", "BaseModule", "ModuleList"]
    }

    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported("a ModuleList has no forward pass: its parent runs the modules in it"))
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        self.children.parts(parts);
    }

    fn init_cfg(&self) -> Option<&InitCfg> {
        Some(&self.init_cfg)
    }

    fn init_weights(&self) -> Result<()> {
        self.init_cfg.init_weights(self)
    }
}
