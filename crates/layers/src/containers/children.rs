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
    /// Where the name is empty, has a dot (names are joined by dots), or is taken.
    pub fn add(&mut self, name: &str, module: Box<dyn Module>) -> Result<()> {
        let reason = match name {
            "" => "a module needs a name",
            name if name.contains('.') => "names of modules are joined by dots, so they cannot have one",
            name if self.names.contains(name) => "there is a module of that name already",
            _ => {
                self.names.insert(name.to_owned());
                self.modules.push((name.to_owned(), module));
                return Ok(());
            }
        };
        Err(Error::argument("name", format!("{name:?}"), reason))
    }

    /// Adds a module, whose name is the next number.
    pub fn push(&mut self, module: Box<dyn Module>) {
        let name = self.modules.len().to_string();
        self.names.insert(name.clone());
        self.modules.push((name, module));
    }

    /// The module of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&dyn Module> {
        self.iter().find(|(own, _)| *own == name).map(|(_, module)| module)
    }

    /// Names and modules, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &dyn Module)> {
        self.modules.iter().map(|(name, module)| (name.as_str(), &**module))
    }

    /// Builds what stands at the builder's path: null, a list of dicts, or a dict of dicts.
    pub(crate) fn build(builder: &Builder<'_>, modules: &Config) -> Result<Self> {
        let mut children = Self::default();
        match modules {
            Config::Null => {}
            Config::List(items) => {
                for (index, cfg) in items.iter().enumerate() {
                    children.push(builder.at(|path| path.index(index)).model(cfg)?);
                }
            }
            Config::Dict(dict) if dict.contains_key("type") => {
                let expected = "a list of dicts, also where there is one module";
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
