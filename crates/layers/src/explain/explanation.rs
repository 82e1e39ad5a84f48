//! [`Explanation`]: builds, initializes and runs a module, and reports what happened in each part.

use std::collections::HashMap;

use mmcv_registry::{Config, ConfigError, Dict, Spec};
use tch::{Device, Kind, Tensor};

use crate::observe::{Call, Initial, Origin, Trace, observe};
use crate::{
    Build, Builder, Error, ErrorKind, Module, Parts, Registry, Result, ShapeMismatch, call_child, join_path, memory,
};

/// A module, with the origin of each of its parts.
#[derive(Debug)]
pub struct Explanation {
    config: Config,
    module: Box<dyn Module>,
    trace: Trace,
}

/// One module of an [`Explanation`].
#[derive(Debug)]
pub struct ModuleRow<'a> {
    /// The name from the root; empty for the root.
    pub name: String,
    /// The module.
    pub module: &'a dyn Module,
    /// The dict that it, or else its nearest ancestor, was built from.
    pub origin: Option<&'a Origin>,
    /// Whether that dict is a default, so that the config does not contain it.
    pub is_default: bool,
    /// Its parameters and buffers, without those of its children.
    pub tensors: Vec<TensorRow<'a>>,
    /// Its forward passes; empty if it was not run.
    pub calls: Vec<&'a Call>,
    /// Whether it has no children.
    pub is_leaf: bool,
}

/// A parameter or a buffer.
#[derive(Debug)]
pub struct TensorRow<'a> {
    /// The name within the module.
    pub name: String,
    /// The tensor.
    pub tensor: &'a Tensor,
    /// Whether it is a parameter, not a buffer.
    pub is_parameter: bool,
    /// The initial values, if a function of [`crate::init`] set them.
    pub initial: Option<&'a Initial>,
}

impl Explanation {
    /// Builds the module at the builder's path in `config`, calls `init_weights` if `initializes` is true, and runs
    /// it in evaluation mode on zeros with the shapes `inputs`, unless they are empty.
    ///
    /// # Errors
    /// Returns an error if the config is invalid or a shape does not fit. It has the key path of the argument to
    /// change.
    pub fn new(builder: &Builder<'_>, config: &Config, initializes: bool, inputs: &[Vec<i64>]) -> Result<Self> {
        let cfg = builder.path.find(config).unwrap_or(&Config::Null);
        let (built, trace) = observe(|| {
            let module = builder.model(cfg)?;
            if initializes {
                module.init_weights()?;
            }
            Ok::<_, Error>(module)
        });
        let mut explanation = Self { config: config.clone(), module: built?, trace };
        if !inputs.is_empty() {
            let (output, ran) = observe(|| run(&*explanation.module, inputs));
            explanation.trace.calls = ran.calls;
            output.map_err(|error| explanation.with_key_path(error, builder.registry))?;
        }
        Ok(explanation)
    }

    /// The module.
    #[must_use]
    pub fn module(&self) -> &dyn Module {
        &*self.module
    }

    /// Whether the module was run.
    #[must_use]
    pub fn was_run(&self) -> bool {
        !self.trace.calls.is_empty()
    }

    /// Messages about `init_cfg` rules that matched no module.
    #[must_use]
    pub fn unmatched_rules(&self) -> &[String] {
        &self.trace.unmatched_rules
    }

