//! [`Explanation`]: a module that was built, initialised and run on an input of a given shape, and what was seen of it.

use std::collections::HashMap;

use mmcv_registry::{Config, ConfigError, Dict};
use tch::{Device, Kind, Tensor};

use crate::observe::{Call, Initial, Log, Origin, observe};
use crate::{Builder, Error, ErrorKind, Misfit, Module, Parts, Result, call_child, join};

/// A module, and where everything in it comes from.
#[derive(Debug)]
pub struct Explanation {
    config: Config,
    module: Box<dyn Module>,
    log: Log,
}

/// One module of an [`Explanation`].
#[derive(Debug)]
pub struct ModuleRow<'a> {
    /// The name from the root, which is empty for the root itself.
    pub name: String,
    /// The module.
    pub module: &'a dyn Module,
    /// The dict that it was built from: its own, or that of the nearest parent that has one.
    pub origin: Option<&'a Origin>,
    /// Whether that dict is a default: it does not stand in the config.
    pub is_default: bool,
    /// Its own parameters and buffers, without those of its children.
    pub tensors: Vec<TensorRow<'a>>,
    /// Its forward passes: none where no input was given, or it was not run.
    pub calls: Vec<&'a Call>,
    /// Whether it has no children.
    pub is_leaf: bool,
}

/// A parameter or a buffer.
#[derive(Debug)]
pub struct TensorRow<'a> {
    /// The name in its module.
    pub name: String,
    /// The tensor.
    pub tensor: &'a Tensor,
    /// Whether it is a parameter; else it is a buffer.
    pub is_parameter: bool,
    /// How it got its values, where a function of [`crate::init`] set them.
    pub initial: Option<&'a Initial>,
}

impl Explanation {
    /// Builds what stands at the builder's path in `config`, and initialises it with `init_weights` where
    /// `initialises` says so. With `inputs`, which are shapes, it is then run in evaluation mode on zeros.
    ///
    /// # Errors
    /// Where the config is wrong, or a shape does not fit: the error has the key path of the argument to change.
    pub fn new(builder: &Builder<'_>, config: &Config, initialises: bool, inputs: &[Vec<i64>]) -> Result<Self> {
        let cfg = builder.path.find(config).unwrap_or(&Config::Null);
        let (built, log) = observe(|| {
            let module = builder.model(cfg)?;
            if initialises {
                module.init_weights()?;
            }
            Ok::<_, Error>(module)
        });
        let mut explanation = Self { config: config.clone(), module: built?, log };
        if !inputs.is_empty() {
            let (output, ran) = observe(|| run(&*explanation.module, inputs));
            explanation.log.calls = ran.calls;
            output.map_err(|error| explanation.with_key_path(error))?;
        }
        Ok(explanation)
    }

    /// The module.
    #[must_use]
    pub fn module(&self) -> &dyn Module {
        &*self.module
    }

    /// Whether it was run on an input.
    #[must_use]
    pub fn was_run(&self) -> bool {
        !self.log.calls.is_empty()
    }

    /// Rules of `init_cfg` that matched no module, in words.
    #[must_use]
    pub fn unmatched_rules(&self) -> &[String] {
        &self.log.unmatched_rules
    }

