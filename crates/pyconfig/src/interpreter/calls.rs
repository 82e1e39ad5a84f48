//! Calls: their arguments, and what can be called.

use std::collections::HashSet;
use std::rc::Rc;

use super::{Frame, Interpreter};
use crate::builtins;
use crate::error::{ErrorKind, Fault, Result};
use crate::origin::Origin;
use crate::syntax::ast::{Call, ComprehensionKind, ExprKind};
use crate::value::{Value, compare};

/// A keyword argument: its name, its value, and where it was written.
pub(crate) type KeywordValue = (Rc<str>, Value, Option<Rc<Origin>>);

/// The arguments of a call.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub positional: Vec<Value>,
    pub keywords: Vec<KeywordValue>,
}

impl Arguments {
    pub(crate) fn of(positional: Vec<Value>) -> Self {
        Self { positional, keywords: Vec::new() }
    }

    /// The arguments of a function whose parameters are `names`, of which the first `required` have no default. A name
    /// that starts with `*` can only be stated as a keyword.
    pub(crate) fn bind<const N: usize>(
        self,
        function: &str,
        names: [&str; N],
        required: usize,
    ) -> Result<[Option<Value>; N]> {
        let mut bound = [const { None }; N];
        let positions = names.iter().filter(|name| !name.starts_with('*')).count();
        let found = self.positional.len();
        if found > positions {
            let plural = if positions == 1 { "" } else { "s" };
            let message = format!("{function}() takes at most {positions} argument{plural} ({found} given)");
            return Err(Fault::type_error(message));
        }
        for (slot, value) in bound.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value, _) in self.keywords {
            let slot = names.iter().position(|parameter| parameter.trim_start_matches('*') == &*name);
            match slot.and_then(|slot| bound.get_mut(slot)) {
                Some(slot @ None) => *slot = Some(value),
                Some(Some(_)) => {
                    let message = format!("argument for {function}() given by name ('{name}') and position");
                    return Err(Fault::type_error(message));
                }
                None => {
                    let message = format!("{function}() got an unexpected keyword argument '{name}'");
                    return Err(Fault::type_error(message));
                }
            }
        }
        if bound.iter().take(required).any(Option::is_none) {
            return Err(Fault::type_error(format!("{function}() expected at least {required} arguments, got {found}")));
        }
        Ok(bound)
    }

    /// Exactly one argument, by position.
    pub(crate) fn one(self, function: &str) -> Result<Value> {
        match (<[Value; 1]>::try_from(self.positional), self.keywords.is_empty()) {
            (Ok([value]), true) => Ok(value),
            (Err(values), true) => {
                Err(Fault::type_error(format!("{function}() takes exactly one argument ({} given)", values.len())))
            }
            (_, false) => Err(Fault::type_error(format!("{function}() takes no keyword arguments"))),
        }
    }

    /// No argument.
    pub(crate) fn none(self, function: &str) -> Result<()> {
        if self.positional.is_empty() && self.keywords.is_empty() {
            return Ok(());
        }
        let given = self.positional.len() + self.keywords.len();
        Err(Fault::type_error(format!("{function}() takes no arguments ({given} given)")))
    }
}

impl Interpreter {
    pub(super) fn call(&mut self, frame: &Frame, call: &Call) -> Result<Value> {
        let function = self.eval(frame, &call.function)?;
        if let Value::Builtin(builtin) = &function
            && let Some(value) = self.ended_early(frame, builtin.name(), call)?
        {
            return Ok(value);
        }
        let arguments = self.arguments(frame, call)?;
        if let Value::Builtin(builtin) = &function {
            match builtin.name() {
                "globals" => {
                    arguments.none("globals")?;
                    return Ok(Value::Dict(Rc::clone(&frame.globals)));
                }
                "locals" | "vars" => {
                    arguments.none("locals")?;
                    return Ok(self.locals(frame));
                }
                _ => {}
            }
        }
        self.call_value(&function, arguments)
    }