    /// All modules, parents before their children.
    #[must_use]
    pub fn modules(&self) -> Vec<ModuleRow<'_>> {
        let mut calls: HashMap<&str, Vec<&Call>> = HashMap::new();
        for call in &self.trace.calls {
            calls.entry(&call.module).or_default().push(call);
        }
        let mut rows = Vec::new();
        self.add_rows(&mut rows, String::new(), &*self.module, None, &mut calls);
        rows
    }

    /// Adds the rows of a module and its descendants; `outer` is the origin of its parent.
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
                let initial = self.trace.initial(tensor);
                tensors.push(TensorRow { name: name.into_owned(), tensor, is_parameter, initial });
            }
        }
        let origin = self.trace.origin(module).or(outer);
        let is_default = match origin {
            Some(origin) => origin.path.find(&self.config).is_none(),
            None => false,
        };
        let own_calls = calls.remove(name.as_str()).unwrap_or_default();
        let is_leaf = parts.children.is_empty();
        rows.push(ModuleRow { name: name.clone(), module, origin, is_default, tensors, calls: own_calls, is_leaf });
        for (child, module) in parts.children {
            self.add_rows(rows, join_path(&name, &child), module, origin, calls);
        }
    }

    /// The multiply-adds of the forward pass.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        self.trace.calls.iter().map(|call| call.multiply_adds).sum()
    }

    /// The module with that name and its ancestors, up to the root.
    fn ancestors(&self, name: &str) -> Vec<&dyn Module> {
        let mut found: Vec<&dyn Module> = vec![&*self.module];
        let mut path = String::new();
        'descend: while let Some(parent) = found.last().copied() {
            for (child, module) in Parts::of(parent).children {
                let inner = join_path(&path, &child);
                if name == inner || name.starts_with(&format!("{inner}.")) {
                    path = inner;
                    found.push(module);
                    continue 'descend;
                }
            }
            break;
        }
        found.reverse();
        found
    }

    /// Turns a shape mismatch into an error about the key of the config that holds the argument. If no key does, the
    /// error suggests no change of the argument.
    fn with_key_path(&self, error: Error, registry: &Registry) -> Error {
        let module = error.module.join(".");
        let ErrorKind::Shape(mismatch) = *error.kind else { return error };
        let (mut nearest, mut key) = (None, None);
        for ancestor in self.ancestors(&module) {
            let Some(origin) = self.trace.origin(ancestor) else { continue };
            nearest = nearest.or(Some(origin));
            key = self.key_of(&mismatch, origin, registry).map(|key| (origin, key));
            if key.is_some() {
                break;
            }
        }
        let Some(nearest) = nearest else { return Error::new(ErrorKind::Shape(mismatch)) };
        let (path, stated, mismatch) = match key {
            Some((origin, key)) => (origin.path.key(key), mismatch.value.clone(), mismatch.with_argument(key)),
            None => {
                let stated = format!("{} is {}", mismatch.argument, mismatch.value);
                (nearest.path.clone(), stated, mismatch.without_change())
            }
        };
        let producer = match self.producer(&mismatch.input, &module) {
            Some(producer) => format!(" (the output of {producer})"),
            None => String::new(),
        };
        let module = if module.is_empty() { String::new() } else { format!(" (module {module})") };
        let ShapeMismatch { input, found, .. } = &mismatch;
        let advice = mismatch.advice();
        let reason = format!("does not fit: the input of shape {input:?}{producer} {found}; {advice}{module}");
        ConfigError::conflict(&path, stated, reason).into()
    }

    /// The key of a dict whose value, stated or default, is that of the argument that does not fit.
    fn key_of(&self, mismatch: &ShapeMismatch, origin: &Origin, registry: &Registry) -> Option<&'static str> {
        let spec = registry.get(origin.type_name);
        for key in mismatch.arguments() {
            // The config may state an alias of the type.
            if key == "type" && mismatch.value == origin.type_name {
                return Some(key);
            }
            let value = match (origin.path.key(key).find(&self.config), &spec) {
                (Some(stated), _) => Some(stated.clone()),
                (None, Some(spec)) => default_of(spec, key),
                (None, None) => None,
            };
            if let Some(value) = value
                && mismatch.has_value(&value)
            {
                return Some(key);
            }
        }
        None
    }

    /// The outermost module that returned a tensor of that shape last, before `module` was run.
    fn producer(&self, shape: &[i64], module: &str) -> Option<&str> {
        let mut producers = Vec::new();
        for call in &self.trace.calls {
            let returned = call.outputs.iter().any(|output| output == shape);
            if returned && call.module != module && !call.module.is_empty() {
                producers.push(call.module.as_str());
            }
        }
        let last = *producers.last()?;
        for producer in producers {
            if last.starts_with(&format!("{producer}.")) {
                return Some(producer);
            }
        }
        Some(last)
    }
}

/// The default of an argument.
fn default_of(spec: &Spec<Build>, key: &str) -> Option<Config> {
    for field in spec.fields {
        if field.name == key {
            return field.default.map(|default| default());
        }
    }
    None
}

/// Runs `module` in evaluation mode on zeros of these shapes, and then sets training mode, as in a new module.
fn run(module: &dyn Module, inputs: &[Vec<i64>]) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let device = match Parts::of(module).parameters.first() {
        Some((_, tensor)) => tensor.device(),
        None => Device::Cpu,
    };
    module.train(false);
    let fits = memory::check_forward(module, inputs);
    module.train(true);
    fits?;
    let mut tensors = Vec::with_capacity(inputs.len());
    for shape in inputs {
        tensors.push(Tensor::f_zeros(shape, (Kind::Float, device))?);
    }
    let references: Vec<&Tensor> = tensors.iter().collect();
    module.train(false);
    let output = call_child("", module, &references, &Dict::new());
    module.train(true);
    output.map(drop)
}