    /// All modules, parents before their children.
    #[must_use]
    pub fn modules(&self) -> Vec<ModuleRow<'_>> {
        let mut calls: HashMap<&str, Vec<&Call>> = HashMap::new();
        for call in &self.log.calls {
            calls.entry(&call.module).or_default().push(call);
        }
        let mut rows = Vec::new();
        self.add_rows(&mut rows, String::new(), &*self.module, None, &mut calls);
        rows
    }

    /// Adds the rows of a module, whose parent was built from the dict `outer`, and of all that is in it.
    fn add_rows<'a>(
        &'a self,
        rows: &mut Vec<ModuleRow<'a>>,
        name: String,
        module: &'a dyn Module,
        outer: Option<&'a Origin>,
        calls: &mut HashMap<&str, Vec<&'a Call>>,
    ) {
        let parts = Parts::of(module);
        let mut tensors = Vec::new();
        for (is_parameter, named) in [(true, parts.parameters), (false, parts.buffers)] {
            for (name, tensor) in named {
                let initial = self.log.initial(tensor);
                tensors.push(TensorRow { name: name.into_owned(), tensor, is_parameter, initial });
            }
        }
        let origin = self.log.origin(module).or(outer);
        let is_default = origin.is_some_and(|origin| origin.path.find(&self.config).is_none());
        let own_calls = calls.remove(name.as_str()).unwrap_or_default();
        let is_leaf = parts.children.is_empty();
        rows.push(ModuleRow { name: name.clone(), module, origin, is_default, tensors, calls: own_calls, is_leaf });
        for (child, module) in parts.children {
            self.add_rows(rows, join(&name, &child), module, origin, calls);
        }
    }

    /// The multiply-adds of the forward pass.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        self.log.calls.iter().map(|call| call.multiply_adds).sum()
    }

    /// The module of that name, its parent, and so on up to the root.
    fn ancestors(&self, name: &str) -> Vec<&dyn Module> {
        let mut found: Vec<&dyn Module> = vec![&*self.module];
        let mut path = String::new();
        while let Some(parent) = found.last().copied() {
            let child = Parts::of(parent).children.into_iter().find(|(child, _)| {
                let inner = join(&path, child);
                name == inner || name.starts_with(&format!("{inner}."))
            });
            let Some((child, module)) = child else { break };
            path = join(&path, &child);
            found.push(module);
        }
        found.reverse();
        found
    }

    /// The same error, which for a shape that does not fit an argument is one about that argument in the config.
    fn with_key_path(&self, error: Error) -> Error {
        let module = error.module.join(".");
        let ErrorKind::Shape(Misfit { argument, value, input, found, remedy }) = *error.kind else {
            return error;
        };
        let origins: Vec<&Origin> =
            self.ancestors(&module).into_iter().filter_map(|module| self.log.origin(module)).collect();
        // The argument may stand in the dict of the layer, or in that of the brick that hands it on.
        let written = origins.iter().find(|origin| origin.path.key(argument).find(&self.config).is_some());
        let path = match (written, origins.first()) {
            (Some(origin), _) => origin.path.key(argument),
            (None, Some(origin)) => origin.path.clone(),
            (None, None) => return Error::new(ErrorKind::Shape(Misfit { argument, value, input, found, remedy })),
        };
        let stated = if written.is_some() { value } else { format!("{argument} is {value}") };
        let giver = self.giver(&input, &module).map_or_else(String::new, |giver| format!(" (the output of {giver})"));
        let module = if module.is_empty() { String::new() } else { format!(" (module {module})") };
        let reason = format!("does not fit: the input of shape {input:?}{giver} {found}; {remedy}{module}");
        ConfigError::conflict(&path, stated, reason).into()
    }

    /// The module that gave a tensor of that shape last, before `module` was run; the outermost one.
    fn giver(&self, shape: &[i64], module: &str) -> Option<&str> {
        let gave = self.log.calls.iter().filter(|call| call.outputs.iter().any(|output| output == shape));
        let inside = |call: &&Call| call.module != module && !call.module.is_empty();
        let last = gave.clone().rfind(inside)?;
        let outermost = gave.filter(inside).find(|call| last.module.starts_with(&format!("{}.", call.module)));
        Some(outermost.map_or(&last.module, |call| &call.module))
    }
}

/// Runs `module` in evaluation mode on zeros of these shapes; its mode is training mode again after that, as of a new one.
fn run(module: &dyn Module, inputs: &[Vec<i64>]) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let device = Parts::of(module).parameters.first().map_or(Device::Cpu, |(_, tensor)| tensor.device());
    let zeros = |shape: &Vec<i64>| Tensor::f_zeros(shape, (Kind::Float, device));
    let tensors = inputs.iter().map(zeros).collect::<std::result::Result<Vec<_>, _>>()?;
    let references: Vec<&Tensor> = tensors.iter().collect();
    module.train(false);
    let output = call_child("", module, &references, &Dict::new());
    module.train(true);
    output.map(drop)
}