    /// `any`, `all` or `next` of a generator, which they do not evaluate to its end.
    fn ended_early(&mut self, frame: &Frame, function: &str, call: &Call) -> Result<Option<Value>> {
        let Some((first, rest)) = call.arguments.split_first() else { return Ok(None) };
        let ExprKind::Comprehension(generator) = &first.kind else { return Ok(None) };
        if generator.kind != ComprehensionKind::Generator || !call.keywords.is_empty() {
            return Ok(None);
        }
        match (function, rest) {
            ("any", []) => {
                let found = self.first_item(frame, generator, compare::truth)?;
                Ok(Some(Value::Bool(found.is_some())))
            }
            ("all", []) => {
                let found = self.first_item(frame, generator, |item| !compare::truth(item))?;
                Ok(Some(Value::Bool(found.is_none())))
            }
            ("next", []) => match self.first_item(frame, generator, |_| true)? {
                Some(item) => Ok(Some(item)),
                None => Err(Fault::new(ErrorKind::Python("StopIteration"), "")),
            },
            ("next", [default]) if !matches!(default.kind, ExprKind::Starred(_)) => {
                let default = self.eval(frame, default)?;
                Ok(Some(self.first_item(frame, generator, |_| true)?.unwrap_or(default)))
            }
            _ => Ok(None),
        }
    }

    /// `locals()`: the variables of the file, or a copy of those of the function.
    fn locals(&self, frame: &Frame) -> Value {
        let Some(scope) = &frame.scope else { return Value::Dict(Rc::clone(&frame.globals)) };
        let dict = crate::value::Dict::new(false);
        for (name, value) in scope.variables.borrow().iter() {
            dict.insert((&**name).into(), value.clone(), None);
        }
        Value::Dict(Rc::new(dict))
    }

    fn arguments(&mut self, frame: &Frame, call: &Call) -> Result<Arguments> {
        let positional = self.items(frame, &call.arguments)?;
        self.budget.dict(call.keywords.len())?;
        let mut keywords: Vec<KeywordValue> = Vec::with_capacity(call.keywords.len());
        let mut known = HashSet::with_hasher(foldhash::fast::RandomState::default());
        for keyword in &call.keywords {
            let value = self.eval(frame, &keyword.value)?;
            let Some(name) = &keyword.name else {
                self.unpack_keywords(&value, &mut keywords, &mut known)
                    .map_err(|fault| fault.at(&frame.source, keyword.at))?;
                continue;
            };
            if !known.insert(Rc::clone(name)) {
                return Err(repeated(name).at(&frame.source, keyword.at));
            }
            keywords.push((Rc::clone(name), value, Some(Origin::new(&frame.source, keyword.at))));
        }
        Ok(Arguments { positional, keywords })
    }

    /// `**mapping` in a call.
    fn unpack_keywords(
        &mut self,
        mapping: &Value,
        keywords: &mut Vec<KeywordValue>,
        known: &mut HashSet<Rc<str>, foldhash::fast::RandomState>,
    ) -> Result<()> {
        let Value::Dict(mapping) = mapping else {
            return Err(Fault::type_error(format!("argument after ** must be a mapping, not {}", mapping.type_name())));
        };
        self.budget.dict(mapping.len())?;
        for (key, entry) in mapping.snapshot() {
            let Value::Str(name) = key.value() else { return Err(Fault::type_error("keywords must be strings")) };
            if !known.insert(Rc::clone(name)) {
                return Err(repeated(name));
            }
            keywords.push((Rc::clone(name), entry.value, entry.origin));
        }
        Ok(())
    }

    /// Calls a value.
    pub(crate) fn call_value(&mut self, function: &Value, arguments: Arguments) -> Result<Value> {
        self.budget.step(1)?;
        match function {
            Value::Builtin(builtin) => builtins::call(self, *builtin, arguments),
            Value::Method(method) => builtins::call_method(self, &method.receiver, method.method, arguments),
            Value::Function(function) => self.call_function(function, arguments),
            Value::Partial(partial) => {
                self.enter()?;
                let result = builtins::functools::call_partial(self, partial, arguments);
                self.leave();
                result
            }
            Value::Lazy(lazy) => {
                let reason = format!("calling `{}`, which is imported from another package", lazy.name());
                Err(Fault::refused(reason))
            }
            _ => Err(not_callable(function)),
        }
    }
}

fn not_callable(value: &Value) -> Fault {
    Fault::type_error(format!("'{}' object is not callable", value.type_name()))
}

fn repeated(name: &str) -> Fault {
    Fault::new(ErrorKind::Python("TypeError"), format!("got multiple values for keyword argument '{name}'"))
}
