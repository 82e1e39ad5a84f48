//! [`load`]: mmengine's `Config.fromfile`.

mod convert;
mod file;
mod lazy;
pub(crate) mod merge;
mod options;
mod packages;
mod plain;
mod templates;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) use plain::is_base_assignment;

use crate::data::{Data, Place};
use crate::error::{Error, Fault, Result, Source};
use crate::interpreter::Interpreter;
use crate::limits;
use crate::syntax::ast::Stmt;
use crate::syntax::parse;
use crate::value::{Dict, Value};

/// Keys that a config cannot have, since mmengine's `Config` has attributes of these names.
const RESERVED: [&str; 4] = ["filename", "text", "pretty_text", "env_variables"];

/// Reads the text of a YAML or JSON file.
pub type ReadData = dyn Fn(&Path, &str) -> std::result::Result<Data, String> + Sync;

/// How a config is read.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// Folders in which other packages' configs are found: `FOLDER/mmdet/.mim/configs` and `FOLDER/mmdet/configs`.
    pub package_path: Vec<PathBuf>,
    /// Overrides, `KEY=VALUE` each, by the rules of mmengine's `DictAction`.
    pub cfg_options: Vec<String>,
    /// Reads YAML and JSON files; without it, they are refused.
    pub read_data: Option<&'a ReadData>,
}

impl std::fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadOptions")
            .field("package_path", &self.package_path)
            .field("cfg_options", &self.cfg_options)
            .finish_non_exhaustive()
    }
}

/// A config that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file.
    pub file: PathBuf,
    /// Its values: a dict.
    pub data: Data,
}

/// Reads a `.py`, `.yaml`, `.yml` or `.json` config with its bases.
///
/// # Errors
/// Returns an error if a file cannot be read, is no valid config, does what configs may not do, or exceeds a limit.
pub fn load(file: &Path, options: &LoadOptions<'_>) -> std::result::Result<Config, Error> {
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("config".to_owned()).stack_size(limits::STACK);
        let handle = reader.spawn_scoped(scope, || load_here(file, options));
        let outcome = match handle {
            Ok(handle) => handle.join(),
            Err(error) => return Err(Fault::file(format!("cannot start a thread: {error}")).into_error()),
        };
        match outcome {
            Ok(result) => result,
            Err(_) => Err(Fault::limit("reading the config failed").into_error()),
        }
    })
}

fn load_here(file: &Path, options: &LoadOptions<'_>) -> std::result::Result<Config, Error> {
    let mut loader =
        Loader { interpreter: Interpreter::default(), options, files: 0, stack: Vec::new(), cache: HashMap::new() };
    match loader.load(file) {
        Ok(data) => Ok(Config { file: file.to_owned(), data }),
        Err(fault) => Err(fault.into_error()),
    }
}

/// Reads files, and remembers those that were read.
struct Loader<'a> {
    interpreter: Interpreter,
    options: &'a LoadOptions<'a>,
    /// Files that were read.
    files: usize,
    /// Files that are being read.
    stack: Vec<PathBuf>,
    /// The values of bases, which several files may share.
    cache: HashMap<PathBuf, Rc<Base>>,
}

/// The text of a file, and its statements if it is Python.
struct ConfigFile {
    source: Rc<Source>,
    statements: Option<Vec<Stmt>>,
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
struct Base {
    values: Rc<Dict>,
    /// Names that were imported, in lazy configs: they are no part of the result.
    imported: Vec<Rc<str>>,
}

impl Loader<'_> {
    fn load(&mut self, file: &Path) -> Result<Data> {
        let base = self.base(&file::absolute(file)?, Self::read)?;
        for key in RESERVED {
            if base.values.get_str(key).is_some() {
                return Err(Fault::key_error(format!("{key} is reserved for config file")));
            }
        }
        let mut values = base.values.clone();
        if !self.options.cfg_options.is_empty() {
            values = self.with_options(&values)?;
        }
        let excluded: &[Rc<str>] = &base.imported;
        convert::to_data(&values, excluded)
    }

    /// Reads a file of either kind.
    fn read(&mut self, path: &Path) -> Result<Base> {
        let file = ConfigFile::read(path)?;
        if file.is_lazy()? { self.evaluate_lazy(path, &file) } else { self.evaluate_plain(path, file) }
    }

    fn with_options(&mut self, values: &Rc<Dict>) -> Result<Rc<Dict>> {
        let options = options::parse(&self.options.cfg_options)?;
        let merged = merge::merge(&mut self.interpreter.budget, &options, &Value::Dict(Rc::clone(values)), true)?;
        match merged {
            Value::Dict(merged) => Ok(merged),
            _ => Ok(Rc::clone(values)),
        }
    }

    /// Reads a file once, and refuses cycles.
    fn base(&mut self, path: &Path, read: impl FnOnce(&mut Self, &Path) -> Result<Base>) -> Result<Rc<Base>> {
        if let Some(base) = self.cache.get(path) {
            return Ok(Rc::clone(base));
        }
        if self.stack.iter().any(|open| open == path) {
            let mut chain: Vec<String> = self.stack.iter().map(|path| path.display().to_string()).collect();
            chain.push(path.display().to_string());
            return Err(Fault::config(format!("the bases form a cycle: {}", chain.join(" -> "))));
        }
        self.files += 1;
        if self.files > limits::FILES || self.stack.len() > limits::BASE_DEPTH {
            return Err(Fault::limit(format!(
                "a config may have {} bases, {} below each other",
                limits::FILES,
                limits::BASE_DEPTH
            )));
        }
        self.stack.push(path.to_owned());
        let base = Rc::new(read(self, path)?);
        self.stack.pop();
        self.cache.insert(path.to_owned(), Rc::clone(&base));
        Ok(base)
    }
}

impl Config {
    /// The value at a key path such as `model.backbone.depth`, or `pipeline.0.type` for an item of a list.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Data> {
        let mut data = &self.data;
        for key in path.split('.') {
            data = match data {
                Data::List(items) | Data::Tuple(items) => items.get(key.parse::<usize>().ok()?)?,
                data => data.get(key)?,
            };
        }
        Some(data)
    }

    /// Where the value at a key path was written: the place of the innermost dict entry on the path.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<&Place> {
        let (mut data, mut place) = (&self.data, None);
        for key in path.split('.') {
            data = match data {
                Data::List(items) | Data::Tuple(items) => items.get(key.parse::<usize>().ok()?)?,
                data => {
                    let entry = data.entry(key)?;
                    place = entry.place.as_deref().or(place);
                    &entry.value
                }
            };
        }
        place
    }
}
