//! `init_cfg`: rules that initialise a module and what is below it. Reference: mmengine/model/base_module.py.

use std::cell::Cell;

use mmcv_registry::{Config, KeyPath};

use super::rule::Rule;
use crate::{Module, Parts, Result, observe};

/// The `init_cfg` of a module: rules in order, and whether they were applied.
///
/// A rule is a dict with the `type` of a registered [`Initializer`](super::Initializer) and its arguments; `layer` holds the
/// class names, or names of direct base classes, of the modules that it is for, and `override` one or several dicts with
/// the `name` of a child and another rule, or nothing to use the same one.
#[derive(Debug, Default)]
pub struct InitCfg {
    /// As the user wrote it.
    config: Config,
    rules: Vec<Rule>,
    state: Cell<State>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The module has the values with which it was built.
    #[default]
    Built,
    /// The rules were applied.
    Initialised,
    /// All its tensors came from a checkpoint.
    Loaded,
}

impl InitCfg {
    /// Reads null, a rule, or a list of rules, from the value that stands at `path`.
    ///
    /// # Errors
    /// Where a rule has an unknown type, an unknown or missing argument, or a value of a wrong type.
    pub fn decode(config: &Config, path: &KeyPath) -> Result<Self> {
        let rules = match config {
            Config::Null => Vec::new(),
            Config::List(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| Rule::decode(item, &path.index(index))).collect::<Result<_>>()?
            }
            single => vec![Rule::decode(single, path)?],
        };
        Ok(Self { config: config.clone(), rules, state: Cell::default() })
    }

    /// The same where `are_default` says that the rules are those which the class itself brings, and no user's: one that
    /// matches no module is then no mistake.
    #[must_use]
    pub fn by_default(mut self, are_default: bool) -> Self {
        for rule in &mut self.rules {
            rule.by_default(are_default);
        }
        self
    }

    /// The rules as the user wrote them.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The reference's `BaseModule.init_weights`: applies the rules to `module` and all below it, then asks the children
    /// that have an initialisation of their own for it, and loads pretrained weights last. Where that was done before,
    /// or all weights were loaded, nothing happens.
    ///
    /// # Errors
    /// Where an override names a child that does not exist, a checkpoint cannot be loaded, or libtorch fails.
    pub fn init_weights(&self, module: &dyn Module) -> Result<()> {
        match self.state.get() {
            State::Built => {}
            State::Initialised => {
                log::warn!("init_weights of {} was called more than once; it does nothing now", module.name());
                return Ok(());
            }
            State::Loaded => {
                log::warn!("the weights of {} were loaded; init_weights leaves them alone", module.name());
                return Ok(());
            }
        }
        self.state.set(State::Initialised);
        let (last, first): (Vec<&Rule>, Vec<&Rule>) = self.rules.iter().partition(|rule| rule.loads());
        first.into_iter().try_for_each(|rule| rule.apply(module))?;
        for (name, child) in Parts::of(module).children {
            if child.init_cfg().is_none_or(|init_cfg| init_cfg.state.get() == State::Built) {
                let own = || format!("init_weights of {}", child.name());
                observe::because(own, || child.init_weights()).map_err(|error| error.in_module(name))?;
            }
        }
        last.into_iter().try_for_each(|rule| rule.apply(module))
    }

    /// Says that all tensors of the module came from a checkpoint: nothing initialises them again.
    pub fn mark_loaded(&self) {
        self.state.set(State::Loaded);
    }

    /// Whether all tensors of the module came from a checkpoint.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.state.get() == State::Loaded
    }
}
