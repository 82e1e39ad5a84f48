//! Configs with `with read_base():` and imports; `Config._parse_lazy_import`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::loader::{Base, ConfigFile, Loader, Style};
use super::plain::is_base_assignment;
use super::{file, packages};
use crate::builtins::modules::is_standard;
use crate::builtins::paths::normal_path;
use crate::error::{ErrorKind, Fault, Result, Source};
use crate::interpreter::{Frame, Imports, is_read_base, module_path};
use crate::origin::Origin;
use crate::syntax::ast::{Alias, FunctionBody, Stmt, StmtKind};
use crate::value::key::Key;
use crate::value::{Dict, Entry, Lazy, Value, copy, cycle};

/// Whether a file is a lazy config: the first import of something else than Python's own, or the first `_base_`, decides.
pub(super) fn is_lazy(source: &Rc<Source>, statements: &[Stmt]) -> Result<bool> {
    let mut level: Vec<&Stmt> = statements.iter().collect();
    while !level.is_empty() {
        let mut next = Vec::new();
        for statement in level {
            if is_base_assignment(statement) {
                return Ok(false);
            }
            match &statement.kind {
                StmtKind::With { context, .. } if is_read_base(context) => return Ok(true),
                StmtKind::With { .. } => {
                    let message = "Only `read_base` context manager can be used in the config";
                    return Err(Fault::config(message).at(source, statement.at));
                }
                StmtKind::ImportFrom { level, .. } if *level > 0 => return Ok(true),
                StmtKind::ImportFrom { module: Some(module), names, .. } => {
                    let is_config = &**module == "mmengine"
                        && matches!(names.as_slice(), [Alias { name, .. }] if &**name == "Config");
                    if !is_config && !is_standard(module) {
                        return Ok(true);
                    }
                }
                StmtKind::Import(names) if names.iter().any(|alias| !is_standard(&alias.name)) => return Ok(true),
                _ => {}
            }
            next.extend(inner(statement));
        }
        level = next;
    }
    Ok(false)
}

