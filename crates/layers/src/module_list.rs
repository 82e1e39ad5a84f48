//! [`ModuleList`]: modules by number. Reference: `mmengine.model.ModuleList`.

use tch::Tensor;

use crate::{Error, Module, Parts, Result};

/// Modules named `0`, `1`, ... that their parent runs.
#[derive(Debug, Default)]
pub struct ModuleList(Vec<Box<dyn Module>>);

impl ModuleList {
    /// The given modules in order.
    #[must_use]
    pub fn new(modules: Vec<Box<dyn Module>>) -> Self {
        Self(modules)
    }

    /// The modules in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Module> {
        self.0.iter().map(|module| &**module)
    }
}

impl Module for ModuleList {
    fn class(&self) -> &'static [&'static str] {
        &["ModuleList", "BaseModule"]
    }

    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported("a ModuleList has no forward pass: its parent runs the modules in it"))
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        for (index, module) in self.0.iter().enumerate() {
            parts.child(index.to_string(), &**module);
        }
    }

    fn init_weights(&self) -> Result<()> {
        let mut modules = self.0.iter().enumerate();
        modules
            .try_for_each(|(index, module)| module.init_weights().map_err(|error| error.in_module(index.to_string())))
    }

    fn has_init_weights(&self) -> bool {
        true
    }
}
