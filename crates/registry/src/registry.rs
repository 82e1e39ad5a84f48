//! [`Registry`]: types by name, in scopes.

mod scopes;

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use indexmap::IndexMap;

use crate::error::{cut, nearest};
use crate::{Config, ConfigError, ConfigErrorKind, Dict, Field, KeyPath};

/// A registered type: its names, its arguments, its source, and the function that builds it.
///
/// `B` is usually a function pointer; the registry never calls it.
#[derive(Debug, Clone)]
pub struct Spec<B> {
    /// The name in a config.
    pub name: &'static str,
    /// Other names of the same type.
    pub aliases: &'static [&'static str],
    /// The kind of layer, by which documentation is grouped: `conv`, `norm`, `activation`, ...
    pub group: &'static str,
    /// One sentence that describes it.
    pub doc: &'static str,
    /// The source: a paper, or the name in the reference.
    pub source: &'static str,
    /// The arguments; empty if `build` reads the dict itself.
    pub fields: &'static [Field],
    /// The prefix of a layer's name: `bn` of `bn1`.
    pub abbreviation: Option<&'static str>,
    /// For a normalization: the argument for the number of channels.
    pub channels: Option<&'static str>,
    /// Arguments that the type's name implies: a config may state them, and their values are ignored.
    pub decided: &'static [&'static str],
    /// Builds the type.
    pub build: B,
}

impl<B> Spec<B> {
    /// A type without group, aliases, documentation or arguments. `Layer::SPEC` of mmcv-layers also has the arguments.
    #[must_use]
    pub const fn new(name: &'static str, build: B) -> Self {
        Self {
            name,
            aliases: &[],
            group: "",
            doc: "",
            source: "",
            fields: &[],
            abbreviation: None,
            channels: None,
            decided: &[],
            build,
        }
    }

    /// Whether the type has the argument `name`.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }
}

/// Types by name.
///
/// Registries form a tree of scopes, as in mmengine: `mmdet.ResNet` is looked up in the child with scope `mmdet`; a
/// name without a scope is looked up in this registry and then in its parents. A clone is a handle on the same
/// registry.
#[derive(Debug)]
pub struct Registry<B>(Arc<Inner<B>>);

#[derive(Debug)]
struct Inner<B> {
    scope: String,
    parent: Option<Registry<B>>,
    state: RwLock<State<B>>,
}

#[derive(Debug)]
struct State<B> {
    specs: IndexMap<&'static str, Arc<Spec<B>>>,
    aliases: IndexMap<String, &'static str>,
    children: Vec<Weak<Inner<B>>>,
    default_scope: Option<String>,
    accepted: Vec<(&'static str, ScopeRules)>,
    absent: Vec<(&'static [&'static str], &'static str)>,
}

/// Converts the arguments of a type, identified by its name, from the conventions of another library to ours: adds
/// defaults that differ and converts units.
pub type ScopeRules = fn(&str, &mut Dict);

impl<B> Clone for Registry<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B> Registry<B> {
    /// An empty root registry of the given scope.
    #[must_use]
    pub fn new(scope: impl Into<String>) -> Self {
        Self::with_parent(scope.into(), None)
    }

    /// An empty registry below this one. `scope.Name` finds its types from anywhere in the tree; types that it lacks
    /// are looked up in its parents. It is dropped with its last handle.
    ///
    /// # Errors
    /// Returns an error if a child with that scope exists.
    pub fn child(&self, scope: impl Into<String>) -> Result<Self, ConfigError> {
        let scope = scope.into();
        let child = Self::with_parent(scope.clone(), Some(self.clone()));
        let mut state = self.write();
        state.children.retain(|sibling| sibling.strong_count() > 0);
        for sibling in &state.children {
            if let Some(sibling) = sibling.upgrade()
                && sibling.scope == scope
            {
                return Err(self.name_taken(&scope));
            }
        }
        state.children.push(Arc::downgrade(&child.0));
        drop(state);
        Ok(child)
    }

    fn with_parent(scope: String, parent: Option<Self>) -> Self {
        let state = State {
            specs: IndexMap::new(),
            aliases: IndexMap::new(),
            children: Vec::new(),
            default_scope: None,
            accepted: Vec::new(),
            absent: Vec::new(),
        };
        Self(Arc::new(Inner { scope, parent, state: RwLock::new(state) }))
    }

