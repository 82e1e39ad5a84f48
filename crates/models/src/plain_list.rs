//! [`PlainList`]: `torch.nn.ModuleList`.

use mmcv_layers::containers::Children;
use mmcv_layers::{Error, Forward, Module, Parts, Result};
use tch::Tensor;

/// `torch.nn.ModuleList` and the reference's classes that extend it: numbered modules, which their parent runs and
/// initializes.
#[derive(Debug)]
pub(crate) struct PlainList {
    class: &'static [&'static str],
    children: Children,
}

impl PlainList {
    pub(crate) fn new(children: Children) -> Self {
        Self::of_class(&["ModuleList", "Module"], children)
    }

    /// A list as another class of the reference.
    pub(crate) fn of_class(class: &'static [&'static str], children: Children) -> Self {
        Self { class, children }
    }

    /// Names and modules, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &dyn Module)> {
        self.children.iter()
    }

    /// The module with that name.
    pub(crate) fn get(&self, name: &str) -> Option<&dyn Module> {
        self.children.get(name)
    }
}

impl Forward for PlainList {
    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported("a ModuleList has no forward pass: its parent runs the modules in it"))
    }
}

impl Module for PlainList {
    fn class(&self) -> &'static [&'static str] {
        self.class
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        for (name, module) in self.iter() {
            parts.child(name, module);
        }
    }
}
