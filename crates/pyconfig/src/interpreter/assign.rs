//! Assignment to names, attributes, items and patterns; deletion.

use std::rc::Rc;

use super::{Frame, Interpreter};
use crate::builtins::Method;
use crate::error::{ErrorKind, Fault, Result};
use crate::origin::Origin;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind};
use crate::value::key::Key;
use crate::value::{Scope, Value, copy, cycle, iterate};

impl Interpreter {
    /// Assigns a value to a target.
    pub(crate) fn assign(&mut self, frame: &Frame, target: &Expr, value: Value) -> Result<()> {
        self.enter().map_err(|fault| fault.at(&frame.source, target.at))?;
        let result = self.assign_to(frame, target, value).map_err(|fault| fault.at(&frame.source, target.at));
        self.leave();
        result
    }

    fn assign_to(&mut self, frame: &Frame, target: &Expr, value: Value) -> Result<()> {
        match &target.kind {
            ExprKind::Name(name) => {
                self.bind(frame, name, value, target.at);
                Ok(())
            }
            ExprKind::Tuple(targets) | ExprKind::List(targets) => self.unpack(frame, targets, &value),
            ExprKind::Attribute(object, name) => {
                let object = self.eval(frame, object)?;
                self.set_attribute(&object, name, &value, Some(Origin::new(&frame.source, target.at)))
            }
            ExprKind::Subscript(object, index) => {
                let object = self.eval(frame, object)?;
                let index = self.eval(frame, index)?;
                self.set_item(&object, &index, &value, Some(Origin::new(&frame.source, target.at)))
            }
            _ => Err(Fault::new(ErrorKind::Python("SyntaxError"), "cannot assign to this expression")),
        }
    }

    /// Binds a name where the code runs: in the function, in the comprehension, or in the file.
    pub(super) fn bind(&mut self, frame: &Frame, name: &Rc<str>, value: Value, at: u32) {
        let Some(scope) = &frame.scope else { return bind_global(frame, name, value, at) };
        if let Some(definition) = &scope.definition {
            if definition.names.globals.contains(name) {
                return bind_global(frame, name, value, at);
            }
            if definition.names.nonlocals.contains(name)
                && let Some(owner) = owner(scope.parent.as_ref(), name)
            {
                owner.variables.borrow_mut().insert(Rc::clone(name), value);
                return;
            }
        }
        scope.variables.borrow_mut().insert(Rc::clone(name), value);
    }

    /// Binds the name of `:=`: a comprehension leaves it to the function or file around it.
    pub(super) fn bind_named(&mut self, frame: &Frame, name: &Rc<str>, value: Value, at: u32) {
        let mut outer = frame.clone();
        while let Some(scope) = outer.scope.clone() {
            if scope.definition.is_some() {
                break;
            }
            outer.scope.clone_from(&scope.parent);
        }
        self.bind(&outer, name, value, at);
    }

    fn unpack(&mut self, frame: &Frame, targets: &[Expr], value: &Value) -> Result<()> {
        if iterate::check(value).is_err() {
            return Err(Fault::type_error(format!("cannot unpack non-iterable {} object", value.type_name())));
        }
        let mut items = iterate::items(&mut self.budget, value)?;
        let star = targets.iter().position(|target| matches!(target.kind, ExprKind::Starred(_)));
        let needed = targets.len() - usize::from(star.is_some());
        let found = items.len();
        if found < needed {
            let at_least = if star.is_some() { "at least " } else { "" };
            let message = format!("not enough values to unpack (expected {at_least}{needed}, got {found})");
            return Err(Fault::value_error(message));
        }
        if star.is_none() && found > needed {
            return Err(Fault::value_error(format!("too many values to unpack (expected {needed})")));
        }
        if let Some(star) = star {
            let rest: Vec<Value> = items.drain(star..star + found - needed).collect();
            items.insert(star, Value::list(rest));
        }
        for (target, item) in targets.iter().zip(items) {
            match &target.kind {
                ExprKind::Starred(target) => self.assign(frame, target, item)?,
                _ => self.assign(frame, target, item)?,
            }
        }
        Ok(())
    }

