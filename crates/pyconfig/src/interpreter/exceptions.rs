//! `raise` and `try`.

use super::{Flow, Frame, Interpreter};
use crate::builtins::exceptions::{exception, is_kind_of};
use crate::error::{ErrorKind, Fault, Result};
use crate::syntax::ast::{Expr, ExprKind, Handler, Try};
use crate::value::key::Key;
use crate::value::{Module, Value, repr};

impl Interpreter {
    /// The error that `raise` makes.
    pub(super) fn raised(&mut self, frame: &Frame, raised: Option<&Expr>) -> Result<Fault> {
        let (name, arguments) = match raised.map(|raised| &raised.kind) {
            Some(ExprKind::Name(name)) => (name, [].as_slice()),
            Some(ExprKind::Call(call)) => match &call.function.kind {
                ExprKind::Name(name) => (name, call.arguments.as_slice()),
                _ => return Err(Fault::refused("raising something else than an exception by its name")),
            },
            _ => return Err(Fault::refused("raising something else than an exception by its name")),
        };
        let mut message = String::new();
        if let Some(argument) = arguments.first() {
            let argument = self.eval(frame, argument)?;
            message = repr::text(&mut self.budget, &argument)?;
        }
        match exception(name) {
            Some(name) => Ok(Fault::new(ErrorKind::Python(name), message)),
            None => Ok(Fault::new(ErrorKind::Python("NameError"), format!("name '{name}' is not defined"))),
        }
    }

    pub(super) fn try_statement(&mut self, frame: &Frame, node: &Try) -> Result<Flow> {
        let (depth, calls) = (self.depth, self.calls);
        let outcome = match self.run(frame, &node.body) {
            Ok(Flow::Next) => self.run(frame, &node.otherwise),
            Err(fault) => {
                (self.depth, self.calls) = (depth, calls);
                self.handle(frame, &node.handlers, fault)
            }
            flow => flow,
        };
        if node.finally.is_empty() {
            return outcome;
        }
        if let Err(fault) = &outcome {
            if raised_name(fault).is_none() {
                // What configs cannot do ends the config, whatever `finally` says.
                return outcome;
            }
            (self.depth, self.calls) = (depth, calls);
        }
        match self.run(frame, &node.finally)? {
            Flow::Next => outcome,
            flow => Ok(flow),
        }
    }

    /// Runs the first handler that catches an exception.
    fn handle(&mut self, frame: &Frame, handlers: &[Handler], fault: Fault) -> Result<Flow> {
        let Some(name) = raised_name(&fault) else { return Err(fault) };
        for handler in handlers {
            if let Some(types) = &handler.types
                && !catches(types, name).map_err(|fault| fault.at(&frame.source, handler.at))?
            {
                continue;
            }
            let Some(bound) = &handler.name else { return self.run(frame, &handler.body) };
            self.bind(frame, bound, Value::Module(Module::Exception), handler.at);
            let outcome = self.run(frame, &handler.body);
            match &frame.scope {
                Some(scope) => drop(scope.variables.borrow_mut().shift_remove(bound)),
                None => drop(frame.globals.remove(&Key::from(bound))),
            }
            return outcome;
        }
        Err(fault)
    }
}

/// The name of an exception that Python would raise, too; a limit, or what configs cannot do, is not to be caught.
fn raised_name(fault: &Fault) -> Option<&'static str> {
    match fault.kind() {
        ErrorKind::Python(name) => exception(name),
        _ => None,
    }
}

/// Whether the types of a handler, a name or a tuple of names, include an exception.
fn catches(types: &Expr, name: &str) -> Result<bool> {
    match &types.kind {
        ExprKind::Name(ancestor) if exception(ancestor).is_some() => Ok(is_kind_of(name, ancestor)),
        ExprKind::Tuple(types) => {
            for one in types {
                if catches(one, name)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(Fault::refused("catching something else than Python's own exceptions by their names")),
    }
}
