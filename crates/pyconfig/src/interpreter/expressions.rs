//! Expressions.

use std::rc::Rc;

use super::{Frame, Interpreter};
use crate::builtins::{self, Builtin};
use crate::error::{ErrorKind, Fault, Result};
use crate::format;
use crate::origin::Origin;
use crate::syntax::ast::{CompareOp, Expr, ExprKind, FormatPart, FunctionDef, UnaryOp};
use crate::value::key::Key;
use crate::value::{Dict, Function, Set, Value, compare, iterate, number, repr};

impl Interpreter {
    /// The value of an expression. An error gets its position.
    pub(crate) fn eval(&mut self, frame: &Frame, expr: &Expr) -> Result<Value> {
        self.enter().map_err(|fault| fault.at(&frame.source, expr.at))?;
        let value = self.eval_kind(frame, expr).map_err(|fault| fault.at(&frame.source, expr.at));
        self.leave();
        value
    }

    fn eval_kind(&mut self, frame: &Frame, expr: &Expr) -> Result<Value> {
        match &expr.kind {
            ExprKind::None => Ok(Value::None),
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::Ellipsis => Ok(Value::Ellipsis),
            ExprKind::Int(value) => Ok(Value::Int(*value)),
            ExprKind::Big(value) => number::integer((**value).clone()),
            ExprKind::Float(value) => Ok(Value::Float(*value)),
            ExprKind::Str(text) => Ok(Value::Str(Rc::clone(text))),
            ExprKind::Name(name) => {
                let value = self.name(frame, name)?;
                self.evaluate_pending(&value)?;
                Ok(value)
            }
            ExprKind::List(items) => Ok(Value::list(self.items(frame, items)?)),
            ExprKind::Tuple(items) => Ok(Value::tuple(self.items(frame, items)?)),
            ExprKind::Set(items) => {
                let set = Set::default();
                for item in self.items(frame, items)? {
                    set.keys.borrow_mut().insert(Key::new(&mut self.budget, item)?, ());
                }
                Ok(Value::Set(Rc::new(set)))
            }
            ExprKind::Dict(items) => self.dict(frame, items),
            ExprKind::Starred(_) => {
                Err(Fault::new(ErrorKind::Python("SyntaxError"), "can't use starred expression here"))
            }
            ExprKind::Unary(op, operand) => self.unary(frame, *op, operand),
            ExprKind::Binary(left, op, right) => {
                let left = self.eval(frame, left)?;
                let right = self.eval(frame, right)?;
                self.binary(*op, &left, &right)
            }
            ExprKind::And(operands) => self.logical(frame, operands, false),
            ExprKind::Or(operands) => self.logical(frame, operands, true),
            ExprKind::Compare(left, pairs) => self.comparison(frame, left, pairs),
            ExprKind::Conditional { test, then, otherwise } => {
                let test = self.eval(frame, test)?;
                self.eval(frame, if Self::truth(&test) { then } else { otherwise })
            }
            ExprKind::Call(call) => self.call(frame, call),
            ExprKind::Attribute(value, name) => {
                let value = self.eval(frame, value)?;
                self.attribute(&value, name)
            }
            ExprKind::Subscript(value, index) => {
                let value = self.eval(frame, value)?;
                let index = self.eval(frame, index)?;
                self.subscript(&value, &index)
            }
            ExprKind::Slice(bounds) => {
                let mut values = [Value::None, Value::None, Value::None];
                for (value, bound) in values.iter_mut().zip(bounds) {
                    if let Some(bound) = bound {
                        *value = self.eval(frame, bound)?;
                    }
                }
                Ok(Value::Slice(Rc::new(values)))
            }
            ExprKind::Lambda(definition) => self.function(frame, definition),
            ExprKind::Comprehension(comprehension) => self.comprehension(frame, comprehension),
            ExprKind::Named(name, value) => {
                let value = self.eval(frame, value)?;
                self.bind_named(frame, name, value.clone(), expr.at);
                Ok(value)
            }
            ExprKind::Format(parts) => Ok(Value::str(self.formatted(frame, parts)?)),
            ExprKind::Refused(what) => Err(Fault::refused(*what)),
        }
    }

