//! [`Sequential`]: runs modules one after the other.

use mmcv_registry::Dict;
use tch::Tensor;

use super::{Children, ContainerConfig, parts};
use crate::{Builder, Forward, InitCfg, Layer, Module, Output, Parts, Result, call_child, no_options, run_child};

/// Runs modules one after the other.
///
/// Shapes: the input of the first module, the output of the last one. Without modules the input is returned unchanged.
/// Reference: `torch.nn.Sequential`; with [`Self::with_init_cfg`] it is `mmengine.model.Sequential`.
///
/// ```
/// use mmcv_layers::activation::ReLUConfig;
/// use mmcv_layers::{Forward, LayerConfig, LinearConfig, Sequential};
/// use tch::{Tensor, kind::FLOAT_CPU};
///
/// let mut network = Sequential::default();
/// network.push(LinearConfig::new(8, 16).build()?);
/// network.push(ReLUConfig::new().build()?);
/// network.push(LinearConfig::new(16, 4).build()?);
/// let output = network.forward(&Tensor::rand([2, 8], FLOAT_CPU))?;
/// assert_eq!(output.size(), [2, 4]);
/// # Ok::<(), mmcv_layers::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Sequential {
    children: Children,
    init_cfg: Option<InitCfg>,
}

impl Sequential {
    /// Creates a sequence of modules named `0`, `1`, ...
    #[must_use]
    pub fn new(modules: Vec<Box<dyn Module>>) -> Self {
        Children::numbered(modules).into()
    }

    /// Sets the initialization rules. `init_weights` then also initializes the modules by their own rules.
    #[must_use]
    pub fn with_init_cfg(self, init_cfg: InitCfg) -> Self {
        Self { init_cfg: Some(init_cfg), ..self }
    }

    /// Adds a module at the end.
    pub fn push(&mut self, module: impl Module) {
        self.children.push(module.boxed());
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

impl Layer for Sequential {
    const NAME: &'static str = "Sequential";
    type Config = ContainerConfig;
    type Module = Self;

    fn build(config: &ContainerConfig, builder: &Builder<'_>) -> Result<Self> {
        let (children, init_cfg) = parts(config, builder)?;
        Ok(Self::from(children).with_init_cfg(init_cfg))
    }
}

impl Forward for Sequential {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = input.shallow_clone();
        for (name, module) in self.children.iter() {
            output = run_child(name, module, &output)?;
        }
        Ok(output)
    }

    /// Passes the output of each module, one tensor or several, to the next one.
    fn call(&self, inputs: &[&Tensor], options: &Dict) -> Result<Output> {
        if let [input] = inputs {
            no_options(options)?;
            return self.forward(input).map(Output::Tensor);
        }
        let mut output = Output::Tensors(inputs.iter().map(|input| input.shallow_clone()).collect());
        for (name, module) in self.children.iter() {
            let tensors = output.into_vec();
            let inputs: Vec<&Tensor> = tensors.iter().collect();
            output = call_child(name, module, &inputs, options)?;
        }
        Ok(output)
    }
}

impl Module for Sequential {
    fn class(&self) -> &'static [&'static str] {
        match self.init_cfg {
            Some(_) => &["Sequential", "BaseModule", "Sequential"],
            None => &["Sequential", "Module"],
        }
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.init_cfg = self.init_cfg.as_ref();
        self.children.parts(parts);
    }
}