    /// `object.name = value`.
    pub(crate) fn set_attribute(
        &mut self,
        object: &Value,
        name: &Rc<str>,
        value: &Value,
        origin: Option<Rc<Origin>>,
    ) -> Result<()> {
        match object {
            Value::Dict(dict) if dict.is_config.get() && !name.starts_with("__") => {
                if Method::find(object, name).is_some() {
                    let message =
                        format!("'Dict' object attribute '{name}' is read-only: write it as an item, ['{name}']");
                    return Err(Fault::attribute_error(message));
                }
                let value = copy::hook(&mut self.budget, value)?;
                cycle::refuse_in_dict(&mut self.budget, dict, &value)?;
                dict.insert(Key::from(name), value, origin);
                Ok(())
            }
            _ => Err(Fault::attribute_error(format!(
                "'{}' object has no attribute '{name}'{}",
                object.type_name(),
                if matches!(object, Value::Dict(_)) { "; write it as an item, `x['name'] = ...`" } else { "" }
            ))),
        }
    }

    /// `target op= value`.
    pub(super) fn augment(&mut self, frame: &Frame, target: &Expr, op: BinaryOp, value: &Expr) -> Result<()> {
        match &target.kind {
            ExprKind::Name(_) => {
                let left = self.eval(frame, target)?;
                let right = self.eval(frame, value)?;
                let result = self.in_place(op, &left, &right)?;
                self.assign(frame, target, result)
            }
            ExprKind::Attribute(object, name) => {
                let object = self.eval(frame, object)?;
                let left = self.attribute(&object, name)?;
                let right = self.eval(frame, value)?;
                let result = self.in_place(op, &left, &right)?;
                self.set_attribute(&object, name, &result, Some(Origin::new(&frame.source, target.at)))
            }
            ExprKind::Subscript(object, index) => {
                let object = self.eval(frame, object)?;
                let index = self.eval(frame, index)?;
                let left = self.subscript(&object, &index)?;
                let right = self.eval(frame, value)?;
                let result = self.in_place(op, &left, &right)?;
                self.set_item(&object, &index, &result, Some(Origin::new(&frame.source, target.at)))
            }
            _ => Err(Fault::new(ErrorKind::Python("SyntaxError"), "illegal target for augmented assignment")),
        }
    }

    /// `del target`.
    pub(super) fn delete(&mut self, frame: &Frame, target: &Expr) -> Result<()> {
        match &target.kind {
            ExprKind::Name(name) => {
                let is_deleted = match &frame.scope {
                    Some(scope) => scope.variables.borrow_mut().shift_remove(name).is_some(),
                    None => frame.globals.remove(&Key::from(name)).is_some(),
                };
                if is_deleted {
                    return Ok(());
                }
                Err(Fault::new(ErrorKind::Python("NameError"), format!("name '{name}' is not defined")))
            }
            ExprKind::Tuple(targets) | ExprKind::List(targets) => {
                for target in targets {
                    self.delete(frame, target)?;
                }
                Ok(())
            }
            ExprKind::Attribute(object, name) => {
                let object = self.eval(frame, object)?;
                match &object {
                    Value::Dict(dict) if dict.is_config.get() => match dict.remove(&Key::from(name)) {
                        Some(_) => Ok(()),
                        None => Err(Fault::key_error(format!("'{name}'"))),
                    },
                    _ => {
                        let message = format!("'{}' object has no attribute '{name}'", object.type_name());
                        Err(Fault::attribute_error(message))
                    }
                }
            }
            ExprKind::Subscript(object, index) => {
                let object = self.eval(frame, object)?;
                let index = self.eval(frame, index)?;
                self.delete_item(&object, &index)
            }
            _ => Err(Fault::new(ErrorKind::Python("SyntaxError"), "cannot delete this expression")),
        }
    }
}

fn bind_global(frame: &Frame, name: &Rc<str>, value: Value, at: u32) {
    frame.globals.insert(Key::from(name), value, Some(Origin::new(&frame.source, at)));
}

/// The nearest function around that has the name.
fn owner(mut scope: Option<&Rc<Scope>>, name: &Rc<str>) -> Option<Rc<Scope>> {
    while let Some(current) = scope {
        if current.variables.borrow().contains_key(name) {
            return Some(Rc::clone(current));
        }
        scope = current.parent.as_ref();
    }
    None
}