/// The statements in a statement.
fn inner(statement: &Stmt) -> Vec<&Stmt> {
    match &statement.kind {
        StmtKind::For { body, otherwise, .. }
        | StmtKind::While { body, otherwise, .. }
        | StmtKind::If { then: body, otherwise, .. } => body.iter().chain(otherwise).collect(),
        StmtKind::With { body, .. } => body.iter().collect(),
        StmtKind::Try(node) => {
            let handled = node.handlers.iter().flat_map(|handler| &handler.body);
            node.body.iter().chain(handled).chain(&node.otherwise).chain(&node.finally).collect()
        }
        StmtKind::Function(definition, _) => match &definition.body {
            FunctionBody::Statements(body) => body.iter().collect(),
            FunctionBody::Expression(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

impl Loader<'_> {
    /// The values of a file with the names of its bases.
    pub(super) fn evaluate_lazy(&mut self, path: &Path, file: &ConfigFile) -> Result<Base> {
        let ConfigFile { source, statements: Some(statements) } = file else {
            return Err(Fault::config(format!("{}: only Python configs have `read_base()`", path.display())));
        };
        let globals = Rc::new(Dict::new(false));
        let mut context = Imported { imports: Imports { is_lazy: true, ..Imports::default() }, names: HashSet::new() };
        let mut bases: Vec<(String, Rc<Dict>)> = Vec::new();
        for (module, at) in base_modules(source, statements)? {
            let file = self.module_file(path, &module).map_err(|fault| fault.at(source, at))?;
            let base = self.base(&file, Style::Lazy).map_err(|fault| fault.at(source, at))?;
            context.names.extend(base.imported.iter().cloned());
            context.imports.bases.insert(module.clone());
            // The file may change what it inherits, so it gets a copy of its own.
            let values = copy::deep_for_file(&mut self.interpreter.budget, &base.values)?;
            bases.push((module, values));
        }
        self.bind_imports(source, statements, &bases, &globals, &mut context)?;
        bind_packages(source, statements, &globals, &mut context);
        globals.insert(Key::from("__file__"), Value::str(path.to_string_lossy()), None);
        let frame = Frame::new(source, &globals, context.imports);
        let values = match self.interpreter.run(&frame, statements) {
            Ok(_) => self.variables(&globals),
            Err(fault) => Err(fault),
        };
        self.interpreter.release(&globals);
        let values = values?;
        let values = copy::config_dicts(&mut self.interpreter.budget, &values)?;
        Ok(Base::lazy(values, context.names))
    }

    /// The variables of a file, without those of Python.
    fn variables(&mut self, globals: &Rc<Dict>) -> Result<Rc<Dict>> {
        let values = Dict::new(false);
        for (key, Entry { value, origin }) in globals.snapshot() {
            if !key.as_str().is_some_and(|name| name.starts_with("__")) {
                cycle::refuse_in_dict(&mut self.interpreter.budget, globals, &value)?;
                values.insert(key, value, origin);
            }
        }
        Ok(Rc::new(values))
    }

    /// The file of a base: relative for leading dots, and else in a package.
    fn module_file(&self, path: &Path, module: &str) -> Result<PathBuf> {
        let name = module.trim_start_matches('.');
        let level = module.len() - name.len();
        if level == 0 {
            if !name.contains('.') {
                return Err(Fault::config(format!(
                    "the base should not be a package alone: {name}; import a config in it, such as {name}.configs.x"
                )));
            }
            let package = name.split('.').next().unwrap_or(name);
            return match packages::find_module(name, &self.options.package_path) {
                Some(file) => file::absolute(&file),
                None => Err(packages::missing(name, package, &self.options.package_path)),
            };
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let up = "../".repeat(level - 1);
        let file = PathBuf::from(normal_path(&format!("{}/{up}{}.py", folder.display(), name.replace('.', "/"))));
        if !file.is_file() {
            return Err(Fault::config(format!("{} not found: it is the base `{module}`", file.display())));
        }
        Ok(file)
    }

    /// Binds the names of bases, and notes those of other packages, wherever they are imported in the file.
    fn bind_imports(
        &mut self,
        source: &Rc<Source>,
        statements: &[Stmt],
        bases: &[(String, Rc<Dict>)],
        globals: &Rc<Dict>,
        context: &mut Imported,
    ) -> Result<()> {
        for statement in statements {
            match &statement.kind {
                StmtKind::ImportFrom { module, level, names } => {
                    let path = module_path(module.as_deref(), *level);
                    if *level == 0 && is_standard(&path) {
                        for alias in names {
                            check_star(source, alias)?;
                            context.names.insert(Rc::clone(alias.bound()));
                        }
                        continue;
                    }
                    if let Some((_, base)) = bases.iter().find(|(module, _)| *module == path) {
                        bind_base(source, names, base, globals)?;
                        continue;
                    }
                    for alias in names {
                        check_star(source, alias)?;
                        context.names.insert(Rc::clone(alias.bound()));
                    }
                }
                StmtKind::Import(names) => {
                    let [alias] = names.as_slice() else {
                        let message = "Illegal syntax in config! import multiple modules in one line is not supported";
                        let fault = Fault::new(ErrorKind::Python("AssertionError"), message);
                        return Err(fault.at(source, statement.at));
                    };
                    if let Some(bound) = &alias.alias {
                        context.names.insert(Rc::clone(bound));
                    }
                }
                _ => {
                    // Statements in statements, one after the other.
                    for inner in inner(statement) {
                        self.bind_imports(source, std::slice::from_ref(inner), bases, globals, context)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a lazy config imports.
struct Imported {
    imports: Imports,
    /// Names that are no part of the result.
    names: HashSet<Rc<str>>,
}

/// Binds the imported names of a base.
fn bind_base(source: &Rc<Source>, names: &[Alias], values: &Rc<Dict>, globals: &Rc<Dict>) -> Result<()> {
    for alias in names {
        if &*alias.name == "*" {
            for (key, entry) in values.snapshot() {
                globals.insert(key, entry.value, entry.origin);
            }
            return Ok(());
        }
        let entry = values.entries.borrow().get(&Key::from(&*alias.name)).cloned();
        let Some(Entry { value, origin }) = entry else {
            let fault = Fault::key_error(format!("'{}': the base has no such name", alias.name));
            return Err(fault.at(source, alias.at));
        };
        let origin = origin.or_else(|| Some(Origin::new(source, alias.at)));
        globals.insert(Key::from(&**alias.bound()), value, origin);
    }
    Ok(())
}

fn check_star(source: &Rc<Source>, alias: &Alias) -> Result<()> {
    if &*alias.name == "*" {
        let message = "`from x import *` is only allowed in `with read_base():`";
        return Err(Fault::config(message).at(source, alias.at));
    }
    Ok(())
}

/// The modules that the first `with read_base():` imports, and where.
fn base_modules(source: &Rc<Source>, statements: &[Stmt]) -> Result<Vec<(String, u32)>> {
    for statement in statements {
        if is_base_assignment(statement) {
            let message = "a config with `with read_base():` or imports of other packages cannot have `_base_`: write \
                           `with read_base(): from ... import *`";
            return Err(Fault::config(message).at(source, statement.at));
        }
        let StmtKind::With { context, has_several, body } = &statement.kind else { continue };
        if !is_read_base(context) || *has_several {
            let message = "Only `read_base` context manager can be used in the config";
            return Err(Fault::config(message).at(source, statement.at));
        }
        let mut modules = Vec::new();
        for import in body {
            let StmtKind::ImportFrom { module, level, .. } = &import.kind else {
                let message = "Only `from ... import ...` is allowed in `with read_base():`";
                return Err(Fault::new(ErrorKind::Python("AssertionError"), message).at(source, import.at));
            };
            if module.is_none() {
                let message = "`from . import xxx` is not allowed in `with read_base():`";
                return Err(Fault::new(ErrorKind::Python("AssertionError"), message).at(source, import.at));
            }
            modules.push((module_path(module.as_deref(), *level), import.at));
        }
        return Ok(modules);
    }
    Ok(Vec::new())
}

/// Binds the packages of `import mmdet.models` at the top level.
fn bind_packages(source: &Rc<Source>, statements: &[Stmt], globals: &Rc<Dict>, context: &mut Imported) {
    let mut packages: Vec<(Rc<str>, Vec<Rc<str>>, u32)> = Vec::new();
    for statement in statements {
        let StmtKind::Import(names) = &statement.kind else { continue };
        for alias in names {
            if alias.alias.is_some() || is_standard(&alias.name) {
                continue;
            }
            context.imports.packages.insert(alias.at);
            let package: Rc<str> = alias.name.split('.').next().unwrap_or(&alias.name).into();
            match packages.iter_mut().find(|(known, ..)| *known == package) {
                Some((_, modules, _)) => modules.push(Rc::clone(&alias.name)),
                None => packages.push((package, vec![Rc::clone(&alias.name)], alias.at)),
            }
        }
    }
    for (package, modules, at) in packages {
        context.names.insert(Rc::clone(&package));
        let value = Value::Lazy(Rc::new(Lazy::Packages(modules)));
        globals.insert(Key::from(&*package), value, Some(Origin::new(source, at)));
    }
}