    /// The scope: `mmdet` of `mmdet.ResNet`.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.0.scope
    }

    /// Sets the scope in which names without a scope are looked up first; `None` for this registry.
    pub fn set_default_scope(&self, scope: Option<&str>) {
        self.write().default_scope = scope.map(str::to_owned);
    }

    /// Adds a type with its aliases.
    ///
    /// # Errors
    /// Returns an error, and adds nothing, if its name or one of its aliases is taken.
    pub fn add(&self, spec: Spec<B>) -> Result<(), ConfigError> {
        let mut state = self.write();
        let names = std::iter::once(&spec.name).chain(spec.aliases);
        if let Some(taken) = names.into_iter().find(|name| state.holds(name)) {
            return Err(self.name_taken(taken));
        }
        state.insert(spec);
        Ok(())
    }

    /// Adds a type and removes those that had its name or its aliases.
    pub fn replace(&self, spec: Spec<B>) {
        let mut state = self.write();
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            state.specs.shift_remove(name);
            state.aliases.retain(|alias, target| alias != name && target != name);
        }
        state.insert(spec);
    }

    /// Adds another name for a type of this registry.
    ///
    /// # Errors
    /// Returns an error if `alias` is taken, or `name` is not in this registry.
    pub fn alias(&self, alias: impl Into<String>, name: &str) -> Result<(), ConfigError> {
        let alias = alias.into();
        let mut state = self.write();
        if state.holds(&alias) {
            return Err(self.name_taken(&alias));
        }
        let Some(spec) = state.find(name) else {
            drop(state);
            return Err(self.unknown(name, &KeyPath::root()));
        };
        state.aliases.insert(alias, spec.name);
        Ok(())
    }

    /// The type with that name, alias, or `scope.Name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Spec<B>>> {
        let default_scope = self.read().default_scope.clone();
        if let Some(scope) = default_scope
            && let Some(spec) = self.get_in_scope(&scope, name)
        {
            return Some(spec);
        }
        if let Some(spec) = self.own_or_inherited(name) {
            return Some(spec);
        }
        if let Some((scope, name)) = name.split_once('.')
            && let Some(spec) = self.get_in_scope(scope, name)
        {
            return Some(spec);
        }
        let (spec, _) = self.accepted(name)?;
        Some(spec)
    }

    fn get_in_scope(&self, scope: &str, name: &str) -> Option<Arc<Spec<B>>> {
        self.in_scope(scope)?.own_or_inherited(name)
    }

    /// As [`Self::get`], with an error that names the type and the registries that were searched.
    ///
    /// # Errors
    /// Returns an error if the type is not registered; `path` is the key path of the `type` key.
    pub fn lookup(&self, name: &str, path: &KeyPath) -> Result<Arc<Spec<B>>, ConfigError> {
        match self.get(name) {
            Some(spec) => Ok(spec),
            None => Err(self.unknown(name, path)),
        }
    }

    /// Splits the dict of a layer into the type under `type` and the remaining arguments. The key `_scope_` names the
    /// scope in which the type is looked up first.
    ///
    /// # Errors
    /// Returns an error if `cfg`, which is at `path`, is not a dict, or its `type` is missing, not a string or unknown.
    pub fn resolve(&self, cfg: &Config, path: &KeyPath) -> Result<(Arc<Spec<B>>, Dict), ConfigError> {
        let Config::Dict(dict) = cfg else {
            let example = match cfg.as_str() {
                Some(name) => format!(", such as {{type: {name:?}}}"),
                None => String::new(),
            };
            return Err(ConfigError::wrong_type(path, format!("a dict with the key \"type\"{example}"), cfg));
        };
        let at = path.key("type");
        let name = match dict.get("type") {
            Some(Config::Str(name)) => name,
            Some(other) => return Err(ConfigError::wrong_type(&at, "the name of a registered type", other)),
            None => {
                let slip = match nearest("type", dict.keys()) {
                    Some(key) => format!(" (not {key:?})"),
                    None => String::new(),
                };
                let expected = format!("the name of a registered type, under the key \"type\"{slip}");
                return Err(ConfigError::new(&at, ConfigErrorKind::Missing { expected }));
            }
        };
        let mut arguments = dict.clone();
        arguments.remove("type");
        let scoped = match arguments.remove("_scope_") {
            None | Some(Config::Null) => name.clone(),
            Some(Config::Str(scope)) => self.scoped(&scope, name, &path.key("_scope_"))?,
            Some(other) => return Err(ConfigError::wrong_type(&path.key("_scope_"), "the name of a scope", &other)),
        };
        let spec = self.lookup(&scoped, &at)?;
        if let Some((_, rules)) = self.accepted(&scoped)
            && self.in_scope(scoped.split('.').next().unwrap_or_default()).is_none()
        {
            rules(spec.name, &mut arguments);
        }
        Ok((spec, arguments))
    }

    /// The types of this registry, without its parents and children, in the order they were added.
    #[must_use]
    pub fn specs(&self) -> Vec<Arc<Spec<B>>> {
        self.read().specs.values().cloned().collect()
    }

    /// All names in this registry: types, then aliases.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let state = self.read();
        state.specs.keys().map(|name| (*name).to_owned()).chain(state.aliases.keys().cloned()).collect()
    }

    fn own_or_inherited(&self, name: &str) -> Option<Arc<Spec<B>>> {
        if let Some(spec) = self.read().find(name) {
            return Some(spec);
        }
        self.0.parent.as_ref()?.own_or_inherited(name)
    }

    /// The registry with that scope: this one, one below it, or one elsewhere in the tree.
    fn in_scope(&self, scope: &str) -> Option<Self> {
        if let Some(registry) = self.here_or_below(scope) {
            return Some(registry);
        }
        self.0.parent.as_ref()?.in_scope(scope)
    }

    fn here_or_below(&self, scope: &str) -> Option<Self> {
        if self.0.scope == scope {
            return Some(self.clone());
        }
        for child in self.children() {
            if let Some(registry) = child.here_or_below(scope) {
                return Some(registry);
            }
        }
        None
    }

    fn children(&self) -> Vec<Self> {
        let mut children = Vec::new();
        for child in &self.read().children {
            if let Some(child) = child.upgrade() {
                children.push(Self(child));
            }
        }
        children
    }

    fn unknown(&self, name: &str, path: &KeyPath) -> ConfigError {
        let (mut chain, mut names, mut current) = (Vec::new(), Vec::new(), Some(self));
        while let Some(registry) = current {
            chain.push(registry.scope().to_owned());
            names.extend(registry.names());
            current = registry.0.parent.as_ref();
        }
        let (scope, bare) = name.rsplit_once('.').unwrap_or(("", name));
        let scope_is_known = scope.is_empty()
            || self.accepts(scope).is_some()
            || self.in_scope(scope.split('.').next().unwrap_or(scope)).is_some();
        let (mut similar, mut hint) = (None, String::new());
        if let Some(reason) = self.absence(bare) {
            hint = format!("; {reason}");
        } else if let Some(reason) = self.absence(scope) {
            hint = format!("; {reason}");
        } else if !scope_is_known {
            hint = format!("; there is no scope {:?}; the scopes are {}", cut(scope), self.scopes().join(", "));
        } else {
            similar = nearest(bare, names.iter().map(String::as_str));
        }
        if similar.is_some() || !hint.is_empty() {
            names.clear();
        }
        let (name, registry) = (name.to_owned(), chain.join(", "));
        ConfigError::new(path, ConfigErrorKind::UnknownType { name, registry, nearest: similar, hint, names })
    }

    fn name_taken(&self, name: &str) -> ConfigError {
        let kind = ConfigErrorKind::NameTaken { name: name.to_owned(), registry: self.scope().to_owned() };
        ConfigError::new(&KeyPath::root(), kind)
    }

    // A panic of another thread leaves no registry half-changed, so a poisoned lock can be used.
    fn read(&self) -> RwLockReadGuard<'_, State<B>> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<B>> {
        self.0.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> State<B> {
    fn holds(&self, name: &str) -> bool {
        self.specs.contains_key(name) || self.aliases.contains_key(name)
    }

    fn find(&self, name: &str) -> Option<Arc<Spec<B>>> {
        let name = self.aliases.get(name).copied().unwrap_or(name);
        self.specs.get(name).cloned()
    }

    fn insert(&mut self, spec: Spec<B>) {
        self.aliases.extend(spec.aliases.iter().map(|alias| ((*alias).to_owned(), spec.name)));
        self.specs.insert(spec.name, Arc::new(spec));
    }
}
