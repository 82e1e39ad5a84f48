//! [`Children`]: modules with names.

use std::collections::HashSet;

use mmcv_registry::{Config, ConfigError};

use crate::{Builder, Error, Module, Parts, Result};

/// Modules with names, in order.
#[derive(Debug, Default)]
pub struct Children {
    modules: Vec<(String, Box<dyn Module>)>,
    names: HashSet<String>,
}

impl Children {
    /// Modules named `0`, `1`, ...
    #[must_use]
    pub fn numbered(modules: Vec<Box<dyn Module>>) -> Self {
        let mut children = Self::default();
        for module in modules {
            children.push(module);
        }
        children
    }

    /// Adds a module under a name.
    ///
    /// # Errors
    /// Returns an error if the name is empty, contains a dot (dots join names), or is taken.
    pub fn add(&mut self, name: &str, module: Box<dyn Module>) -> Result<()> {
        let mistake = if name.is_empty() {
            Some("a module needs a name")
        } else if name.contains('.') {
            Some("names of modules are joined by dots, so they cannot contain one")
        } else if self.names.contains(name) {
            Some("there is already a module of that name")
        } else {
            None
        };
        if let Some(reason) = mistake {
            return Err(Error::argument("name", format!("{name:?}"), reason));
        }
        self.names.insert(name.to_owned());
        self.modules.push((name.to_owned(), module));
        Ok(())
    }

    /// Adds a module named by its position.
    pub fn push(&mut self, module: Box<dyn Module>) {
        let name = self.modules.len().to_string();
        self.names.insert(name.clone());
        self.modules.push((name, module));
    }

    /// The module with that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn Module> {
        for (child, module) in self.iter() {
            if child == name {
                return Some(module);
            }
        }
        None
    }

    /// Names and modules, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &dyn Module)> {
        self.modules.iter().map(|(name, module)| (name.as_str(), &**module))
    }

    /// Builds the modules in `modules`, which is at the builder's path: null, a list of dicts, or a dict of dicts.
    pub(crate) fn build(builder: &Builder<'_>, modules: &Config) -> Result<Self> {
        let mut children = Self::default();
        match modules {
            Config::Null => {}
            Config::List(items) | Config::Tuple(items) => {
                for (index, cfg) in items.iter().enumerate() {
                    children.push(builder.at(|path| path.index(index)).model(cfg)?);
                }
            }
            Config::Dict(dict) if dict.contains_key("type") => {
                let expected = "a list of dicts, even for a single module";
                return Err(ConfigError::wrong_type(&builder.path, expected, modules).into());
            }
            Config::Dict(dict) => {
                for (name, cfg) in dict.iter() {
                    let module = builder.at(|path| path.key(name)).model(cfg)?;
                    children.add(name, module).map_err(|error| error.below(&builder.path))?;
                }
            }
            other => {
                let expected = "a list of dicts, or a dict of names and dicts";
                return Err(ConfigError::wrong_type(&builder.path, expected, other).into());
            }
        }
        Ok(children)
    }

    pub(super) fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        for (name, module) in self.iter() {
            parts.child(name, module);
        }
    }
}
