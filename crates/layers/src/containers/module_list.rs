//! [`ModuleList`]: modules by number.

use tch::Tensor;

use super::{Children, ContainerConfig, parts};
use crate::{Builder, Error, Forward, InitCfg, Layer, Module, Parts, Result};

/// Modules named `0`, `1`, ... that the parent runs. Reference: `mmengine.model.ModuleList`.
///
/// ```
/// use mmcv_layers::{Forward, LayerConfig, LinearConfig, ModuleList};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let layers = ModuleList::new(vec![
///     Box::new(LinearConfig::new(8, 16).build()?),
///     Box::new(LinearConfig::new(16, 4).build()?),
/// ]);
/// let mut output = Tensor::rand([2, 8], FLOAT_CPU);
/// for layer in layers.iter() {
///     output = layer.forward(&output)?;
/// }
/// assert_eq!(output.size(), [2, 4]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct ModuleList {
    children: Children,
    init_cfg: InitCfg,
}

impl ModuleList {
    /// Creates a list of modules.
    #[must_use]
    pub fn new(modules: Vec<Box<dyn Module>>) -> Self {
        Children::numbered(modules).into()
    }

    /// Sets the initialization rules.
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

impl Layer for ModuleList {
    const NAME: &'static str = "ModuleList";
    type Config = ContainerConfig;
    type Module = Self;

    fn build(config: &ContainerConfig, builder: &Builder<'_>) -> Result<Self> {
        let (children, init_cfg) = parts(config, builder)?;
        Ok(Self::from(children).with_init_cfg(init_cfg))
    }
}

impl Forward for ModuleList {
    fn forward(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::unsupported("a ModuleList has no forward pass: its parent runs the modules in it"))
    }
}

impl Module for ModuleList {
    fn class(&self) -> &'static [&'static str] {
        &["ModuleList", "BaseModule", "ModuleList"]
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg(&self.init_cfg);
        self.children.parts(parts);
    }
}
