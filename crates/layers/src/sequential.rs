//! [`Sequential`]: modules that are run one after the other. Reference: `torch.nn.Sequential`.

use tch::Tensor;

use crate::{Module, Parts, Result};

/// Modules that are run one after the other, named `0`, `1`, ...
#[derive(Debug, Default)]
pub struct Sequential(Vec<Box<dyn Module>>);

impl Sequential {
    /// The given modules in order.
    #[must_use]
    pub fn new(modules: Vec<Box<dyn Module>>) -> Self {
        Self(modules)
    }

    /// Adds a module at the end.
    pub fn push(&mut self, module: impl Module) {
        self.0.push(Box::new(module));
    }

    /// The modules in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Module> {
        self.0.iter().map(|module| &**module)
    }
}

impl Module for Sequential {
    fn class(&self) -> &'static [&'static str] {
        &["Sequential", "Module"]
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.shallow_clone();
        for (index, module) in self.0.iter().enumerate() {
            output = module.forward(&output).map_err(|error| error.in_module(index.to_string()))?;
        }
        Ok(output)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        for (index, module) in self.0.iter().enumerate() {
            parts.child(index.to_string(), &**module);
        }
    }
}
