//! One rule of `init_cfg`. Reference: `initialize` in mmengine/model/weight_init.py.

use std::collections::BTreeSet;

use mmcv_registry::{Config, ConfigError, ConfigErrorKind, Dict, FromConfig, KeyPath, Registry};

use super::initializer::{BuildInitializer, Initializer};
use crate::{Error, Module, Parts, Result, observe};

/// The registered initializers.
type Initializers = Registry<BuildInitializer>;

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    path: KeyPath,
    type_name: &'static str,
    initializer: Box<dyn Initializer>,
    overrides: Vec<Override>,
    /// Whether it is a default of the module's class.
    is_default: bool,
}

/// A rule for one child, whatever its class.
#[derive(Debug)]
struct Override {
    path: KeyPath,
    name: String,
    /// `None` for the outer rule.
    rule: Option<Rule>,
}

impl Rule {
    /// Puts `outer` in front of the path that messages name.
    pub(super) fn locate_below(&mut self, outer: &KeyPath) {
        self.path = self.path.below(outer);
        for part in &mut self.overrides {
            part.path = part.path.below(outer);
            if let Some(rule) = &mut part.rule {
                rule.locate_below(outer);
            }
        }
    }

    pub(super) fn decode(config: &Config, path: &KeyPath, initializers: &Initializers) -> Result<Self> {
        let mut config = config.clone();
        let overrides = match &mut config {
            Config::Dict(dict) => dict.remove("override").unwrap_or_default(),
            _ => Config::Null,
        };
        let (spec, arguments) = initializers.resolve(&config, path).map_err(explain)?;
        let initializer = (spec.build)(&arguments, path).map_err(|error| error.in_type(spec.name))?;
        let at = path.key("override");
        let overrides = match overrides {
            Config::Null => Vec::new(),
            Config::List(items) | Config::Tuple(items) => {
                let mut overrides = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    overrides.push(Override::decode(item, at.index(index), initializers)?);
                }
                overrides
            }
            single => vec![Override::decode(&single, at, initializers)?],
        };
        Ok(Self { path: path.clone(), type_name: spec.name, initializer, overrides, is_default: false })
    }

    /// Sets whether the rule is a default of the module's class.
    pub(super) fn by_default(&mut self, is_default: bool) {
        self.is_default = is_default;
    }

    /// Whether the rule loads weights, which happens after all other rules.
    pub(super) fn loads(&self) -> bool {
        self.initializer.loads()
    }

    /// Applies the rule to `module` and its descendants, and then its overrides to children of `module`.
    pub(super) fn apply(&self, module: &dyn Module) -> Result<()> {
        let layers = self.initializer.layers();
        if self.loads() {
            self.fill(module)?;
        } else if !layers.is_empty() {
            let (mut matched, mut classes) = (false, BTreeSet::new());
            visit(module, &mut |module| {
                classes.insert(module.name());
                let matches = module.class().iter().any(|class| layers.iter().any(|layer| layer == class));
                matched |= matches;
                if matches { self.fill(module) } else { Ok(()) }
            })?;
            if !matched && !self.is_default {
                self.report_unmatched(module, &classes);
            }
        }
        self.overrides.iter().try_for_each(|item| item.apply(module, self))
    }

    /// Applies the rule to all modules in `module`, whatever their class.
    fn apply_to_all(&self, module: &dyn Module) -> Result<()> {
        if self.loads() { self.fill(module) } else { visit(module, &mut |module| self.fill(module)) }
    }

    fn fill(&self, module: &dyn Module) -> Result<()> {
        observe::because(|| format!("{} ({})", self.path, self.type_name), || self.initializer.initialize(module))
            .map_err(|error| error.below(&self.path))
    }

    fn report_unmatched(&self, module: &dyn Module, classes: &BTreeSet<&str>) {
        let layers = self.initializer.layers().join(", ");
        let classes = classes.iter().copied().collect::<Vec<_>>().join(", ");
        let text = format!(
            "{} ({}): no module in {} is of class {layers}; its classes are {classes}",
            self.path,
            self.type_name,
            module.name()
        );
        log::warn!("{text}");
        observe::unmatched(&text);
    }
}

/// Another crate provides `Pretrained`, the only initializer of the reference that is missing here.
fn explain(mut error: ConfigError) -> ConfigError {
    if let ConfigErrorKind::UnknownType { name, hint, names, .. } = &mut *error.kind
        && name == "Pretrained"
    {
        names.clear();
        hint.push_str("; the registry of mmcv-models has it, as `mmcv_checkpoint::PRETRAINED`");
    }
    error
}

impl Override {
    fn decode(config: &Config, path: KeyPath, initializers: &Initializers) -> Result<Self> {
        let mut dict = Dict::from_config(config, &path)?;
        let Some(name) = dict.remove("name") else {
            let expected = "the name of a child of the module".to_owned();
            return Err(ConfigError::new(&path.key("name"), ConfigErrorKind::Missing { expected }).into());
        };
        let name = String::from_config(&name, &path.key("name"))?;
        let rule = if dict.is_empty() { None } else { Some(Rule::decode(&Config::Dict(dict), &path, initializers)?) };
        Ok(Self { path, name, rule })
    }

    fn apply(&self, module: &dyn Module, outer: &Rule) -> Result<()> {
        let Some(child) = module.attribute(&self.name) else {
            let children: Vec<_> = Parts::of(module).children.into_iter().map(|(child, _)| child).collect();
            let reason = format!("{} has no child of that name; it has {}", module.name(), children.join(", "));
            return Err(ConfigError::invalid(&self.path.key("name"), format!("{:?}", self.name), reason).into());
        };
        self.rule.as_ref().unwrap_or(outer).apply_to_all(child)
    }
}

/// `module.apply` of the reference: visits the children in order, then the module. Skips modules that were loaded
/// from a checkpoint.
fn visit(module: &dyn Module, each: &mut dyn FnMut(&dyn Module) -> Result<(), Error>) -> Result<()> {
    if let Some(rules) = module.init_cfg()
        && rules.is_loaded()
    {
        return Ok(());
    }
    for (name, child) in Parts::of(module).children {
        visit(child, each).map_err(|error| error.in_module(name))?;
    }
    each(module)
}
