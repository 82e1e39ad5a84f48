//! [`Sequential`]: modules that are run one after the other.

use tch::Tensor;

use super::Children;
use crate::{InitCfg, Module, Parts, Result, run_child};

/// Modules that are run one after the other.
///
/// Shapes: as the first module takes and the last one gives; without modules the input is given as it is.
/// Reference: `torch.nn.Sequential`; with [`Self::with_init_cfg`] it is `mmengine.model.Sequential`.
#[derive(Debug, Default)]
pub struct Sequential {
    children: Children,
    init_cfg: Option<InitCfg>,
}

impl Sequential {
    /// The given modules in order, named `0`, `1`, ...
    #[must_use]
    pub fn new(modules: Vec<Box<dyn Module>>) -> Self {
        Children::numbered(modules).into()
    }

    /// The same with rules of initialisation: the modules are then asked for their own initialisation too.
    #[must_use]
    pub fn with_init_cfg(self, init_cfg: InitCfg) -> Self {
        Self { init_cfg: Some(init_cfg), ..self }
    }

    /// Adds a module at the end.
    pub fn push(&mut self, module: impl Module) {
        self.children.push(Box::new(module));
    }

    /// The modules in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Module> {
        self.children.iter().map(|(_, module)| module)
    }
}

impl From<Children> for Sequential {
    fn from(children: Children) -> Self {
        Self { children, init_cfg: None }
    }
}

impl Module for Sequential {
    fn class(&self) -> &'static [&'static str] {
        match self.init_cfg {
            Some(_) => &["Sequential", "BaseModule", "Sequential"],
            None => &["Sequential", "Module"],
        }
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.shallow_clone();
        for (name, module) in self.children.iter() {
            output = run_child(name, module, &output)?;
        }
        Ok(output)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        self.children.parts(parts);
    }

    fn init_cfg(&self) -> Option<&InitCfg> {
        self.init_cfg.as_ref()
    }

    fn init_weights(&self) -> Result<()> {
        self.init_cfg.as_ref().map_or(Ok(()), |init_cfg| init_cfg.init_weights(self))
    }
}
