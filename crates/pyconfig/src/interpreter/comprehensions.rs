//! Comprehensions and generators.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Frame, Interpreter};
use crate::error::Result;
use crate::origin::Origin;
use crate::syntax::ast::{Comprehension, ComprehensionKind};
use crate::value::key::Key;
use crate::value::{Dict, IndexMap, Iterator, PendingGenerator, Scope, Set, Value, iterate};

/// The results of a comprehension so far.
enum Results {
    Items(Vec<Value>),
    Set(IndexMap<Key, ()>),
    Dict(Dict),
    /// The first item for which `ends` is true; nothing is evaluated after it.
    First {
        ends: fn(&Value) -> bool,
        found: Option<Value>,
    },
}

impl Results {
    fn are_complete(&self) -> bool {
        matches!(self, Self::First { found: Some(_), .. })
    }
}

impl Interpreter {
    /// The value of a comprehension. A generator is evaluated at once, unless it is assigned to a variable.
    pub(super) fn comprehension(&mut self, frame: &Frame, comprehension: &Comprehension) -> Result<Value> {
        let results = match comprehension.kind {
            ComprehensionKind::List | ComprehensionKind::Generator => Results::Items(Vec::new()),
            ComprehensionKind::Set => Results::Set(IndexMap::default()),
            ComprehensionKind::Dict => Results::Dict(Dict::new(false)),
        };
        let iterable = self.first_iterable(frame, comprehension)?;
        Ok(match (self.results(frame, comprehension, iterable, results)?, comprehension.kind) {
            (Results::Items(items), ComprehensionKind::Generator) => Value::iterator(items, "generator"),
            (Results::Items(items), _) => Value::list(items),
            (Results::Set(keys), _) => Value::Set(Rc::new(Set { keys: keys.into(), is_frozen: false })),
            (Results::Dict(dict), _) => Value::Dict(Rc::new(dict)),
            (Results::First { found, .. }, _) => found.unwrap_or(Value::None),
        })
    }

    /// The first item of a generator for which `ends` is true; the generator ends with it.
    pub(super) fn first_item(
        &mut self,
        frame: &Frame,
        generator: &Comprehension,
        ends: fn(&Value) -> bool,
    ) -> Result<Option<Value>> {
        let iterable = self.first_iterable(frame, generator)?;
        match self.results(frame, generator, iterable, Results::First { ends, found: None })? {
            Results::First { found, .. } => Ok(found),
            _ => Ok(None),
        }
    }

    /// A generator that is evaluated when the variable that it is assigned to is used: what it refers to may change.
    pub(super) fn pending(&mut self, frame: &Frame, comprehension: &Rc<Comprehension>) -> Result<Value> {
        let iterable = self.first_iterable(frame, comprehension)?;
        iterate::check(&iterable)?;
        if let Some(scope) = &frame.scope {
            self.captured.push(Rc::downgrade(scope));
        }
        self.budget.values(4)?;
        let pending = PendingGenerator { frame: frame.clone(), comprehension: Rc::clone(comprehension), iterable };
        Ok(Value::Iterator(Rc::new(Iterator {
            items: RefCell::default(),
            pending: RefCell::new(Some(Box::new(pending))),
            type_name: "generator",
        })))
    }

    /// Evaluates a generator that a variable holds, if it has not been.
    pub(super) fn evaluate_pending(&mut self, value: &Value) -> Result<()> {
        let Value::Iterator(iterator) = value else { return Ok(()) };
        let Some(pending) = iterator.pending.take() else { return Ok(()) };
        let PendingGenerator { frame, comprehension, iterable } = *pending;
        if let Results::Items(items) = self.results(&frame, &comprehension, iterable, Results::Items(Vec::new()))? {
            *iterator.items.borrow_mut() = items.into_iter();
        }
        Ok(())
    }

    /// The first iterable, which is evaluated outside of the comprehension.
    fn first_iterable(&mut self, frame: &Frame, comprehension: &Comprehension) -> Result<Value> {
        match comprehension.clauses.first() {
            Some(first) => self.eval(frame, &first.iterable),
            None => Ok(Value::None),
        }
    }

    fn results(
        &mut self,
        frame: &Frame,
        comprehension: &Comprehension,
        iterable: Value,
        mut results: Results,
    ) -> Result<Results> {
        let Some(first) = comprehension.clauses.first() else { return Ok(results) };
        let scope = Scope { variables: RefCell::default(), definition: None, parent: frame.scope.clone() };
        let mut inner = frame.inner(scope);
        let outcome = self.first_clause(&inner, comprehension, &iterable, &mut results);
        if let Some(scope) = inner.scope.take() {
            drop(inner);
            self.note_captured(&scope)?;
        }
        outcome.map_err(|fault| fault.at(&frame.source, first.iterable.at))?;
        Ok(results)
    }

    fn first_clause(
        &mut self,
        frame: &Frame,
        comprehension: &Comprehension,
        iterable: &Value,
        results: &mut Results,
    ) -> Result<()> {
        if let Value::Iterator(iterator) = iterable {
            // An iterator keeps the items after the one that completes the results.
            while !results.are_complete() {
                let Some(item) = iterator.rest()?.next() else { break };
                self.clause(frame, comprehension, 0, vec![item], results)?;
            }
            return Ok(());
        }
        let items = iterate::items(&mut self.budget, iterable)?;
        self.clause(frame, comprehension, 0, items, results)
    }

    /// Runs the clause at `index` over `items`, and the clauses after it for each of them.
    fn clause(
        &mut self,
        frame: &Frame,
        comprehension: &Comprehension,
        index: usize,
        items: Vec<Value>,
        results: &mut Results,
    ) -> Result<()> {
        let Some(clause) = comprehension.clauses.get(index) else { return Ok(()) };
        'items: for item in items {
            self.assign(frame, &clause.target, item)?;
            for condition in &clause.conditions {
                let condition = self.eval(frame, condition)?;
                if !Self::truth(&condition) {
                    continue 'items;
                }
            }
            match comprehension.clauses.get(index + 1) {
                Some(next) => {
                    let iterable = self.eval(frame, &next.iterable)?;
                    let items = iterate::items(&mut self.budget, &iterable)
                        .map_err(|fault| fault.at(&frame.source, next.iterable.at))?;
                    self.clause(frame, comprehension, index + 1, items, results)?;
                }
                None => self.add(frame, comprehension, results)?,
            }
            if results.are_complete() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn add(&mut self, frame: &Frame, comprehension: &Comprehension, results: &mut Results) -> Result<()> {
        let element = self.eval(frame, &comprehension.element)?;
        self.budget.values(1)?;
        match results {
            Results::Items(items) => items.push(element),
            Results::First { ends, found } => {
                if ends(&element) {
                    *found = Some(element);
                }
            }
            Results::Set(keys) => {
                let key = Key::new(&mut self.budget, element)
                    .map_err(|fault| fault.at(&frame.source, comprehension.element.at))?;
                keys.insert(key, ());
            }
            Results::Dict(dict) => {
                let key = Key::new(&mut self.budget, element)
                    .map_err(|fault| fault.at(&frame.source, comprehension.element.at))?;
                let value = match &comprehension.value {
                    Some(value) => self.eval(frame, value)?,
                    None => Value::None,
                };
                dict.insert(key, value, Some(Origin::new(&frame.source, comprehension.element.at)));
            }
        }
        Ok(())
    }
}
