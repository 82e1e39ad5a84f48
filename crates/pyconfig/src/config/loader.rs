//! [`Loader`]: reads files with their bases, each of them once.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::{Config, LoadOptions, convert, file, lazy, merge, options};
use crate::budget::Budget;
use crate::data::Data;
use crate::error::{Error, Fault, Result, Source};
use crate::interpreter::Interpreter;
use crate::limits;
use crate::syntax::ast::Stmt;
use crate::syntax::parse;
use crate::value::{Dict, Value, copy};

/// Keys that a config cannot have, since mmengine's `Config` has attributes of these names.
const RESERVED: [&str; 4] = ["filename", "text", "pretty_text", "env_variables"];

/// Reads configs one after the other, and keeps the values of their files.
pub(super) struct Loader<'a> {
    pub(super) interpreter: Interpreter,
    pub(super) options: &'a LoadOptions,
    /// Files that the current config has read.
    files: usize,
    /// Files that are being read.
    open: Vec<Open>,
    /// What files had, by path and by whether they were read as lazy configs.
    known: HashMap<(PathBuf, bool), Known>,
    /// The memory that the known files took.
    known_memory: usize,
    /// The number of the current config.
    number: usize,
}

/// A file that is being read.
struct Open {
    path: PathBuf,
    /// What its bases took of the budget.
    of_bases: Budget,
    bases: Vec<(PathBuf, bool)>,
    /// The number of files below each other, with this one.
    depth: usize,
}

/// A file that has been read.
struct Known {
    base: Rc<Base>,
    /// What the file took of the budget, without its bases.
    cost: Budget,
    bases: Vec<(PathBuf, bool)>,
    /// The number of files below each other, with this one.
    depth: usize,
    /// The number of the last config that paid for it.
    paid_by: usize,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As its statements say.
    Any,
    /// As a base under `_base_`.
    Plain,
    /// As a base in `with read_base():`.
    Lazy,
}

/// The text of a file, and its statements if it is Python.
pub(super) struct ConfigFile {
    pub(super) source: Rc<Source>,
    pub(super) statements: Option<Vec<Stmt>>,
}

impl ConfigFile {
    fn read(path: &Path) -> Result<Self> {
        let source = file::read(path)?;
        let statements = if file::is_python(path) { Some(parse(&source)?) } else { None };
        Ok(Self { source, statements })
    }

    fn is_lazy(&self) -> Result<bool> {
        match &self.statements {
            Some(statements) => lazy::is_lazy(&self.source, statements),
            None => Ok(false),
        }
    }
}

/// The values of a file.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) values: Rc<Dict>,
    /// Names that were imported, in lazy configs: they are no part of the result.
    pub(super) imported: HashSet<Rc<str>>,
    is_lazy: bool,
    /// The values in `ConfigDict`s.
    config_dict: OnceCell<Rc<Dict>>,
}

impl Base {
    pub(super) fn plain(values: Rc<Dict>) -> Self {
        Self { values, imported: HashSet::new(), is_lazy: false, config_dict: OnceCell::new() }
    }

    pub(super) fn lazy(values: Rc<Dict>, imported: HashSet<Rc<str>>) -> Self {
        Self { values, imported, is_lazy: true, config_dict: OnceCell::new() }
    }

    /// The values in `ConfigDict`s, for files that do not change them.
    pub(super) fn config_dict(&self, budget: &mut Budget) -> Result<Rc<Dict>> {
        if let Some(known) = self.config_dict.get() {
            return Ok(Rc::clone(known));
        }
        let dict = copy::config_dicts(budget, &self.values)?;
        Ok(Rc::clone(self.config_dict.get_or_init(|| dict)))
    }
}

impl<'a> Loader<'a> {
    pub(super) fn new(options: &'a LoadOptions) -> Self {
        Self {
            interpreter: Interpreter::default(),
            options,
            files: 0,
            open: Vec::new(),
            known: HashMap::new(),
            known_memory: 0,
            number: 0,
        }
    }

    /// Reads a config.
    pub(super) fn config(&mut self, file: &Path) -> std::result::Result<Config, Error> {
        self.interpreter = Interpreter::default();
        self.files = 0;
        self.open.clear();
        self.number += 1;
        if self.known_memory > limits::KNOWN_MEMORY {
            self.known.clear();
            self.known_memory = 0;
        }
        let absolute = file::absolute(file).map_err(|fault| fault.in_file(file).into_error())?;
        match self.load(&absolute) {
            Ok(data) => Ok(Config { file: file.to_owned(), data }),
            Err(fault) => Err(fault.in_file(file).into_error().read_for(file, &absolute)),
        }
    }