    fn name(&mut self, frame: &Frame, name: &Rc<str>) -> Result<Value> {
        let mut scope = frame.scope.as_ref();
        while let Some(current) = scope {
            if let Some(value) = current.variables.borrow().get(name) {
                return Ok(value.clone());
            }
            if let Some(definition) = &current.definition {
                if definition.names.globals.contains(name) {
                    break;
                }
                if definition.names.locals.contains(name) {
                    let message =
                        format!("cannot access local variable '{name}' where it is not associated with a value");
                    return Err(Fault::new(ErrorKind::Python("UnboundLocalError"), message));
                }
            }
            scope = current.parent.as_ref();
        }
        if let Some(value) = frame.globals.get(&Key::from(name)) {
            return Ok(value);
        }
        if &**name == "__name__" {
            // mmengine runs a config without a name, and finds that of the module of the built-in functions.
            return Ok(Value::str("builtins"));
        }
        match Builtin::find(name) {
            Some(builtin) => Ok(Value::Builtin(builtin)),
            None => Err(unknown_name(name)),
        }
    }

    /// The items of a list, a tuple or a set, `*items` included.
    pub(super) fn items(&mut self, frame: &Frame, exprs: &[Expr]) -> Result<Vec<Value>> {
        self.budget.values(exprs.len())?;
        let mut items = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match &expr.kind {
                ExprKind::Starred(inner) => {
                    let value = self.eval(frame, inner)?;
                    let unpacked =
                        iterate::items(&mut self.budget, &value).map_err(|fault| fault.at(&frame.source, expr.at))?;
                    items.extend(unpacked);
                }
                _ => items.push(self.eval(frame, expr)?),
            }
        }
        Ok(items)
    }

    fn dict(&mut self, frame: &Frame, items: &[(Option<Expr>, Expr)]) -> Result<Value> {
        self.budget.dict(items.len())?;
        let dict = Dict::new(false);
        for (key, value) in items {
            let Some(key) = key else {
                let mapping = self.eval(frame, value)?;
                let Value::Dict(mapping) = &mapping else {
                    let message = format!("'{}' object is not a mapping", mapping.type_name());
                    return Err(Fault::type_error(message).at(&frame.source, value.at));
                };
                self.budget.dict(mapping.len())?;
                for (key, entry) in mapping.snapshot() {
                    dict.insert(key, entry.value, entry.origin);
                }
                continue;
            };
            let name = self.eval(frame, key)?;
            let name = Key::new(&mut self.budget, name).map_err(|fault| fault.at(&frame.source, key.at))?;
            let value = self.eval(frame, value)?;
            dict.insert(name, value, Some(Origin::new(&frame.source, key.at)));
        }
        Ok(Value::Dict(Rc::new(dict)))
    }

    fn unary(&mut self, frame: &Frame, op: UnaryOp, operand: &Expr) -> Result<Value> {
        let value = self.eval(frame, operand)?;
        let (result, symbol) = match op {
            UnaryOp::Not => return Ok(Value::Bool(!Self::truth(&value))),
            UnaryOp::Minus => (number::negated(&value), "-"),
            UnaryOp::Plus => (number::Number::of(&value).map(|_| plus(&value)), "+"),
            UnaryOp::Invert => (number::as_big(&value).map(|value| number::integer(!value)), "~"),
        };
        match result {
            Some(result) => result,
            None => Err(Fault::type_error(format!("bad operand type for unary {symbol}: '{}'", value.type_name()))),
        }
    }

    /// `and` and `or`: the first operand whose truth decides, or the last one.
    fn logical(&mut self, frame: &Frame, operands: &[Expr], decides: bool) -> Result<Value> {
        let mut value = Value::Bool(!decides);
        for operand in operands {
            value = self.eval(frame, operand)?;
            if Self::truth(&value) == decides {
                break;
            }
        }
        Ok(value)
    }

    fn comparison(&mut self, frame: &Frame, left: &Expr, pairs: &[(CompareOp, Expr)]) -> Result<Value> {
        let mut left = self.eval(frame, left)?;
        let mut result = true;
        for (op, right) in pairs {
            let right = self.eval(frame, right)?;
            result = self.compare(*op, &left, &right)?;
            if !result {
                break;
            }
            left = right;
        }
        Ok(Value::Bool(result))
    }

    pub(super) fn compare(&mut self, op: CompareOp, left: &Value, right: &Value) -> Result<bool> {
        let budget = &mut self.budget;
        match op {
            CompareOp::Eq => compare::equal(budget, left, right),
            CompareOp::NotEq => compare::equal(budget, left, right).map(|equal| !equal),
            CompareOp::Less => Ok(compare::order(budget, left, right, "<")?.is_some_and(std::cmp::Ordering::is_lt)),
            CompareOp::LessEq => Ok(compare::order(budget, left, right, "<=")?.is_some_and(std::cmp::Ordering::is_le)),
            CompareOp::Greater => Ok(compare::order(budget, left, right, ">")?.is_some_and(std::cmp::Ordering::is_gt)),
            CompareOp::GreaterEq => {
                Ok(compare::order(budget, left, right, ">=")?.is_some_and(std::cmp::Ordering::is_ge))
            }
            CompareOp::Is => Ok(left.is(right)),
            CompareOp::IsNot => Ok(!left.is(right)),
            CompareOp::In => compare::contains(budget, right, left),
            CompareOp::NotIn => compare::contains(budget, right, left).map(|contains| !contains),
        }
    }

    /// The function that a `def` or a lambda makes here.
    pub(super) fn function(&mut self, frame: &Frame, definition: &Rc<FunctionDef>) -> Result<Value> {
        let mut defaults = Vec::with_capacity(definition.parameters.len());
        for parameter in &definition.parameters {
            defaults.push(match &parameter.default {
                Some(default) => Some(self.eval(frame, default)?),
                None => None,
            });
        }
        Ok(Value::Function(Rc::new(Function {
            definition: Rc::clone(definition),
            defaults,
            scope: frame.scope.clone(),
            globals: Rc::clone(&frame.globals),
            source: Rc::clone(&frame.source),
            imports: Rc::clone(&frame.imports),
        })))
    }

    /// The text of an f-string.
    fn formatted(&mut self, frame: &Frame, parts: &[FormatPart]) -> Result<String> {
        let mut out = String::new();
        for part in parts {
            match part {
                FormatPart::Literal(text) => out.push_str(text),
                FormatPart::Value { expr, conversion, spec, label } => {
                    if let Some(label) = label {
                        out.push_str(label);
                    }
                    let value = self.eval(frame, expr)?;
                    let spec = self.formatted(frame, spec)?;
                    // `{x=}` shows the repr, unless a format is stated.
                    let conversion = match conversion {
                        None if label.is_some() && spec.is_empty() => Some('r'),
                        conversion => *conversion,
                    };
                    let text = self.format_value(&value, conversion, &spec);
                    out.push_str(&text.map_err(|fault| fault.at(&frame.source, expr.at))?);
                }
            }
            self.budget.text(out.len())?;
        }
        Ok(out)
    }

    /// A value after a conversion, in a format.
    pub(crate) fn format_value(&mut self, value: &Value, conversion: Option<char>, spec: &str) -> Result<String> {
        let budget = &mut self.budget;
        let converted = match conversion {
            None => return format::format(budget, value, spec),
            Some('s') => repr::text(budget, value)?,
            Some('r') => repr::repr(budget, value)?,
            Some('a') => format::ascii(&repr::repr(budget, value)?),
            Some(other) => {
                return Err(Fault::value_error(format!("Unknown conversion specifier {other}")));
            }
        };
        format::format(budget, &Value::str(converted), spec)
    }
}

/// `+value`, which makes a whole number of a bool.
fn plus(value: &Value) -> Result<Value> {
    match value {
        Value::Bool(value) => Ok(Value::Int(i64::from(*value))),
        value => Ok(value.clone()),
    }
}

fn unknown_name(name: &str) -> Fault {
    if let Some(reason) = builtins::refusal(name) {
        return Fault::refused(format!("`{name}`, {reason}"));
    }
    Fault::new(ErrorKind::Python("NameError"), format!("name '{name}' is not defined"))
}
