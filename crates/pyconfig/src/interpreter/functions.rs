//! Calls of functions that the config defines.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Arguments, Flow, Frame, Interpreter};
use crate::error::{ErrorKind, Fault, Result};
use crate::limits;
use crate::syntax::ast::{FunctionBody, FunctionDef, ParameterKind};
use crate::value::{Dict, Function, IndexMap, Scope, Value};

impl Interpreter {
    pub(super) fn call_function(&mut self, function: &Function, arguments: Arguments) -> Result<Value> {
        self.calls += 1;
        if self.calls > limits::CALLS {
            let message = "maximum recursion depth exceeded";
            return Err(Fault::new(ErrorKind::Python("RecursionError"), message));
        }
        self.enter()?;
        let Function { definition, defaults, scope, globals, source, imports } = function;
        let variables = self.bind_parameters(definition, defaults, arguments)?;
        let scope = Rc::new(Scope {
            variables: RefCell::new(variables),
            definition: Some(Rc::clone(definition)),
            parent: scope.clone(),
        });
        let frame = Frame {
            source: Rc::clone(source),
            globals: Rc::clone(globals),
            scope: Some(Rc::clone(&scope)),
            imports: Rc::clone(imports),
        };
        let result = match &definition.body {
            FunctionBody::Expression(body) => self.eval(&frame, body),
            FunctionBody::Statements(body) => match self.run(&frame, body) {
                Ok(Flow::Return(value)) => Ok(value),
                Ok(_) => Ok(Value::None),
                Err(fault) => Err(fault),
            },
        };
        drop(frame);
        self.note_captured(&scope)?;
        let result = result?;
        self.leave();
        self.calls -= 1;
        Ok(result)
    }

    /// Remembers variables that a function still refers to.
    pub(super) fn note_captured(&mut self, scope: &Rc<Scope>) -> Result<()> {
        if Rc::strong_count(scope) > 1 {
            self.captured.push(Rc::downgrade(scope));
            self.budget.values(1)?;
        }
        Ok(())
    }

    /// Frees what functions and variables keep alive between them. No function is called afterwards.
    pub(crate) fn release(&mut self, globals: &Dict) {
        globals.entries.borrow_mut().clear();
        for scope in self.captured.drain(..) {
            if let Some(scope) = scope.upgrade() {
                scope.variables.borrow_mut().clear();
            }
        }
    }

    fn bind_parameters(
        &mut self,
        definition: &FunctionDef,
        defaults: &[Option<Value>],
        arguments: Arguments,
    ) -> Result<IndexMap<Rc<str>, Value>> {
        let FunctionDef { name: function, parameters, rest, keywords, .. } = definition;
        self.budget.values(parameters.len() + arguments.positional.len() + arguments.keywords.len())?;
        let mut variables = IndexMap::default();
        let by_position = parameters.iter().filter(|parameter| parameter.kind != ParameterKind::KeywordOnly);
        let mut positional = arguments.positional.into_iter();
        for parameter in by_position {
            match positional.next() {
                Some(value) => variables.insert(Rc::clone(&parameter.name), value),
                None => break,
            };
        }
        let surplus: Vec<Value> = positional.collect();
        match rest {
            Some(rest) => {
                variables.insert(Rc::clone(rest), Value::tuple(surplus));
            }
            None if !surplus.is_empty() => {
                let most = parameters.iter().filter(|parameter| parameter.kind != ParameterKind::KeywordOnly).count();
                let given = most + surplus.len();
                return Err(Fault::type_error(format!(
                    "{function}() takes {most} positional arguments but {given} were given"
                )));
            }
            None => {}
        }
        let others = Dict::new(false);
        for (name, value, origin) in arguments.keywords {
            let is_parameter = |parameter: &&crate::syntax::ast::Parameter| {
                parameter.name == name && parameter.kind != ParameterKind::PositionOnly
            };
            if parameters.iter().find(is_parameter).is_some() {
                if variables.insert(Rc::clone(&name), value).is_some() {
                    let message = format!("{function}() got multiple values for argument '{name}'");
                    return Err(Fault::type_error(message));
                }
            } else if keywords.is_some() {
                others.insert((&*name).into(), value, origin);
            } else {
                let message = format!("{function}() got an unexpected keyword argument '{name}'");
                return Err(Fault::type_error(message));
            }
        }
        for (parameter, default) in parameters.iter().zip(defaults) {
            if variables.contains_key(&parameter.name) {
                continue;
            }
            match default {
                Some(default) => {
                    variables.insert(Rc::clone(&parameter.name), default.clone());
                }
                None => {
                    let message = format!("{function}() missing a required argument: '{}'", parameter.name);
                    return Err(Fault::type_error(message));
                }
            }
        }
        if let Some(keywords) = keywords {
            variables.insert(Rc::clone(keywords), Value::Dict(Rc::new(others)));
        }
        Ok(variables)
    }
}
