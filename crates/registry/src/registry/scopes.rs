//! Scopes of other libraries that map to a registry's types, and types that are known to be missing.

use std::sync::Arc;

use super::{Registry, ScopeRules, Spec};
use crate::error::cut;
use crate::{ConfigError, KeyPath};

impl<B> Registry<B> {
    /// Accepts the scope of another library for the types of this registry: with `mmdet`, a config also finds
    /// `ResNet` as `mmdet.ResNet` and `mmdet.models.ResNet`. A registered scope with that name takes precedence. A
    /// second call for a scope replaces the rules.
    pub fn accept_scope(&self, scope: &'static str, rules: ScopeRules) {
        let mut state = self.write();
        state.accepted.retain(|(known, _)| *known != scope);
        state.accepted.push((scope, rules));
    }

    /// Registers the names of types that users may look for and that are not available. Errors state the `reason`.
    pub fn note_absent(&self, names: &'static [&'static str], reason: &'static str) {
        self.write().absent.push((names, reason));
    }

    /// The type for a name with the scope of another library, and the rules for its arguments.
    pub(super) fn accepted(&self, name: &str) -> Option<(Arc<Spec<B>>, ScopeRules)> {
        let (prefix, bare) = name.rsplit_once('.')?;
        Some((self.own_or_inherited(bare)?, self.accepts(prefix)?))
    }

    /// The rules for an accepted scope of another library.
    pub(super) fn accepts(&self, prefix: &str) -> Option<ScopeRules> {
        for (scope, rules) in &self.read().accepted {
            if let Some(rest) = prefix.strip_prefix(scope)
                && (rest.is_empty() || rest.starts_with('.'))
            {
                return Some(*rules);
            }
        }
        self.0.parent.as_ref()?.accepts(prefix)
    }

    /// The name with the scope from `_scope_`; the name alone if that scope lacks the type.
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
        let mut scopes = vec![self.scope().to_owned()];
        for child in self.children() {
            scopes.extend(child.own_scopes());
        }
        scopes
    }

    /// The reason why a type is not available, if known.
    pub(super) fn absence(&self, name: &str) -> Option<&'static str> {
        for (names, reason) in &self.read().absent {
            if names.contains(&name) {
                return Some(reason);
            }
        }
        self.0.parent.as_ref()?.absence(name)
    }
}
