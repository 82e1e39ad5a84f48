//! [`Registry`]: type names and what builds them, in scopes.

mod scopes;

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use indexmap::IndexMap;

use crate::error::{cut, nearest};
use crate::{Config, ConfigError, ConfigErrorKind, Dict, Field, KeyPath};

/// A registered type: its names, its arguments, where it comes from, and what builds it.
///
/// `B` is what builds the type, usually a function pointer; the registry does not look into it.
#[derive(Debug, Clone)]
pub struct Spec<B> {
    /// The name under which a config finds it.
    pub name: &'static str,
    /// Other names of the same type.
    pub aliases: &'static [&'static str],
    /// The kind of layer it is, which documentation sorts by: `conv`, `norm`, `activation`, ...
    pub group: &'static str,
    /// One sentence on what it does.
    pub doc: &'static str,
    /// Where it comes from: the paper, or the reference's name.
    pub source: &'static str,
    /// The arguments; empty where the builder reads the dict itself.
    pub fields: &'static [Field],
    /// The abbreviation from which a layer's name is made, such as `bn` for `bn1`.
    pub abbreviation: Option<&'static str>,
    /// For a normalization: the argument that takes the number of channels.
    pub channels: Option<&'static str>,
    /// Arguments that the type's name decides: a config may repeat them, and what it says is ignored.
    pub decided: &'static [&'static str],
    /// What builds it.
    pub build: B,
}

impl<B> Spec<B> {
    /// A type of no group, without aliases, documentation or a table of arguments. A layer's own is `Layer::SPEC` of
    /// mmcv-layers, which has the table.
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

    /// Whether the table of arguments has `name`.
    #[must_use]
    pub fn takes(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }
}

/// Type names and what builds them.
///
/// Registries form a tree of scopes, as in mmengine: `mmdet.ResNet` is looked up in the child whose scope is `mmdet`;
/// a name without a scope is looked up here and then in the parents. A clone is another handle on the same registry.
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

