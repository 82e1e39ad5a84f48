//! `itertools`, as far as its iterators end. They are evaluated at once.

use super::numbers::index;
use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::limits;
use crate::syntax::ast::BinaryOp;
use crate::value::{Value, compare, iterate};

pub(super) const FUNCTIONS: [&str; 13] = [
    "itertools.accumulate",
    "itertools.chain",
    "itertools.combinations",
    "itertools.combinations_with_replacement",
    "itertools.dropwhile",
    "itertools.islice",
    "itertools.pairwise",
    "itertools.permutations",
    "itertools.product",
    "itertools.repeat",
    "itertools.starmap",
    "itertools.takewhile",
    "itertools.zip_longest",
];

/// `itertools.chain.from_iterable`.
pub(crate) const FROM_ITERABLE: &str = "itertools.chain.from_iterable";

pub(super) fn call(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    let items = match name {
        "accumulate" => accumulate(interpreter, arguments)?,
        "chain" => chain(interpreter, no_keywords(name, arguments)?)?,
        "chain.from_iterable" => {
            let iterables = iterate::items(&mut interpreter.budget, &arguments.one(name)?)?;
            chain(interpreter, iterables)?
        }
        "product" => product(interpreter, arguments)?,
        "islice" => return islice(interpreter, no_keywords(name, arguments)?),
        "pairwise" => {
            let items = iterate::items(&mut interpreter.budget, &arguments.one(name)?)?;
            interpreter.budget.values(items.len().saturating_mul(4))?;
            items.windows(2).map(|pair| Value::tuple(pair.to_vec())).collect()
        }
        "repeat" => {
            let [value, times] = arguments.bind(name, ["object", "times"], 1)?;
            let Some(times) = times else {
                return Err(Fault::refused("`itertools.repeat` without a number of times, which never ends"));
            };
            let times = usize::try_from(index(&times)?).unwrap_or(0);
            interpreter.budget.values(times)?;
            vec![value.unwrap_or(Value::None); times]
        }
        "starmap" => starmap(interpreter, arguments)?,
        "takewhile" | "dropwhile" => take_or_drop(interpreter, name, arguments)?,
        "zip_longest" => zip_longest(interpreter, arguments)?,
        _ => choices(interpreter, name, arguments)?,
    };
    Ok(Value::iterator(items, "itertools"))
}

fn no_keywords(name: &str, arguments: Arguments) -> Result<Vec<Value>> {
    if !arguments.keywords.is_empty() {
        return Err(Fault::type_error(format!("{name}() takes no keyword arguments")));
    }
    Ok(arguments.positional)
}

fn chain(interpreter: &mut Interpreter, iterables: Vec<Value>) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    for iterable in iterables {
        items.extend(iterate::items(&mut interpreter.budget, &iterable)?);
    }
    Ok(items)
}

fn accumulate(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Vec<Value>> {
    let [iterable, function, initial] = arguments.bind("accumulate", ["iterable", "func", "*initial"], 1)?;
    let mut items = iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))?.into_iter();
    let initial = initial.filter(|value| !matches!(value, Value::None));
    let Some(mut total) = initial.or_else(|| items.next()) else { return Ok(Vec::new()) };
    let mut totals = vec![total.clone()];
    for item in items {
        total = match &function {
            None | Some(Value::None) => interpreter.binary(BinaryOp::Add, &total, &item)?,
            Some(function) => interpreter.call_value(function, Arguments::of(vec![total, item]))?,
        };
        interpreter.budget.values(1)?;
        totals.push(total.clone());
    }
    Ok(totals)
}

/// Every choice of one item of each iterable, the last of which changes fastest.
fn product(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Vec<Value>> {
    let Arguments { positional, keywords } = arguments;
    let mut times = 1;
    for (keyword, value, _) in &keywords {
        if &**keyword != "repeat" {
            return Err(Fault::type_error(format!("product() got an unexpected keyword argument '{keyword}'")));
        }
        times = index(value)?;
    }
    if times < 0 {
        return Err(Fault::value_error("repeat argument cannot be negative"));
    }
    let mut pools = Vec::new();
    for iterable in &positional {
        pools.push(iterate::items(&mut interpreter.budget, iterable)?);
    }
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for _ in 0..if pools.is_empty() { 0 } else { times } {
        for pool in &pools {
            let mut longer = Vec::new();
            for row in &rows {
                for item in pool {
                    interpreter.budget.values(row.len() + 3)?;
                    longer.push([row.as_slice(), std::slice::from_ref(item)].concat());
                }
            }
            rows = longer;
            interpreter.budget.step(1)?;
        }
    }
    Ok(rows.into_iter().map(Value::tuple).collect())
}

/// Combinations and permutations: tuples of items at different positions.
fn choices(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Vec<Value>> {
    let is_permutation = name == "permutations";
    let [iterable, count] = arguments.bind(name, ["iterable", "r"], if is_permutation { 1 } else { 2 })?;
    let pool = iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))?;
    let count = match count {
        None | Some(Value::None) if is_permutation => pool.len(),
        count => match usize::try_from(index(&count.unwrap_or(Value::None))?) {
            Ok(count) => count,
            Err(_) => return Err(Fault::value_error("r must be non-negative")),
        },
    };
    if count > pool.len() && name != "combinations_with_replacement" {
        return Ok(Vec::new());
    }
    if count > limits::NESTING as usize {
        return Err(Fault::limit(format!("{name} may have {} items each", limits::NESTING)));
    }
    let mut choice = Choice { pool: &pool, count, name, picked: Vec::new(), rows: Vec::new() };
    choice.pick(interpreter)?;
    Ok(choice.rows)
}

