//! [`Interpreter`]: evaluates the statements of a config.

mod assign;
mod attributes;
mod calls;
mod comprehensions;
mod exceptions;
mod expressions;
mod functions;
mod operators;
mod statements;
mod subscripts;

use std::collections::HashSet;
use std::rc::{Rc, Weak};

use crate::budget::Budget;
use crate::error::{Fault, Result, Source};
use crate::limits;
use crate::value::{Dict, Scope, Value};

pub(crate) use calls::{Arguments, KeywordValue};
pub(crate) use operators::{keys, set_operation};
pub(crate) use statements::{Flow, is_read_base, module_path};

/// Evaluates statements and expressions, within the limits.
#[derive(Debug, Default)]
pub(crate) struct Interpreter {
    pub budget: Budget,
    /// Expressions and statements below each other.
    depth: u32,
    /// Calls of functions below each other.
    calls: u32,
    /// The variables of calls that functions refer to, and which may refer to these functions.
    captured: Vec<Weak<Scope>>,
}

/// Where code runs.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub source: Rc<Source>,
    pub globals: Rc<Dict>,
    /// The variables of the function or comprehension; `None` at the top level of the file.
    pub scope: Option<Rc<Scope>>,
    pub imports: Rc<Imports>,
}

/// What imports mean in a file.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    /// Whether the file is a lazy config, in which names of other packages are kept as text.
    pub is_lazy: bool,
    /// The bases of a lazy config, whose names are bound before it runs: `.._base_.default_runtime`.
    pub bases: HashSet<String>,
    /// Where packages are imported at the top level, which are bound before it runs.
    pub packages: HashSet<u32>,
}

impl Frame {
    /// The top level of a file.
    pub(crate) fn new(source: &Rc<Source>, globals: &Rc<Dict>, imports: Imports) -> Self {
        Self { source: Rc::clone(source), globals: Rc::clone(globals), scope: None, imports: Rc::new(imports) }
    }

    fn inner(&self, scope: Scope) -> Self {
        Self { scope: Some(Rc::new(scope)), ..self.clone() }
    }
}

impl Interpreter {
    /// Goes one level deeper; [`Self::leave`] goes back.
    fn enter(&mut self) -> Result<()> {
        self.budget.step(1)?;
        self.depth += 1;
        if self.depth > limits::DEPTH {
            return Err(Fault::limit(format!("expressions may be nested {} deep", limits::DEPTH)));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// The truth of a value.
    fn truth(value: &Value) -> bool {
        crate::value::compare::truth(value)
    }
}