/// Turns the arguments that a config of another library gives to a type, by its name, into those that mean the same here:
/// adds defaults that differ, and converts what is counted differently.
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

    /// An empty registry below this one: `scope.Name` finds its types from anywhere in the tree, and what it does not
    /// hold itself it finds in its parents. It stays known as long as a handle on it is kept.
    ///
    /// # Errors
    /// Where a child of that scope exists already.
    pub fn child(&self, scope: impl Into<String>) -> Result<Self, ConfigError> {
        let scope = scope.into();
        let child = Self::with_parent(scope.clone(), Some(self.clone()));
        let mut state = self.write();
        state.children.retain(|known| known.strong_count() > 0);
        if state.children.iter().filter_map(Weak::upgrade).any(|known| known.scope == scope) {
            return Err(self.name_taken(&scope));
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

    /// The scope in which names without one are looked up first, before this registry; `None` for this registry.
    pub fn set_default_scope(&self, scope: Option<&str>) {
        self.write().default_scope = scope.map(str::to_owned);
    }

    /// Adds a type with its aliases.
    ///
    /// # Errors
    /// Where its name or one of its aliases is taken; nothing is added then.
    pub fn add(&self, spec: Spec<B>) -> Result<(), ConfigError> {
        let mut state = self.write();
        let names = std::iter::once(&spec.name).chain(spec.aliases);
        if let Some(taken) = names.into_iter().find(|name| state.holds(name)) {
            return Err(self.name_taken(taken));
        }
        state.insert(spec);
        Ok(())
    }

    /// Adds a type in the place of those that had its name or its aliases.
    pub fn replace(&self, spec: Spec<B>) {
        let mut state = self.write();
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            state.specs.shift_remove(name);
            state.aliases.retain(|alias, target| alias != name && target != name);
        }
        state.insert(spec);
    }

    /// Gives a type of this registry one more name.
    ///
    /// # Errors
    /// Where `alias` is taken, or `name` is not in this registry.
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

    /// The type of that name, alias, or `scope.Name`; `None` where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Spec<B>>> {
        let default_scope = self.read().default_scope.clone();
        let in_default = default_scope.and_then(|scope| self.in_scope(&scope)?.own_or_inherited(name));
        let found = in_default.or_else(|| self.own_or_inherited(name)).or_else(|| {
            let (scope, name) = name.split_once('.')?;
            self.in_scope(scope)?.own_or_inherited(name)
        });
        found.or_else(|| self.accepted(name).map(|(spec, _)| spec))
    }

    /// As [`Self::get`], with an error that says what was looked for and where.
    ///
    /// # Errors
    /// Where there is no such type; `path` is the key path of the `type` key.
    pub fn lookup(&self, name: &str, path: &KeyPath) -> Result<Arc<Spec<B>>, ConfigError> {
        self.get(name).ok_or_else(|| self.unknown(name, path))
    }

    /// Takes `type` out of a layer's dict: the type, and the remaining arguments. A key `_scope_` names the scope in which
    /// the type is looked up first.
    ///
    /// # Errors
    /// Where `cfg` is no dict, has no `type`, or has one that is no string or unknown; `path` is where `cfg` stands.
    pub fn resolve(&self, cfg: &Config, path: &KeyPath) -> Result<(Arc<Spec<B>>, Dict), ConfigError> {
        let Config::Dict(dict) = cfg else {
            let example = cfg.as_str().map_or_else(String::new, |name| format!(", such as {{type: {name:?}}}"));
            return Err(ConfigError::wrong_type(path, format!("a dict with the key \"type\"{example}"), cfg));
        };
        let at = path.key("type");
        let name = match dict.get("type") {
            Some(Config::Str(name)) => name,
            Some(other) => return Err(ConfigError::wrong_type(&at, "the name of a registered type", other)),
            None => {
                let slip = nearest("type", dict.keys()).map_or_else(String::new, |key| format!(" (not {key:?})"));
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

    /// The types of this registry, without its parents and children, in the order in which they were added.
    #[must_use]
    pub fn specs(&self) -> Vec<Arc<Spec<B>>> {
        self.read().specs.values().cloned().collect()
    }

    /// All names of this registry: of types, and after them aliases.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let state = self.read();
        state.specs.keys().map(|name| (*name).to_owned()).chain(state.aliases.keys().cloned()).collect()
    }

    fn own_or_inherited(&self, name: &str) -> Option<Arc<Spec<B>>> {
        self.read().find(name).or_else(|| self.0.parent.as_ref()?.own_or_inherited(name))
    }

    /// The registry of that scope: this one, one below it, or one anywhere in the tree.
    fn in_scope(&self, scope: &str) -> Option<Self> {
        self.here_or_below(scope).or_else(|| self.0.parent.as_ref()?.in_scope(scope))
    }

    fn here_or_below(&self, scope: &str) -> Option<Self> {
        if self.0.scope == scope {
            return Some(self.clone());
        }
        let children: Vec<_> = self.read().children.iter().filter_map(Weak::upgrade).collect();
        children.into_iter().find_map(|child| Self(child).here_or_below(scope))
    }

    fn unknown(&self, name: &str, path: &KeyPath) -> ConfigError {
        let (mut chain, mut names, mut current) = (Vec::new(), Vec::new(), Some(self));
        while let Some(registry) = current {
            chain.push(registry.scope().to_owned());
            names.extend(registry.names());
            current = registry.0.parent.as_ref();
        }
        let (scope, bare) = name.rsplit_once('.').unwrap_or(("", name));
        let absence = self.absence(bare).or_else(|| self.absence(scope));
        let scope_is_known = scope.is_empty()
            || self.accepts(scope).is_some()
            || self.in_scope(scope.split('.').next().unwrap_or(scope)).is_some();
        let (nearest, hint) = match absence {
            Some(reason) => (None, format!("; {reason}")),
            None if !scope_is_known => {
                let scopes = self.scopes().join(", ");
                (None, format!("; there is no scope {:?}, but {scopes}", cut(scope)))
            }
            None => match nearest(bare, names.iter().map(String::as_str)) {
                None => (None, format!("; it holds {}", names.join(", "))),
                found => (found, String::new()),
            },
        };
        let kind = ConfigErrorKind::UnknownType { name: name.to_owned(), registry: chain.join(", "), nearest, hint };
        ConfigError::new(path, kind)
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
