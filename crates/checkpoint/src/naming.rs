//! How the names of a state dict become those of a module: what is taken off, and which layout they have.

use std::collections::{HashMap, HashSet};

use mmcv_layers::{KeyMapping, Module, Parts, join_path, named_modules};
use tch::Tensor;

use crate::LoadOptions;
use crate::error::ErrorKind;
use crate::layout::{Layout, Renamed};
use crate::load::with_dot;
use crate::value::Value;
use crate::wrapper::{self, Unwrap};

/// The names that a module has, and what else decides how those of a state dict are read.
pub(crate) struct Names<'a> {
    /// All tensors of the module.
    pub(crate) targets: HashMap<String, &'a Tensor>,
    /// Those of them that a state dict may lack.
    optional: HashSet<String>,
    dialects: Vec<KeyMapping>,
    options: &'a LoadOptions,
}

/// How the names of one state dict are read.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    unwrap: Option<Unwrap>,
    pub(crate) layout: Layout,
}

/// What a naming would load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outcome {
    /// Whether that is all of the module and of the state dict.
    pub(crate) complete: bool,
    /// Tensors.
    pub(crate) count: usize,
}

impl<'a> Names<'a> {
    pub(crate) fn of(module: &'a dyn Module, options: &'a LoadOptions) -> Self {
        let (mut targets, mut optional) = (HashMap::new(), HashSet::new());
        for (path, module) in named_modules(module) {
            let parts = Parts::of(module);
            for (local, own) in parts.parameters.into_iter().chain(parts.buffers) {
                let name = join_path(&path, &local);
                if module.may_be_absent(&local) {
                    optional.insert(name.clone());
                }
                targets.insert(name, own);
            }
        }
        Self { targets, optional, dialects: module.key_mappings(), options }
    }

    /// The name after `revise_keys`, of those under the prefix that was asked for.
    pub(crate) fn revised(&self, key: &str, prefix: &str) -> Option<String> {
        key.strip_prefix(prefix).map(|name| self.options.revise_keys.apply(name))
    }

    /// The prefix that was asked for.
    pub(crate) fn prefix(&self) -> String {
        with_dot(self.options.prefix.as_deref())
    }

    fn fits(&self, name: &str, value: &Value<'_>) -> bool {
        self.targets.get(name).is_some_and(|target| value.has_shape_of(target))
    }

    /// The naming of a state dict: names as they are, or, where nothing else makes everything fit, without wrappers.
    pub(crate) fn naming(&self, named: &[(String, &Value<'_>)]) -> Result<(Naming, Outcome), ErrorKind> {
        let mut first = None;
        let mut tried: Vec<Vec<String>> = Vec::new();
        for unwrap in Unwrap::all() {
            let names: Vec<String> = named.iter().map(|(name, _)| unwrap.apply(name)).collect();
            if tried.contains(&names) {
                continue;
            }
            let plain: Vec<&str> = names.iter().map(String::as_str).collect();
            let fits = |index: usize, name: &str| named.get(index).is_some_and(|(_, value)| self.fits(name, value));
            let layout = Layout::choose(&plain, self.dialects.clone(), self.options.dialect.as_deref(), fits)?;
            let outcome = self.outcome(&layout, &plain, named);
            let naming = Naming { unwrap: Some(unwrap).filter(|unwrap| *unwrap != Unwrap::Nothing), layout };
            if outcome.complete {
                return Ok((naming, outcome));
            }
            first.get_or_insert((naming, outcome));
            tried.push(names);
        }
        Ok(first.unwrap_or_else(|| (Naming::default(), Outcome { complete: false, count: 0 })))
    }

    fn outcome(&self, layout: &Layout, names: &[&str], named: &[(String, &Value<'_>)]) -> Outcome {
        let mut found = HashSet::new();
        let mut outcome = Outcome { complete: true, count: 0 };
        for (name, (_, value)) in names.iter().zip(named) {
            let Renamed::To(name) = layout.rename(name) else { continue };
            let fits = self.fits(&name, value);
            outcome.count += usize::from(fits);
            outcome.complete &= fits && found.insert(name);
        }
        let mut required = self.targets.keys().filter(|name| !self.optional.contains(*name));
        outcome.complete &= required.all(|name| found.contains(name));
        outcome
    }

    /// What would be loaded if only the tensors below `prefix` were taken.
    pub(crate) fn below<'v>(
        &self,
        prefix: &str,
        tensors: impl Iterator<Item = (&'v str, &'v Value<'v>)>,
    ) -> Option<Outcome> {
        let named: Vec<(String, &Value<'_>)> =
            tensors.filter_map(|(key, value)| Some((self.revised(key, prefix)?, value))).collect();
        self.naming(&named).ok().map(|(_, outcome)| outcome)
    }
}

impl Naming {
    /// The name without wrappers.
    pub(crate) fn unwrapped(&self, name: &str) -> String {
        self.unwrap.unwrap_or(Unwrap::Nothing).apply(name)
    }

    /// The wrappers that were taken off these names.
    pub(crate) fn wrapper<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<String> {
        self.unwrap?;
        let pairs: Vec<(String, String)> = names.map(|name| (name.to_owned(), self.unwrapped(name))).collect();
        wrapper::describe(&pairs)
    }
}
