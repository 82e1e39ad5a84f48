//! How the names of a state dict become those of a module: wrappers that are removed, and the key mapping.

use std::collections::{HashMap, HashSet};

use mmcv_layers::{KeyMapping, Module, Parts, join_path, named_modules};
use tch::Tensor;

use crate::LoadOptions;
use crate::error::ErrorKind;
use crate::key_match::{KeyMatch, Renamed};
use crate::load::with_dot;
use crate::tensor_source::TensorSource;
use crate::wrapper::{self, Unwrap};

/// A tensor and its name after `revise_keys`.
pub(crate) type NamedSource<'v> = (String, &'v TensorSource<'v>);

/// The names of a module, and the options that decide how those of a state dict are read.
pub(crate) struct Names<'a> {
    /// All tensors of the module.
    pub(crate) targets: HashMap<String, &'a Tensor>,
    /// Those that a state dict may lack.
    optional: HashSet<String>,
    dialects: Vec<KeyMapping>,
    options: &'a LoadOptions,
}

/// How the names of one state dict are read.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    unwrap: Unwrap,
    pub(crate) key_match: KeyMatch,
}

/// What a naming would load. The greater one is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outcome {
    /// Whether that is all of the module and of the state dict.
    pub(crate) complete: bool,
    /// The number of tensors.
    pub(crate) count: usize,
}

impl<'a> Names<'a> {
    pub(crate) fn of(module: &'a dyn Module, options: &'a LoadOptions) -> Self {
        let (mut targets, mut optional) = (HashMap::new(), HashSet::new());
        for (path, module) in named_modules(module) {
            let parts = Parts::of(module);
            for (local, tensor) in parts.parameters.into_iter().chain(parts.buffers) {
                let name = join_path(&path, &local);
                if module.may_be_absent(&local) {
                    optional.insert(name.clone());
                }
                targets.insert(name, tensor);
            }
        }
        Self { targets, optional, dialects: module.key_mappings(), options }
    }

    /// The name after `revise_keys`; `None` if the key does not have the prefix.
    pub(crate) fn revised(&self, key: &str, prefix: &str) -> Option<String> {
        let name = key.strip_prefix(prefix)?;
        Some(self.options.revise_keys.apply(name))
    }

    /// The prefix in the options.
    pub(crate) fn prefix(&self) -> String {
        with_dot(self.options.prefix.as_deref())
    }

    /// Whether the module has a tensor of this name and of the source's shape.
    pub(crate) fn fits(&self, name: &str, source: &TensorSource<'_>) -> bool {
        self.targets.get(name).is_some_and(|target| source.has_shape_of(target))
    }

    /// The naming of a state dict. Wrappers are removed only if everything fits then.
    pub(crate) fn naming(&self, named: &[NamedSource<'_>]) -> Result<(Naming, Outcome), ErrorKind> {
        let mut first = None;
        let mut tried: Vec<Vec<String>> = Vec::new();
        for unwrap in Unwrap::all() {
            let names: Vec<String> = named.iter().map(|(name, _)| unwrap.apply(name)).collect();
            if tried.contains(&names) {
                continue;
            }
            let key_match =
                KeyMatch::choose(&names, self.dialects.clone(), self.options.dialect.as_deref(), |index, name| {
                    self.fits(name, named[index].1)
                })?;
            let outcome = self.outcome(&key_match, &names, named);
            let naming = Naming { unwrap, key_match };
            if outcome.complete {
                return Ok((naming, outcome));
            }
            first.get_or_insert((naming, outcome));
            tried.push(names);
        }
        Ok(first.unwrap_or_default())
    }

    fn outcome(&self, key_match: &KeyMatch, names: &[String], named: &[NamedSource<'_>]) -> Outcome {
        let mut found = HashSet::new();
        let mut outcome = Outcome { complete: true, count: 0 };
        for (name, (_, source)) in names.iter().zip(named) {
            let Renamed::To(name) = key_match.rename(name) else { continue };
            let fits = self.fits(&name, source);
            outcome.count += usize::from(fits);
            outcome.complete &= fits && found.insert(name);
        }
        for name in self.targets.keys() {
            outcome.complete &= self.optional.contains(name) || found.contains(name);
        }
        outcome
    }

    /// The outcome if only the tensors below `prefix` were loaded.
    pub(crate) fn below<'v>(&self, prefix: &str, state_dict: &'v [(String, TensorSource<'v>)]) -> Option<Outcome> {
        let named: Vec<_> =
            state_dict.iter().filter_map(|(key, source)| Some((self.revised(key, prefix)?, source))).collect();
        let (_, outcome) = self.naming(&named).ok()?;
        Some(outcome)
    }
}

impl Naming {
    /// The name without wrappers.
    pub(crate) fn unwrapped(&self, name: &str) -> String {
        self.unwrap.apply(name)
    }

    /// The wrappers that are removed from these names.
    pub(crate) fn wrapper(&self, named: &[NamedSource<'_>]) -> Option<String> {
        let pairs: Vec<_> = named.iter().map(|(name, _)| (name.clone(), self.unwrapped(name))).collect();
        wrapper::describe(&pairs)
    }
}
