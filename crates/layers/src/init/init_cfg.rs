//! `init_cfg`: rules that initialize a module and its descendants. Reference: mmengine/model/base_module.py.

use std::cell::Cell;

use mmcv_registry::{Config, KeyPath, Registry};

use super::initializer::BuildInitializer;
use super::rule::Rule;
use crate::{Module, Parts, Result, observe};

/// The `init_cfg` of a module: rules in order, and whether they were applied.
///
/// A rule is a dict with the `type` of a registered [`Initializer`](super::Initializer) and its arguments. `layer`
/// lists the classes, or direct base classes, of the modules to initialize. `override` is one or several dicts with
/// the `name` of a child and another rule; without a rule, the child gets the same one.
#[derive(Debug, Default)]
pub struct InitCfg {
    /// As stated by the user.
    config: Config,
    rules: Vec<Rule>,
    state: Cell<State>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The module has the values it was built with.
    #[default]
    Built,
    /// The rules were applied.
    Initialized,
    /// All its tensors came from a checkpoint.
    Loaded,
}

impl InitCfg {
    /// Reads null, a rule, or a list of rules from the value at `path`. The types of rules are those of `initializers`.
    ///
    /// # Errors
    /// Returns an error if a rule has an unknown type, an unknown or missing argument, or a value of a wrong type.
    pub fn decode(config: &Config, path: &KeyPath, initializers: &Registry<BuildInitializer>) -> Result<Self> {
        let rules = match config {
            Config::Null => Vec::new(),
            Config::List(items) | Config::Tuple(items) => {
                let mut rules = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    rules.push(Rule::decode(item, &path.index(index), initializers)?);
                }
                rules
            }
            single => vec![Rule::decode(single, path, initializers)?],
        };
        Ok(Self { config: config.clone(), rules, state: Cell::default() })
    }

    /// Marks the rules as defaults of the class if `are_default` is true. A default rule that matches no module is not
    /// reported.
    #[must_use]
    pub fn by_default(mut self, are_default: bool) -> Self {
        for rule in &mut self.rules {
            rule.by_default(are_default);
        }
        self
    }

    /// The same rules, whose messages name a path that begins with `outer`.
    pub(crate) fn below(mut self, outer: &KeyPath) -> Self {
        for rule in &mut self.rules {
            rule.locate_below(outer);
        }
        self
    }

    /// The rules as stated by the user.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The reference's `BaseModule.init_weights`: applies the rules to `module` and its descendants, then calls
    /// `init_weights` of the children, and loads pretrained weights last. Does nothing if the module was initialized
    /// before or all its weights were loaded.
    ///
    /// # Errors
    /// Returns an error if an override names a child that does not exist, a checkpoint cannot be loaded, or libtorch
    /// fails.
    pub fn init_weights(&self, module: &dyn Module) -> Result<()> {
        match self.state.get() {
            State::Built => {}
            State::Initialized => {
                log::warn!("init_weights of {} was called more than once; it does nothing now", module.name());
                return Ok(());
            }
            State::Loaded => {
                log::warn!("the weights of {} were loaded; init_weights leaves them alone", module.name());
                return Ok(());
            }
        }
        self.state.set(State::Initialized);
        let (last, first): (Vec<&Rule>, Vec<&Rule>) = self.rules.iter().partition(|rule| rule.loads());
        first.into_iter().try_for_each(|rule| rule.apply(module))?;
        for (name, child) in Parts::of(module).children {
            if let Some(rules) = child.init_cfg()
                && rules.state.get() != State::Built
            {
                continue;
            }
            observe::because(|| format!("init_weights of {}", child.name()), || child.init_weights())
                .map_err(|error| error.in_module(name))?;
        }
        last.into_iter().try_for_each(|rule| rule.apply(module))
    }

    /// Records that all tensors of the module came from a checkpoint, so that nothing initializes them again.
    pub fn mark_loaded(&self) {
        self.state.set(State::Loaded);
    }

    /// Whether all tensors of the module came from a checkpoint.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.state.get() == State::Loaded
    }
}
