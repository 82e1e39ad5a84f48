//! Statements.

use std::rc::Rc;

use super::{Arguments, Frame, Interpreter};
use crate::builtins::modules;
use crate::config::is_base_assignment;
use crate::error::{ErrorKind, Fault, Result};
use crate::syntax::ast::{Alias, Comprehension, ComprehensionKind, Expr, ExprKind, Stmt, StmtKind};
use crate::value::{Lazy, Value, iterate, repr};

/// What follows a statement.
#[derive(Debug)]
pub(crate) enum Flow {
    Next,
    Break,
    Continue,
    Return(Value),
}

impl Interpreter {
    /// Runs statements in order.
    pub(crate) fn run(&mut self, frame: &Frame, statements: &[Stmt]) -> Result<Flow> {
        for statement in statements {
            self.enter().map_err(|fault| fault.at(&frame.source, statement.at))?;
            let flow = self.statement(frame, statement).map_err(|fault| fault.at(&frame.source, statement.at))?;
            self.leave();
            if !matches!(flow, Flow::Next) {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, frame: &Frame, statement: &Stmt) -> Result<Flow> {
        match &statement.kind {
            StmtKind::Expr(expr) => {
                self.eval(frame, expr)?;
            }
            // Evaluated before, by itself.
            StmtKind::Assign(..) if is_base_assignment(statement) && !frame.imports.is_lazy => {}
            StmtKind::Annotated { target, annotation, value } => {
                if let Some(value) = value {
                    let value = self.eval(frame, value)?;
                    self.assign(frame, target, value)?;
                }
                // In functions, annotations are not evaluated.
                if frame.scope.is_none() {
                    self.eval(frame, annotation)?;
                }
            }
            StmtKind::Assign(targets, value) => {
                let value = match &value.kind {
                    ExprKind::Comprehension(generator) if is_stored(generator, targets) => {
                        self.pending(frame, generator).map_err(|fault| fault.at(&frame.source, value.at))?
                    }
                    _ => self.eval(frame, value)?,
                };
                for target in targets {
                    self.assign(frame, target, value.clone())?;
                }
            }
            StmtKind::AugAssign(target, op, value) => self.augment(frame, target, *op, value)?,
            StmtKind::For { target, iterable, body, otherwise } => {
                return self.for_loop(frame, target, iterable, body, otherwise);
            }
            StmtKind::While { test, body, otherwise } => return self.while_loop(frame, test, body, otherwise),
            StmtKind::If { test, then, otherwise } => {
                let test = self.eval(frame, test)?;
                return self.run(frame, if Self::truth(&test) { then } else { otherwise });
            }
            StmtKind::Delete(targets) => {
                for target in targets {
                    self.delete(frame, target)?;
                }
            }
            StmtKind::Assert(test, message) => {
                let test = self.eval(frame, test)?;
                if !Self::truth(&test) {
                    let mut text = String::new();
                    if let Some(message) = message {
                        let message = self.eval(frame, message)?;
                        text = repr::text(&mut self.budget, &message)?;
                    }
                    return Err(Fault::new(ErrorKind::Python("AssertionError"), text));
                }
            }
            StmtKind::Raise(exception) => return Err(self.raised(frame, exception.as_ref())?),
            StmtKind::Return(value) => {
                if frame.scope.is_none() {
                    return Err(Fault::new(ErrorKind::Python("SyntaxError"), "'return' outside function"));
                }
                let value = match value {
                    Some(value) => self.eval(frame, value)?,
                    None => Value::None,
                };
                return Ok(Flow::Return(value));
            }
            StmtKind::Function(definition, decorators) => {
                let mut callables = Vec::with_capacity(decorators.len());
                for decorator in decorators {
                    callables.push(self.eval(frame, decorator)?);
                }
                let mut function = self.function(frame, definition)?;
                for callable in callables.into_iter().rev() {
                    function = self.call_value(&callable, Arguments::of(vec![function]))?;
                }
                self.bind(frame, &definition.name, function, statement.at);
            }
            StmtKind::Import(aliases) => self.import(frame, aliases)?,
            StmtKind::ImportFrom { module, level, names } => {
                self.import_from(frame, module.as_deref(), *level, names)?;
            }
            StmtKind::With { context, body, .. } => {
                if !is_read_base(context) {
                    return Err(Fault::refused("with statements, other than `with read_base():`"));
                }
                return self.run(frame, body);
            }
            StmtKind::Try(node) => return self.try_statement(frame, node),
            StmtKind::Break => return Ok(Flow::Break),
            StmtKind::Continue => return Ok(Flow::Continue),
            StmtKind::Pass | StmtKind::Global(_) | StmtKind::Nonlocal(_) => {}
            StmtKind::Refused(what) => return Err(Fault::refused(*what)),
        }
        Ok(Flow::Next)
    }

    fn for_loop(
        &mut self,
        frame: &Frame,
        target: &Expr,
        iterable: &Expr,
        body: &[Stmt],
        otherwise: &[Stmt],
    ) -> Result<Flow> {
        let values = self.eval(frame, iterable)?;
        // A list that grows in the loop is looped over to its new end, as in Python.
        let mut at = 0;
        let fixed = match &values {
            // An iterator keeps the items that the loop does not come to.
            Value::List(_) | Value::Iterator(_) => Vec::new(),
            _ => iterate::items(&mut self.budget, &values).map_err(|fault| fault.at(&frame.source, iterable.at))?,
        };
        loop {
            let item = match &values {
                Value::List(list) => list.0.borrow().get(at).cloned(),
                Value::Iterator(iterator) => iterator.rest()?.next(),
                _ => fixed.get(at).cloned(),
            };
            let Some(item) = item else { break };
            at += 1;
            self.assign(frame, target, item)?;
            match self.run(frame, body)? {
                Flow::Next | Flow::Continue => {}
                Flow::Break => return Ok(Flow::Next),
                flow @ Flow::Return(_) => return Ok(flow),
            }
            if let Value::Dict(dict) | Value::View(dict, _) = &values
                && dict.len() != fixed.len()
            {
                let message = "dictionary changed size during iteration";
                return Err(Fault::new(ErrorKind::Python("RuntimeError"), message).at(&frame.source, iterable.at));
            }
        }
        self.run(frame, otherwise)
    }

    fn while_loop(&mut self, frame: &Frame, test: &Expr, body: &[Stmt], otherwise: &[Stmt]) -> Result<Flow> {
        loop {
            let condition = self.eval(frame, test)?;
            if !Self::truth(&condition) {
                return self.run(frame, otherwise);
            }
            match self.run(frame, body)? {
                Flow::Next | Flow::Continue => {}
                Flow::Break => return Ok(Flow::Next),
                flow @ Flow::Return(_) => return Ok(flow),
            }
        }
    }

    fn import(&mut self, frame: &Frame, aliases: &[Alias]) -> Result<()> {
        for Alias { at, name, alias } in aliases {
            let first: Rc<str> = name.split('.').next().unwrap_or(name).into();
            let value = if frame.imports.is_lazy && !modules::is_standard(name) {
                match alias {
                    Some(_) => Value::Lazy(Rc::new(Lazy::Module(Rc::clone(name)))),
                    None if frame.imports.packages.contains(at) => continue,
                    None => return Err(not_importable(name).at(&frame.source, *at)),
                }
            } else {
                let path = if alias.is_some() { name } else { &first };
                // `import os.path` binds `os`, and both have to be there.
                modules::module(name).ok_or_else(|| not_importable(name).at(&frame.source, *at))?;
                let module = modules::module(path).ok_or_else(|| not_importable(path).at(&frame.source, *at))?;
                Value::Module(module)
            };
            self.bind(frame, alias.as_ref().unwrap_or(&first), value, *at);
        }
        Ok(())
    }

    fn import_from(&mut self, frame: &Frame, module: Option<&str>, level: u32, names: &[Alias]) -> Result<()> {
        let path = module_path(module, level);
        if frame.imports.bases.contains(&path) {
            return Ok(());
        }
        let is_standard = level == 0 && modules::is_standard(&path);
        for alias in names {
            let Alias { at, name, .. } = alias;
            let value = if frame.imports.is_lazy && !is_standard {
                Value::Lazy(Rc::new(Lazy::Name { module: path.as_str().into(), name: Rc::clone(name) }))
            } else {
                modules::imported(&path, name).map_err(|fault| fault.at(&frame.source, *at))?
            };
            self.bind(frame, alias.bound(), value, *at);
        }
        Ok(())
    }
}

/// Whether a generator is assigned to variables.
fn is_stored(comprehension: &Comprehension, targets: &[Expr]) -> bool {
    comprehension.kind == ComprehensionKind::Generator
        && targets.iter().all(|target| matches!(target.kind, ExprKind::Name(_)))
}

fn not_importable(name: &str) -> Fault {
    Fault::refused(format!("importing `{name}`; configs can import {}", modules::IMPORTABLE))
}

/// The module of `from ..a.b import c` as mmengine writes it: `..a.b`.
pub(crate) fn module_path(module: Option<&str>, level: u32) -> String {
    let dots = ".".repeat(usize::try_from(level).unwrap_or(0).min(1_000));
    format!("{dots}{}", module.unwrap_or("None"))
}

/// Whether an expression is `read_base()`.
pub(crate) fn is_read_base(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call(call) => matches!(&call.function.kind, ExprKind::Name(name) if &**name == "read_base"),
        _ => false,
    }
}