struct Choice<'a> {
    pool: &'a [Value],
    count: usize,
    name: &'a str,
    /// Positions in the pool.
    picked: Vec<usize>,
    rows: Vec<Value>,
}

impl Choice<'_> {
    fn pick(&mut self, interpreter: &mut Interpreter) -> Result<()> {
        interpreter.budget.step(1)?;
        if self.picked.len() == self.count {
            interpreter.budget.values(self.count + 3)?;
            let row = self.picked.iter().filter_map(|at| self.pool.get(*at).cloned()).collect();
            self.rows.push(Value::tuple(row));
            return Ok(());
        }
        let first = match (self.name, self.picked.last()) {
            ("permutations", _) | (_, None) => 0,
            ("combinations", Some(last)) => last + 1,
            (_, Some(last)) => *last,
        };
        for at in first..self.pool.len() {
            interpreter.budget.step(1)?;
            if self.name == "permutations" && self.picked.contains(&at) {
                continue;
            }
            self.picked.push(at);
            self.pick(interpreter)?;
            self.picked.pop();
        }
        Ok(())
    }
}

/// `islice(iterable, stop)` or `islice(iterable, start, stop, step)`; an iterator keeps the items after the last one.
fn islice(interpreter: &mut Interpreter, arguments: Vec<Value>) -> Result<Value> {
    let bound = |value: Option<&Value>, default: usize| match value {
        None | Some(Value::None) => Ok(default),
        Some(value) => usize::try_from(index(value)?)
            .map_err(|_| Fault::value_error("indices for islice() must be None or an integer that is not negative")),
    };
    let (iterable, start, stop, step) = match arguments.as_slice() {
        [iterable, stop] => (iterable, 0, bound(Some(stop), usize::MAX)?, 1),
        [iterable, start, rest @ ..] if !rest.is_empty() && rest.len() < 3 => {
            (iterable, bound(Some(start), 0)?, bound(rest.first(), usize::MAX)?, bound(rest.get(1), 1)?)
        }
        _ => return Err(Fault::type_error("islice expected 2 to 4 arguments")),
    };
    if step == 0 {
        return Err(Fault::value_error("step for islice() must be a positive integer or None"));
    }
    let items = match iterable {
        Value::Iterator(iterator) => {
            let mut items = iterator.rest()?;
            interpreter.budget.values(items.len().min(stop))?;
            items.by_ref().take(stop).collect()
        }
        _ => iterate::items(&mut interpreter.budget, iterable)?,
    };
    Ok(Value::iterator(items.into_iter().take(stop).skip(start).step_by(step).collect(), "itertools"))
}

fn starmap(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Vec<Value>> {
    let [function, iterable] = super::functions::two("starmap", arguments)?;
    let mut results = Vec::new();
    for row in iterate::items(&mut interpreter.budget, &iterable)? {
        let row = iterate::items(&mut interpreter.budget, &row)?;
        results.push(interpreter.call_value(&function, Arguments::of(row))?);
    }
    Ok(results)
}

fn take_or_drop(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Vec<Value>> {
    let [test, iterable] = super::functions::two(name, arguments)?;
    let items = iterate::items(&mut interpreter.budget, &iterable)?;
    let mut passed = 0;
    for item in &items {
        let passes = interpreter.call_value(&test, Arguments::of(vec![item.clone()]))?;
        if !compare::truth(&passes) {
            break;
        }
        passed += 1;
    }
    let (first, rest) = items.split_at(passed);
    Ok(if name == "takewhile" { first.to_vec() } else { rest.to_vec() })
}

fn zip_longest(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Vec<Value>> {
    let mut fill = Value::None;
    for (keyword, value, _) in arguments.keywords {
        if &*keyword != "fillvalue" {
            return Err(Fault::type_error(format!("zip_longest() got an unexpected keyword argument '{keyword}'")));
        }
        fill = value;
    }
    let mut columns = Vec::new();
    for iterable in &arguments.positional {
        columns.push(iterate::items(&mut interpreter.budget, iterable)?);
    }
    let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
    interpreter.budget.values(longest.saturating_mul(columns.len() + 2))?;
    let mut rows = Vec::with_capacity(longest);
    for at in 0..longest {
        rows.push(Value::tuple(columns.iter().map(|column| column.get(at).unwrap_or(&fill).clone()).collect()));
    }
    Ok(rows)
}
