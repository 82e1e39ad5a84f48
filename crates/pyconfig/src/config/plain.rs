//! Configs with `_base_`; `Config._file2dict`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::loader::{Base, ConfigFile, Loader, Style};
use super::{convert, file, json, merge, packages, templates, yaml};
use crate::budget::Budget;
use crate::builtins::paths::normal_path;
use crate::error::{ErrorKind, Fault, Result, Source};
use crate::interpreter::{Frame, Imports};
use crate::limits;
use crate::origin::Origin;
use crate::syntax::ast::{ExprKind, FunctionBody, Stmt, StmtKind};
use crate::syntax::parse;
use crate::value::key::Key;
use crate::value::{Dict, Entry, Value, copy, cycle, iterate};

const BASE: &str = "_base_";
const DEPRECATION: &str = "_deprecation_";

impl Loader<'_> {
    /// The values of a file with those of its bases.
    pub(super) fn evaluate_plain(&mut self, path: &Path, file: ConfigFile) -> Result<Base> {
        let ConfigFile { mut source, mut statements } = file;
        let templates::Substituted { text, base_keys } = templates::substitute(&source.text, path)?;
        if text != source.text {
            source = Rc::new(Source { file: path.to_owned(), text });
            if statements.is_some() {
                statements = Some(parse(&source)?);
            }
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default();
        let (values, bases) = match (statements, extension.as_str()) {
            (Some(statements), _) => {
                check_blocks(&source, &statements)?;
                let names = base_names(self, &source, &statements)?;
                let bases = self.inherited(path, names, may_change_bases(&source.text))?;
                (self.evaluate(&source, &statements, &bases)?, bases)
            }
            (None, "yaml" | "yml" | "json") => {
                let values = self.read_data(path, &source)?;
                let names = match values.get_str(BASE) {
                    Some(Value::List(names)) => names.0.borrow().clone(),
                    Some(name) => vec![name],
                    None => Vec::new(),
                };
                let bases = self.inherited(path, names, !base_keys.is_empty())?;
                (values, bases)
            }
            _ => return Err(Fault::new(ErrorKind::Python("OSError"), "Only py/yml/yaml/json type are supported now!")),
        };
        self.finish(path, &values, &base_keys, bases)
    }

    /// From the values of the file to those with its bases.
    fn finish(
        &mut self,
        path: &Path,
        values: &Rc<Dict>,
        base_keys: &HashMap<String, String>,
        bases: Rc<Dict>,
    ) -> Result<Base> {
        if let Some(deprecation) = values.remove(&Key::from(DEPRECATION)) {
            warn_of_deprecation(path, &deprecation)?;
        }
        values.remove(&Key::from(BASE));
        let own = if base_keys.is_empty() {
            check_copyable(&mut self.interpreter.budget, &Value::Dict(Rc::clone(values)), 0)?;
            Rc::clone(values)
        } else {
            Substitution { loader: self, base_keys, bases: &bases }.dict(values, 0)?
        };
        let merged = merge::merge(&mut self.interpreter.budget, &own, &Value::Dict(bases), false)?;
        let result = Dict::new(false);
        if let Value::Dict(merged) = merged {
            for (key, Entry { value, origin }) in merged.snapshot() {
                let Some(name) = key.as_str() else {
                    return Err(Fault::attribute_error("a key at the top level is no text"));
                };
                if !name.starts_with("__") {
                    result.insert(key, value, origin);
                }
            }
        }
        Ok(Base::plain(Rc::new(result)))
    }

    /// The values of all bases together, as a `ConfigDict`. A file that may change them gets copies.
    fn inherited(&mut self, path: &Path, names: Vec<Value>, may_change: bool) -> Result<Rc<Dict>> {
        let together = Rc::new(Dict::new(true));
        for name in names {
            let Value::Str(name) = name else {
                let message = format!("`_base_` is a text or a list of texts, and not a {}", name.type_name());
                return Err(Fault::type_error(message));
            };
            let (file, scope) = self.base_path(path, &name)?;
            if !file.is_file() && !file.exists() {
                return Err(Fault::file(format!(
                    "{}: the base {name:?} is not there: file {} does not exist",
                    path.display(),
                    file.display()
                )));
            }
            let base = self.base(&file, Style::Plain)?;
            let values = match scope {
                Some(scope) => self.with_scope(&base.values, &scope)?,
                None if may_change => copy::config_dicts(&mut self.interpreter.budget, &base.values)?,
                None => base.config_dict(&mut self.interpreter.budget)?,
            };
            for (key, Entry { value, origin }) in values.snapshot() {
                if together.contains(&key) {
                    let key = key.as_str().unwrap_or("?").to_owned();
                    return Err(Fault::key_error(format!(
                        "Duplicate key is not allowed among bases. Duplicate keys: {{'{key}'}} (again in {})",
                        file.display()
                    )));
                }
                together.insert(key, value, origin);
            }
        }
        Ok(together)
    }

    fn base_path(&self, path: &Path, name: &str) -> Result<(PathBuf, Option<String>)> {
        if name.contains("::") {
            let (scope, file) = packages::find(name, &self.options.package_path)?;
            return Ok((file::absolute(&file)?, Some(scope)));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let joined = if name.starts_with('/') { name.to_owned() } else { format!("{}/{name}", folder.display()) };
        Ok((PathBuf::from(normal_path(&joined)), None))
    }

    /// `ConfigDict`s with `_scope_` in the outermost dicts that have a type, for bases of other packages.
    fn with_scope(&mut self, values: &Rc<Dict>, scope: &str) -> Result<Rc<Dict>> {
        if values.get_str("type").is_some() {
            return Err(Fault::attribute_error("'dict' object has no attribute '_scope_'"));
        }
        // The scope is written into the dicts of the base, which several places of it may share.
        let values = copy::deep(&mut self.interpreter.budget, &Value::Dict(Rc::clone(values)))?;
        match self.scoped(&values, Some(scope), 0)? {
            Value::Dict(values) => Ok(values),
            _ => Ok(Rc::default()),
        }
    }

    fn scoped(&mut self, value: &Value, scope: Option<&str>, depth: u32) -> Result<Value> {
        if depth > limits::NESTING {
            return Err(Fault::too_deep());
        }
        match value {
            Value::Dict(dict) => {
                let mut inner = scope;
                self.interpreter.budget.dict(dict.len())?;
                let copy = Dict::new(true);
                if let Some(scope) = scope
                    && dict.get_str("type").is_some()
                {
                    inner = None;
                    if matches!(dict.get_str("_scope_"), None | Some(Value::None)) {
                        dict.insert(Key::from("_scope_"), Value::str(scope), None);
                    }
                }
                for (key, entry) in dict.snapshot() {
                    let value = self.scoped(&entry.value, inner, depth + 1)?;
                    copy.insert(key, value, entry.origin);
                }
                Ok(Value::Dict(Rc::new(copy)))
            }
            Value::List(list) => {
                let items = list.0.borrow().clone();
                Ok(Value::list(self.scoped_items(&items, scope, depth)?))
            }
            Value::Tuple(tuple) => Ok(Value::tuple(self.scoped_items(&tuple.0, scope, depth)?)),
            _ => Ok(value.clone()),
        }
    }

    fn scoped_items(&mut self, items: &[Value], scope: Option<&str>, depth: u32) -> Result<Vec<Value>> {
        self.interpreter.budget.values(items.len())?;
        let mut converted = Vec::with_capacity(items.len());
        for item in items {
            converted.push(self.scoped(item, scope, depth + 1)?);
        }
        Ok(converted)
    }

    /// Runs a Python config; returns its variables that are data.
    fn evaluate(&mut self, source: &Rc<Source>, statements: &[Stmt], bases: &Rc<Dict>) -> Result<Rc<Dict>> {
        let globals = Rc::new(Dict::new(false));
        globals.insert(Key::from(BASE), Value::Dict(Rc::clone(bases)), None);
        let frame = Frame::new(source, &globals, Imports::default());
        let values = match self.interpreter.run(&frame, statements) {
            Ok(_) => self.data_of(&globals),
            Err(fault) => Err(fault),
        };
        self.interpreter.release(&globals);
        values
    }

    /// The variables that are data.
    fn data_of(&mut self, globals: &Rc<Dict>) -> Result<Rc<Dict>> {
        let values = Dict::new(false);
        for (key, Entry { value, origin }) in globals.snapshot() {
            let name = match key.as_str() {
                Some(name) => name,
                None => return Err(Fault::attribute_error("a key at the top level is no text")),
            };
            let is_data = !convert::is_code(&value);
            if name != BASE && !name.starts_with("__") && is_data {
                cycle::refuse_in_dict(&mut self.interpreter.budget, globals, &value)?;
                values.insert(key, value, origin);
            }
        }
        Ok(Rc::new(values))
    }

    /// The values of a YAML or JSON file.
    fn read_data(&mut self, path: &Path, source: &Rc<Source>) -> Result<Rc<Dict>> {
        let budget = &mut self.interpreter.budget;
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let value = if is_json { json::read(budget, source)? } else { yaml::read(budget, source)? };
        match value {
            Value::Dict(values) => Ok(values),
            _ => Err(Fault::type_error(format!("{}: expected a dict at the top level", path.display()))),
        }
    }
}

/// Whether a statement assigns to `_base_` first: mmengine removes it before it runs the file.
pub(crate) fn is_base_assignment(statement: &Stmt) -> bool {
    match &statement.kind {
        StmtKind::Assign(targets, _) => match targets.first() {
            Some(target) => matches!(&target.kind, ExprKind::Name(name) if &**name == BASE),
            None => false,
        },
        _ => false,
    }
}

/// The bases that a file names: the first assignment to `_base_` at the top level, evaluated by itself.
fn base_names(loader: &mut Loader<'_>, source: &Rc<Source>, statements: &[Stmt]) -> Result<Vec<Value>> {
    let Some(statement) = statements.iter().find(|statement| is_base_assignment(statement)) else {
        return Ok(Vec::new());
    };
    let StmtKind::Assign(_, value) = &statement.kind else { return Ok(Vec::new()) };
    let frame = Frame::new(source, &Rc::default(), Imports::default());
    match loader.interpreter.eval(&frame, value)? {
        list @ Value::List(_) => iterate::items(&mut loader.interpreter.budget, &list),
        single => Ok(vec![single]),
    }
}

/// Whether a Python config may change the values of its bases: it names them, other than in the one `_base_ = [...]`.
fn may_change_bases(text: &str) -> bool {
    text.matches(BASE).nth(1).is_some() || ["globals", "locals", "vars"].iter().any(|name| text.contains(name))
}

/// Refuses values that mmengine cannot copy.
fn check_copyable(budget: &mut Budget, value: &Value, depth: u32) -> Result<()> {
    if depth > limits::NESTING {
        return Err(Fault::too_deep());
    }
    match value {
        Value::Dict(dict) => {
            budget.items(dict.len())?;
            for entry in dict.entries.borrow().values() {
                check_copyable(budget, &entry.value, depth + 1)?;
            }
        }
        Value::List(list) => check_items_copyable(budget, &list.0.borrow(), depth)?,
        Value::Tuple(tuple) => check_items_copyable(budget, &tuple.0, depth)?,
        Value::Iterator(_) | Value::Module(_) | Value::View(..) => return Err(copy::not_copyable(value)),
        _ => {}
    }
    Ok(())
}

fn check_items_copyable(budget: &mut Budget, items: &[Value], depth: u32) -> Result<()> {
    budget.items(items.len())?;
    for item in items {
        check_copyable(budget, item, depth + 1)?;
    }
    Ok(())
}

/// A block in which only `_base_` is assigned is empty once that is removed.
fn check_blocks(source: &Rc<Source>, statements: &[Stmt]) -> Result<()> {
    for statement in statements {
        // Blocks that cannot be empty, and those that are left out then.
        let (needed, optional): (Vec<&[Stmt]>, Vec<&[Stmt]>) = match &statement.kind {
            StmtKind::For { body, otherwise, .. }
            | StmtKind::While { body, otherwise, .. }
            | StmtKind::If { then: body, otherwise, .. } => (vec![body], vec![otherwise]),
            StmtKind::With { body, .. } => (vec![body], Vec::new()),
            StmtKind::Try(node) => {
                let handled = node.handlers.iter().map(|handler| handler.body.as_slice());
                (handled.chain([node.body.as_slice()]).collect(), vec![&node.otherwise, &node.finally])
            }
            StmtKind::Function(definition, _) => match &definition.body {
                FunctionBody::Statements(body) => (vec![body], Vec::new()),
                FunctionBody::Expression(_) => continue,
            },
            _ => continue,
        };
        if needed.iter().any(|block| !block.is_empty() && block.iter().all(is_base_assignment)) {
            let message = "`_base_` is only known at the top level of a config";
            return Err(Fault::config(message).at(source, statement.at));
        }
        for block in needed.into_iter().chain(optional) {
            check_blocks(source, block)?;
        }
    }
    Ok(())
}

fn warn_of_deprecation(path: &Path, deprecation: &Value) -> Result<()> {
    let Value::Dict(deprecation) = deprecation else {
        return Err(Fault::type_error("`_deprecation_` is a dict with `expected` and `reference`"));
    };
    let mut message = format!("the config file {} will be deprecated in the future", path.display());
    if let Some(Value::Str(expected)) = deprecation.get_str("expected") {
        message.push_str(&format!("; use {expected} instead"));
    }
    if let Some(Value::Str(reference)) = deprecation.get_str("reference") {
        message.push_str(&format!("; see {reference}"));
    }
    log::warn!("{message}");
    Ok(())
}

/// Replaces the texts that stand for keys of bases by their values, in a copy.
struct Substitution<'a, 'b> {
    loader: &'a mut Loader<'b>,
    base_keys: &'a HashMap<String, String>,
    bases: &'a Rc<Dict>,
}

impl Substitution<'_, '_> {
    fn dict(&mut self, dict: &Rc<Dict>, depth: u32) -> Result<Rc<Dict>> {
        if depth > limits::NESTING {
            return Err(Fault::too_deep());
        }
        self.loader.interpreter.budget.dict(dict.len())?;
        let copy = Dict::new(dict.is_config.get());
        for (key, Entry { value, origin }) in dict.snapshot() {
            if let Some(name) = key.as_str() {
                self.check_text(name, origin.as_ref())?;
            }
            let value = self.value(&value, origin.as_ref(), depth)?;
            copy.insert(key, value, origin);
        }
        Ok(Rc::new(copy))
    }

    fn value(&mut self, value: &Value, origin: Option<&Rc<Origin>>, depth: u32) -> Result<Value> {
        match value {
            Value::Dict(dict) => Ok(Value::Dict(self.dict(dict, depth + 1)?)),
            Value::List(list) => {
                let items = list.0.borrow().clone();
                Ok(Value::list(self.items(&items, origin, depth + 1)?))
            }
            Value::Tuple(tuple) => Ok(Value::tuple(self.items(&tuple.0, origin, depth + 1)?)),
            Value::Str(text) => match self.base_keys.get(&**text) {
                Some(key) => self.base_value(key, origin),
                None => {
                    self.check_text(text, origin)?;
                    Ok(value.clone())
                }
            },
            Value::Set(set) => {
                for key in set.keys.borrow().keys() {
                    if let Some(text) = key.as_str() {
                        self.check_text(text, origin)?;
                    }
                }
                Ok(value.clone())
            }
            Value::Iterator(_) | Value::Module(_) | Value::View(..) => {
                copy::deep(&mut self.loader.interpreter.budget, value)
            }
            _ => Ok(value.clone()),
        }
    }

    fn items(&mut self, items: &[Value], origin: Option<&Rc<Origin>>, depth: u32) -> Result<Vec<Value>> {
        if depth > limits::NESTING {
            return Err(Fault::too_deep());
        }
        self.loader.interpreter.budget.values(items.len())?;
        let mut copies = Vec::with_capacity(items.len());
        for item in items {
            copies.push(self.value(item, origin, depth)?);
        }
        Ok(copies)
    }

    fn base_value(&self, key: &str, origin: Option<&Rc<Origin>>) -> Result<Value> {
        let mut value = Value::Dict(Rc::clone(self.bases));
        for part in key.split('.') {
            value = match &value {
                Value::Dict(dict) => match dict.get_str(part) {
                    Some(value) => value,
                    None => {
                        let fault = Fault::key_error(format!("'{part}': the bases have no `{key}`"));
                        return Err(at(fault, origin));
                    }
                },
                other => {
                    let fault = Fault::type_error(format!("`{key}`: {part} is looked up in a {}", other.type_name()));
                    return Err(at(fault, origin));
                }
            };
        }
        Ok(value)
    }

    /// Refuses `{{ _base_.key }}` inside a longer text or in a key, where mmengine leaves a random name.
    fn check_text(&self, text: &str, origin: Option<&Rc<Origin>>) -> Result<()> {
        for (placeholder, key) in self.base_keys {
            if text.contains(placeholder.as_str()) {
                let message =
                    format!("`{{{{ _base_.{key} }}}}` must be a whole value: write `_base_.{key}` in an expression");
                return Err(at(Fault::config(message), origin));
            }
        }
        Ok(())
    }
}

fn at(fault: Fault, origin: Option<&Rc<Origin>>) -> Fault {
    match origin {
        Some(origin) => fault.at(&origin.source, origin.offset),
        None => fault,
    }
}
