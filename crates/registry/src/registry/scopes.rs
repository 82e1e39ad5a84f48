//! Scopes of other libraries, whose types are taken for a registry's own, and types that are known to be missing.

use std::sync::{Arc, Weak};

use super::{Registry, ScopeRules, Spec};
use crate::error::cut;
use crate::{ConfigError, KeyPath};

impl<B> Registry<B> {
    /// Takes the types of this registry for those of another library: with `mmdet`, a config finds `ResNet` under
    /// `mmdet.ResNet` and `mmdet.models.ResNet` too. A registered scope of that name is looked up first. A second call for a
    /// scope replaces the rules.
    pub fn accept_scope(&self, scope: &'static str, rules: ScopeRules) {
        let mut state = self.write();
        state.accepted.retain(|(known, _)| *known != scope);
        state.accepted.push((scope, rules));
    }

    /// Notes the names of types that people look for and that are not here: `reason`, which errors say, tells why.
    pub fn note_absent(&self, names: &'static [&'static str], reason: &'static str) {
        self.write().absent.push((names, reason));
    }

    /// The type that another library has under this name with its scope, and the rules for its arguments there.
    pub(super) fn accepted(&self, name: &str) -> Option<(Arc<Spec<B>>, ScopeRules)> {
        let (prefix, bare) = name.rsplit_once('.')?;
        Some((self.own_or_inherited(bare)?, self.accepts(prefix)?))
    }

    /// Whether the scope is one of another library whose types are taken for ours.
    pub(super) fn accepts(&self, prefix: &str) -> Option<ScopeRules> {
        let below =
            |scope: &str| prefix.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let own = self.read().accepted.iter().find(|(scope, _)| below(scope)).map(|(_, rules)| *rules);
        own.or_else(|| self.0.parent.as_ref()?.accepts(prefix))
    }

    /// The name with the scope that `_scope_` gives it; as it is, where that scope has no such type.
    pub(super) fn scoped(&self, scope: &str, name: &str, path: &KeyPath) -> Result<String, ConfigError> {
        if self.in_scope(scope).is_none() && self.accepts(scope).is_none() {
            let reason = format!("expected the name of a scope, such as {}", self.scopes().join(", "));
            return Err(ConfigError::invalid(path, format!("{:?}", cut(scope)), reason));
        }
        let scoped = format!("{scope}.{name}");
        Ok(if self.get(&scoped).is_some() { scoped } else { name.to_owned() })
    }

    /// The scopes of the tree, and those of other libraries.
    pub(super) fn scopes(&self) -> Vec<String> {
        if let Some(parent) = &self.0.parent {
            return parent.scopes();
        }
        let accepted = self.read().accepted.iter().map(|(scope, _)| (*scope).to_owned()).collect::<Vec<_>>();
        let mut scopes = self.own_scopes();
        for scope in accepted {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        scopes
    }

    fn own_scopes(&self) -> Vec<String> {
        let children: Vec<_> = self.read().children.iter().filter_map(Weak::upgrade).collect();
        let below = children.into_iter().flat_map(|child| Self(child).own_scopes());
        std::iter::once(self.scope().to_owned()).chain(below).collect()
    }

    /// Why there is no such type, where that is known.
    pub(super) fn absence(&self, name: &str) -> Option<&'static str> {
        let state = self.read();
        let found = state.absent.iter().find(|(names, _)| names.contains(&name)).map(|(_, reason)| *reason);
        drop(state);
        found.or_else(|| self.0.parent.as_ref()?.absence(name))
    }
}