    /// Reads a config by its absolute path.
    fn load(&mut self, file: &Path) -> Result<Data> {
        let base = self.base(file, Style::Any)?;
        for key in RESERVED {
            if base.values.get_str(key).is_some() {
                return Err(Fault::key_error(format!("{key} is reserved for config file")));
            }
        }
        let mut values = base.values.clone();
        if !self.options.cfg_options.is_empty() {
            values = self.with_options(&values)?;
        }
        convert::to_data(&values, &base.imported)
    }

    fn with_options(&mut self, values: &Rc<Dict>) -> Result<Rc<Dict>> {
        let options = options::parse(&self.options.cfg_options)?;
        let merged = merge::merge(&mut self.interpreter.budget, &options, &Value::Dict(Rc::clone(values)), true)?;
        match merged {
            Value::Dict(merged) => Ok(merged),
            _ => Ok(Rc::clone(values)),
        }
    }

    /// The values of a file with those of its bases. It is read once, and cycles are refused.
    pub(super) fn base(&mut self, path: &Path, style: Style) -> Result<Rc<Base>> {
        let key = (path.to_owned(), style == Style::Lazy);
        if let Some(known) = self.known.get(&key) {
            let (base, depth) = (Rc::clone(&known.base), known.depth);
            self.pay(&key)?;
            self.check_size(depth)?;
            if let Some(parent) = self.open.last_mut() {
                parent.bases.push(key);
                parent.depth = parent.depth.max(depth + 1);
            }
            return Ok(base);
        }
        if self.open.iter().any(|open| open.path == path) {
            let mut chain: Vec<String> = self.open.iter().map(|open| open.path.display().to_string()).collect();
            chain.push(path.display().to_string());
            return Err(Fault::config(format!("the bases form a cycle: {}", chain.join(" -> "))));
        }
        self.files += 1;
        self.check_size(1)?;
        let before = self.interpreter.budget;
        self.open.push(Open { path: path.to_owned(), of_bases: Budget::none(), bases: Vec::new(), depth: 1 });
        let base = Rc::new(self.read(path, style).map_err(|fault| fault.in_file(path))?);
        let all = before.minus(self.interpreter.budget);
        let (of_bases, bases, depth) = match self.open.pop() {
            Some(open) => (open.of_bases, open.bases, open.depth),
            None => (Budget::none(), Vec::new(), 1),
        };
        let key = (path.to_owned(), base.is_lazy);
        if let Some(parent) = self.open.last_mut() {
            parent.of_bases = parent.of_bases.plus(all);
            parent.bases.push(key.clone());
            parent.depth = parent.depth.max(depth + 1);
        }
        let cost = all.minus(of_bases);
        self.known_memory = self.known_memory.saturating_add(cost.memory_left()).saturating_add(limits::KNOWN_FILE);
        self.known.insert(key, Known { base: Rc::clone(&base), cost, bases, depth, paid_by: self.number });
        Ok(base)
    }

    /// Takes from the budget of the current config what a known file and its bases took, unless it has done so.
    fn pay(&mut self, key: &(PathBuf, bool)) -> Result<()> {
        let mut unpaid = vec![key.clone()];
        while let Some(key) = unpaid.pop() {
            let Some(known) = self.known.get_mut(&key) else { continue };
            if known.paid_by == self.number {
                continue;
            }
            known.paid_by = self.number;
            unpaid.extend(known.bases.iter().cloned());
            let cost = known.cost;
            self.interpreter.budget.take(cost)?;
            if let Some(parent) = self.open.last_mut() {
                parent.of_bases = parent.of_bases.plus(cost);
            }
            self.files += 1;
        }
        Ok(())
    }

    /// Checks the number of files, and that of files below each other, with `depth` more.
    fn check_size(&self, depth: usize) -> Result<()> {
        if self.files > limits::FILES || self.open.len() + depth > limits::BASE_DEPTH + 1 {
            return Err(Fault::limit(format!(
                "a config may have {} bases, {} below each other",
                limits::FILES,
                limits::BASE_DEPTH
            )));
        }
        Ok(())
    }

    fn read(&mut self, path: &Path, style: Style) -> Result<Base> {
        let file = ConfigFile::read(path)?;
        match style {
            Style::Lazy => self.evaluate_lazy(path, &file),
            Style::Any if file.is_lazy()? => self.evaluate_lazy(path, &file),
            Style::Plain if file.is_lazy()? => Err(Fault::config(format!(
                "{}: a config with `_base_` cannot inherit from one with `with read_base():` or imports of other packages",
                path.display()
            ))),
            Style::Any | Style::Plain => self.evaluate_plain(path, file),
        }
    }
}
