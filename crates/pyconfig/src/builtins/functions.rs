//! Built-in functions.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use super::{Builtin, Method, modules};
use crate::error::{ErrorKind, Fault, Result};
use crate::format;
use crate::interpreter::{Arguments, Interpreter};
use crate::limits;
use crate::syntax::ast::BinaryOp;
use crate::value::key::Key;
use crate::value::number::{self, Number, as_big, integer};
use crate::value::{Dict, Range, Set, Value, View, compare, copy, cycle, iterate, repr};

/// Calls a built-in function or type.
pub(crate) fn call(interpreter: &mut Interpreter, builtin: Builtin, arguments: Arguments) -> Result<Value> {
    let name = builtin.name();
    match name {
        "dict" | "ConfigDict" => dict(interpreter, name, arguments),
        "list" => Ok(Value::list(optional_items(interpreter, name, arguments)?)),
        "tuple" => tuple(interpreter, arguments),
        "set" | "frozenset" => {
            let set = Set { keys: RefCell::default(), is_frozen: name == "frozenset" };
            for item in optional_items(interpreter, name, arguments)? {
                set.keys.borrow_mut().insert(Key::new(&mut interpreter.budget, item)?, ());
            }
            Ok(Value::Set(Rc::new(set)))
        }
        "str" => str(interpreter, arguments),
        "int" => int(interpreter, arguments),
        "float" => float(arguments),
        "bool" => {
            let [value] = arguments.bind("bool", ["x"], 0)?;
            Ok(Value::Bool(value.as_ref().is_some_and(compare::truth)))
        }
        "range" => range(arguments),
        "slice" => slice(arguments),
        "enumerate" => enumerate(interpreter, arguments),
        "zip" => zip(interpreter, arguments),
        "map" => map(interpreter, arguments),
        "filter" => filter(interpreter, arguments),
        "reversed" => reversed(interpreter, arguments),
        "sorted" => sorted(interpreter, arguments),
        "min" | "max" => extreme(interpreter, name, arguments),
        "sum" => sum(interpreter, arguments),
        "any" | "all" => {
            let value = arguments.one(name)?;
            let items = iterate::items(&mut interpreter.budget, &value)?;
            let decides = name == "any";
            Ok(Value::Bool(items.iter().any(|item| compare::truth(item) == decides) == decides))
        }
        "len" => {
            let length = iterate::length(&arguments.one("len")?)?;
            Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
        }
        "abs" => abs(&arguments.one("abs")?),
        "round" => round(arguments),
        "divmod" => {
            let [left, right] = two("divmod", arguments)?;
            let quotient = interpreter.binary(BinaryOp::FloorDiv, &left, &right)?;
            let rest = interpreter.binary(BinaryOp::Mod, &left, &right)?;
            Ok(Value::tuple(vec![quotient, rest]))
        }
        "pow" => pow(interpreter, arguments),
        "repr" | "ascii" => {
            let text = repr::repr(&mut interpreter.budget, &arguments.one(name)?)?;
            Ok(Value::str(if name == "ascii" { format::ascii(&text) } else { text }))
        }
        "format" => {
            let [value, spec] = arguments.bind("format", ["value", "format_spec"], 1)?;
            let spec = match spec {
                None => Rc::from(""),
                Some(Value::Str(spec)) => spec,
                Some(_) => return Err(Fault::type_error("format() argument 2 must be str")),
            };
            Ok(Value::str(interpreter.format_value(&value.unwrap_or(Value::None), None, &spec)?))
        }
        "bin" | "oct" | "hex" => based(name, &arguments.one(name)?),
        "chr" => chr(&arguments.one("chr")?),
        "ord" => ord(&arguments.one("ord")?),
        "isinstance" | "issubclass" => {
            let [value, types] = two(name, arguments)?;
            if name == "issubclass" {
                return Err(Fault::refused("issubclass"));
            }
            is_instance(interpreter, &value, &types, 0).map(Value::Bool)
        }
        "hasattr" => {
            let [value, attribute] = two("hasattr", arguments)?;
            Ok(Value::Bool(find_attribute(interpreter, &value, &attribute)?.is_some()))
        }
        "getattr" => {
            let [value, attribute, default] = arguments.bind("getattr", ["object", "name", "default"], 2)?;
            let (value, attribute) = (value.unwrap_or(Value::None), attribute.unwrap_or(Value::None));
            match (find_attribute(interpreter, &value, &attribute)?, default) {
                (Some(found), _) | (None, Some(found)) => Ok(found),
                (None, None) => Err(Fault::attribute_error(format!(
                    "'{}' object has no attribute {}",
                    value.type_name(),
                    repr::repr(&mut interpreter.budget, &attribute)?
                ))),
            }
        }
        "callable" => {
            let value = arguments.one("callable")?;
            let is_callable =
                matches!(value, Value::Function(_) | Value::Builtin(_) | Value::Method(_) | Value::Lazy(_));
            Ok(Value::Bool(is_callable))
        }
        "iter" => {
            let value = arguments.one("iter")?;
            match value {
                Value::Iterator(_) => Ok(value),
                _ => Ok(Value::iterator(iterate::items(&mut interpreter.budget, &value)?, "iterator")),
            }
        }
        "next" => next(arguments),
        "print" => Ok(Value::None),
        "globals" | "locals" | "vars" => Err(Fault::refused(format!("`{name}` that is not called directly"))),
        "type" => type_of(&arguments.one("type")?),
        "setattr" => {
            let [object, name, value] = arguments.bind("setattr", ["obj", "name", "value"], 3)?;
            let Some(Value::Str(name)) = name else { return Err(Fault::type_error("attribute name must be string")) };
            let (object, value) = (object.unwrap_or(Value::None), value.unwrap_or(Value::None));
            interpreter.set_attribute(&object, &name, &value, None)?;
            Ok(Value::None)
        }
        "hash" | "id" => Err(Fault::refused(format!("`{name}`, whose result differs from run to run"))),
        "read_base" => Err(Fault::refused("`read_base()` outside of `with read_base():`")),
        _ => modules::call(interpreter, name, arguments),
    }
}

fn two(function: &str, arguments: Arguments) -> Result<[Value; 2]> {
    let found = arguments.positional.len();
    match <[Value; 2]>::try_from(arguments.positional) {
        Ok(pair) if arguments.keywords.is_empty() => Ok(pair),
        _ => Err(Fault::type_error(format!("{function}() expected 2 arguments, got {found}"))),
    }
}

/// The items of the only argument, or none.
fn optional_items(interpreter: &mut Interpreter, function: &str, arguments: Arguments) -> Result<Vec<Value>> {
    let [value] = arguments.bind(function, ["iterable"], 0)?;
    match value {
        Some(value) => iterate::items(&mut interpreter.budget, &value),
        None => Ok(Vec::new()),
    }
}

fn tuple(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    if let [value @ Value::Tuple(_)] = arguments.positional.as_slice()
        && arguments.keywords.is_empty()
    {
        return Ok(value.clone());
    }
    Ok(Value::tuple(optional_items(interpreter, "tuple", arguments)?))
}

/// `dict(mapping or pairs, **keywords)`.
fn dict(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    let Arguments { positional, keywords } = arguments;
    let dict = Rc::new(Dict::new(name == "ConfigDict"));
    if positional.len() > 1 {
        return Err(Fault::type_error(format!("dict expected at most 1 argument, got {}", positional.len())));
    }
    if let Some(value) = positional.first() {
        interpreter.extend_dict(&dict, value)?;
    }
    interpreter.budget.dict(keywords.len())?;
    for (name, value, origin) in keywords {
        let value = if dict.is_config.get() { copy::hook(&mut interpreter.budget, &value)? } else { value };
        dict.insert(Key::new(&mut interpreter.budget, Value::Str(name))?, value, origin);
    }
    Ok(Value::Dict(dict))
}

impl Interpreter {
    /// Adds the entries of a dict, or of pairs.
    pub(crate) fn extend_dict(&mut self, dict: &Rc<Dict>, value: &Value) -> Result<()> {
        if let Value::Dict(other) = value {
            self.budget.dict(other.len())?;
            for (key, entry) in other.snapshot() {
                let value =
                    if dict.is_config.get() { copy::hook(&mut self.budget, &entry.value)? } else { entry.value };
                cycle::refuse_in_dict(&mut self.budget, dict, &value)?;
                dict.insert(key, value, entry.origin);
            }
            return Ok(());
        }
        for (index, pair) in iterate::items(&mut self.budget, value)?.into_iter().enumerate() {
            let Ok(items) = iterate::items(&mut self.budget, &pair) else {
                let message = format!("cannot convert dictionary update sequence element #{index} to a sequence");
                return Err(Fault::type_error(message));
            };
            let length = items.len();
            let Ok([key, value]) = <[Value; 2]>::try_from(items) else {
                return Err(Fault::value_error(format!(
                    "dictionary update sequence element #{index} has length {length}; 2 is required"
                )));
            };
            let value = if dict.is_config.get() { copy::hook(&mut self.budget, &value)? } else { value };
            cycle::refuse_in_dict(&mut self.budget, dict, &value)?;
            dict.insert(Key::new(&mut self.budget, key)?, value, None);
        }
        Ok(())
    }
}

fn str(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [value] = arguments.bind("str", ["object"], 0)?;
    match value {
        None => Ok(Value::str("")),
        Some(value @ Value::Str(_)) => Ok(value),
        Some(value) => Ok(Value::str(repr::text(&mut interpreter.budget, &value)?)),
    }
}

fn int(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [value, base] = arguments.bind("int", ["x", "base"], 0)?;
    let Some(value) = value else { return Ok(Value::Int(0)) };
    let base = match base {
        None => None,
        Some(Value::Int(base)) => match u32::try_from(base) {
            Ok(base) if base == 0 || (2..=36).contains(&base) => Some(base),
            _ => return Err(Fault::value_error("int() base must be >= 2 and <= 36, or 0")),
        },
        Some(other) => {
            let message = format!("'{}' object cannot be interpreted as an integer", other.type_name());
            return Err(Fault::type_error(message));
        }
    };
    match (&value, base) {
        (Value::Str(text), base) => {
            let base = base.unwrap_or(10);
            interpreter.budget.items(text.len())?;
            let too_long = text.chars().filter(char::is_ascii_digit).count() > crate::limits::INTEGER_DIGITS;
            if too_long && !base.is_power_of_two() {
                return Err(Fault::value_error("Exceeds the limit (4300 digits) for integer string conversion"));
            }
            match number::parse_integer(text, base) {
                Some(parsed) => integer(parsed),
                None => Err(Fault::value_error(format!(
                    "invalid literal for int() with base {base}: {}",
                    repr::quoted(text)
                ))),
            }
        }
        (_, Some(_)) => Err(Fault::type_error("int() can't convert non-string with explicit base")),
        (Value::Float(float), None) => {
            if float.is_nan() {
                return Err(Fault::value_error("cannot convert float NaN to integer"));
            }
            match number::float_to_integer(float.trunc()) {
                Some(whole) => integer(whole),
                None => Err(Fault::overflow("cannot convert float infinity to integer")),
            }
        }
        _ => match as_big(&value) {
            Some(whole) => integer(whole),
            None => Err(Fault::type_error(format!(
                "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                value.type_name()
            ))),
        },
    }
}

fn float(arguments: Arguments) -> Result<Value> {
    let [value] = arguments.bind("float", ["x"], 0)?;
    let Some(value) = value else { return Ok(Value::Float(0.0)) };
    if let Value::Str(text) = &value {
        return match number::parse_float(text) {
            Some(parsed) => Ok(Value::Float(parsed)),
            None => Err(Fault::value_error(format!("could not convert string to float: {}", repr::quoted(text)))),
        };
    }
    match Number::of(&value) {
        Some(number) => Ok(Value::Float(number.float()?)),
        None => Err(Fault::type_error(format!(
            "float() argument must be a string or a real number, not '{}'",
            value.type_name()
        ))),
    }
}

/// A whole number that fits 64 bits.
pub(super) fn index(value: &Value) -> Result<i64> {
    match as_big(value) {
        Some(number) => match number.to_i64() {
            Some(number) => Ok(number),
            None => Err(Fault::overflow("Python int too large to convert to C ssize_t")),
        },
        None => Err(Fault::type_error(format!("'{}' object cannot be interpreted as an integer", value.type_name()))),
    }
}

fn range(arguments: Arguments) -> Result<Value> {
    if !arguments.keywords.is_empty() {
        return Err(Fault::type_error("range() takes no keyword arguments"));
    }
    let mut bounds = Vec::new();
    for value in &arguments.positional {
        bounds.push(index(value)?);
    }
    let (start, stop, step) = match bounds.as_slice() {
        [stop] => (0, *stop, 1),
        [start, stop] => (*start, *stop, 1),
        [start, stop, step] => (*start, *stop, *step),
        _ => {
            return Err(Fault::type_error(format!("range expected 1 to 3 arguments, got {}", bounds.len())));
        }
    };
    if step == 0 {
        return Err(Fault::value_error("range() arg 3 must not be zero"));
    }
    Ok(Value::Range(Rc::new(Range { start, stop, step })))
}

fn slice(arguments: Arguments) -> Result<Value> {
    let mut bounds = arguments.positional.into_iter();
    let values = match (bounds.next(), bounds.next(), bounds.next()) {
        (Some(stop), None, _) => [Value::None, stop, Value::None],
        (Some(start), Some(stop), step) => [start, stop, step.unwrap_or(Value::None)],
        (None, ..) => return Err(Fault::type_error("slice expected at least 1 argument, got 0")),
    };
    Ok(Value::Slice(Rc::new(values)))
}

fn enumerate(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [iterable, start] = arguments.bind("enumerate", ["iterable", "start"], 1)?;
    let items = iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))?;
    let mut at = match start {
        Some(start) => index(&start)?,
        None => 0,
    };
    interpreter.budget.dict(items.len())?;
    let mut pairs = Vec::with_capacity(items.len());
    for item in items {
        pairs.push(Value::tuple(vec![Value::Int(at), item]));
        at = at.saturating_add(1);
    }
    Ok(Value::iterator(pairs, "enumerate"))
}

fn zip(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let mut is_strict = false;
    for (name, value, _) in &arguments.keywords {
        if &**name != "strict" {
            return Err(Fault::type_error(format!("zip() got an unexpected keyword argument '{name}'")));
        }
        is_strict = compare::truth(value);
    }
    let mut columns = Vec::new();
    for value in &arguments.positional {
        columns.push(iterate::items(&mut interpreter.budget, value)?.into_iter());
    }
    let lengths: Vec<usize> = columns.iter().map(ExactSizeIterator::len).collect();
    let shortest = lengths.iter().min().copied().unwrap_or(0);
    if is_strict && lengths.iter().any(|length| *length != shortest) {
        return Err(Fault::value_error("zip() arguments have different lengths"));
    }
    interpreter.budget.values(shortest.saturating_mul(columns.len() + 2))?;
    let mut rows = Vec::with_capacity(shortest);
    for _ in 0..shortest {
        rows.push(Value::tuple(columns.iter_mut().filter_map(Iterator::next).collect()));
    }
    Ok(Value::iterator(rows, "zip"))
}

fn map(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let Some((function, iterables)) = arguments.positional.split_first() else {
        return Err(Fault::type_error("map() must have at least two arguments."));
    };
    if iterables.is_empty() {
        return Err(Fault::type_error("map() must have at least two arguments."));
    }
    let mut columns = Vec::new();
    for value in iterables {
        columns.push(iterate::items(&mut interpreter.budget, value)?.into_iter());
    }
    let shortest = columns.iter().map(ExactSizeIterator::len).min().unwrap_or(0);
    interpreter.budget.values(shortest)?;
    let mut results = Vec::with_capacity(shortest);
    for _ in 0..shortest {
        let row: Vec<Value> = columns.iter_mut().filter_map(Iterator::next).collect();
        results.push(interpreter.call_value(function, Arguments::of(row))?);
    }
    Ok(Value::iterator(results, "map"))
}

fn filter(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [function, iterable] = two("filter", arguments)?;
    let mut kept = Vec::new();
    for item in iterate::items(&mut interpreter.budget, &iterable)? {
        let keeps = match &function {
            Value::None => compare::truth(&item),
            function => {
                let result = interpreter.call_value(function, Arguments::of(vec![item.clone()]))?;
                compare::truth(&result)
            }
        };
        if keeps {
            kept.push(item);
        }
    }
    Ok(Value::iterator(kept, "filter"))
}

fn reversed(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let value = arguments.one("reversed")?;
    if matches!(value, Value::Set(_) | Value::Iterator(_)) {
        return Err(Fault::type_error(format!("'{}' object is not reversible", value.type_name())));
    }
    let mut items = iterate::items(&mut interpreter.budget, &value)?;
    items.reverse();
    Ok(Value::iterator(items, "reversed"))
}

fn sorted(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [iterable, key, reverse] = arguments.bind("sorted", ["iterable", "*key", "*reverse"], 1)?;
    let items = iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))?;
    Ok(Value::list(sort(interpreter, items, key, reverse)?))
}

/// Sorts values, stably, by a key function.
pub(super) fn sort(
    interpreter: &mut Interpreter,
    items: Vec<Value>,
    key: Option<Value>,
    reverse: Option<Value>,
) -> Result<Vec<Value>> {
    let reverse = reverse.as_ref().is_some_and(compare::truth);
    let mut keyed = Vec::with_capacity(items.len());
    for item in items {
        let by = match &key {
            None | Some(Value::None) => item.clone(),
            Some(function) => interpreter.call_value(function, Arguments::of(vec![item.clone()]))?,
        };
        keyed.push((by, item));
    }
    // Equal items keep their order, also if the order is reversed.
    if reverse {
        keyed.reverse();
    }
    let mut keyed = merge_sort(interpreter, keyed)?;
    if reverse {
        keyed.reverse();
    }
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

/// A stable sort whose comparison may fail.
fn merge_sort(interpreter: &mut Interpreter, mut items: Vec<(Value, Value)>) -> Result<Vec<(Value, Value)>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = items.split_off(items.len() / 2);
    let left = merge_sort(interpreter, items)?;
    let right = merge_sort(interpreter, right)?;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some((first, _)), Some((second, _))) = (left.peek(), right.peek()) {
        let order = compare::order(&mut interpreter.budget, second, first, "<")?;
        merged.extend(if order == Some(Ordering::Less) { right.next() } else { left.next() });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

fn extreme(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    let Arguments { positional, keywords } = arguments;
    let (mut key, mut default) = (None, None);
    for (keyword, value, _) in keywords {
        match &*keyword {
            "key" => key = Some(value),
            "default" => default = Some(value),
            _ => return Err(Fault::type_error(format!("{name}() got an unexpected keyword argument '{keyword}'"))),
        }
    }
    let items = match positional.as_slice() {
        [] => return Err(Fault::type_error(format!("{name} expected at least 1 argument, got 0"))),
        [iterable] => iterate::items(&mut interpreter.budget, iterable)?,
        _ => positional,
    };
    let symbol = if name == "min" { "<" } else { ">" };
    let wanted = if name == "min" { Ordering::Less } else { Ordering::Greater };
    let mut best: Option<(Value, Value)> = None;
    for item in items {
        let by = match &key {
            None | Some(Value::None) => item.clone(),
            Some(function) => interpreter.call_value(function, Arguments::of(vec![item.clone()]))?,
        };
        let is_better = match &best {
            None => true,
            Some((best, _)) => compare::order(&mut interpreter.budget, &by, best, symbol)? == Some(wanted),
        };
        if is_better {
            best = Some((by, item));
        }
    }
    match (best, default) {
        (Some((_, item)), _) | (None, Some(item)) => Ok(item),
        (None, None) => Err(Fault::value_error(format!("{name}() arg is an empty sequence"))),
    }
}

fn sum(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [iterable, start] = arguments.bind("sum", ["iterable", "start"], 1)?;
    let mut total = start.unwrap_or(Value::Int(0));
    if matches!(total, Value::Str(_)) {
        return Err(Fault::type_error("sum() can't sum strings [use ''.join(seq) instead]"));
    }
    for item in iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))? {
        total = interpreter.binary(BinaryOp::Add, &total, &item)?;
    }
    Ok(total)
}

fn abs(value: &Value) -> Result<Value> {
    match Number::of(value) {
        Some(Number::Float(value)) => Ok(Value::Float(value.abs())),
        Some(_) => integer(as_big(value).unwrap_or_default().abs()),
        None => Err(Fault::type_error(format!("bad operand type for abs(): '{}'", value.type_name()))),
    }
}

fn round(arguments: Arguments) -> Result<Value> {
    let [value, digits] = arguments.bind("round", ["number", "ndigits"], 1)?;
    let value = value.unwrap_or(Value::None);
    let digits = match digits {
        None | Some(Value::None) => None,
        Some(digits) => Some(index(&digits)?),
    };
    match (Number::of(&value), digits) {
        (Some(Number::Float(value)), Some(digits)) => Ok(Value::Float(format::round_to_digits(value, digits))),
        (Some(Number::Float(value)), None) => {
            if value.is_nan() {
                return Err(Fault::value_error("cannot convert float NaN to integer"));
            }
            match number::float_to_integer(value.round_ties_even()) {
                Some(whole) => integer(whole),
                None => Err(Fault::overflow("cannot convert float infinity to integer")),
            }
        }
        (Some(_), Some(digits)) if digits < 0 => round_integer(&as_big(&value).unwrap_or_default(), digits),
        (Some(_), _) => integer(as_big(&value).unwrap_or_default()),
        (None, _) => Err(Fault::type_error(format!("type {} doesn't define __round__ method", value.type_name()))),
    }
}

/// A whole number rounded to tens, hundreds and so on, ties to even.
fn round_integer(value: &BigInt, digits: i64) -> Result<Value> {
    let places = usize::try_from(-digits).unwrap_or(usize::MAX);
    if places > value.to_string().len() {
        return Ok(Value::Int(0));
    }
    let unit = num_traits::pow(BigInt::from(10), places);
    let half: BigInt = &unit / 2;
    let (mut quotient, rest) = num_integer::Integer::div_mod_floor(value, &unit);
    if rest > half || rest == half && num_integer::Integer::is_odd(&quotient) {
        quotient += 1;
    }
    integer(quotient * unit)
}

fn pow(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [base, exponent, modulus] = arguments.bind("pow", ["base", "exp", "mod"], 2)?;
    let (base, exponent) = (base.unwrap_or(Value::None), exponent.unwrap_or(Value::None));
    let Some(modulus) = modulus else { return interpreter.binary(BinaryOp::Pow, &base, &exponent) };
    match (as_big(&base), as_big(&exponent), as_big(&modulus)) {
        (Some(base), Some(exponent), Some(modulus)) => {
            if modulus.bits() == 0 {
                return Err(Fault::value_error("pow() 3rd argument cannot be 0"));
            }
            let (mut base, mut exponent) = (base, exponent);
            if exponent.is_negative() {
                match base.modinv(&modulus) {
                    Some(inverse) => (base, exponent) = (inverse, -exponent),
                    None => return Err(Fault::value_error("base is not invertible for the given modulus")),
                }
            }
            let words = modulus.bits() / 64 + 1;
            interpreter.budget.step(exponent.bits().saturating_mul(words * words) / 64)?;
            integer(base.modpow(&exponent, &modulus))
        }
        _ => Err(Fault::type_error("pow() 3rd argument not allowed unless all arguments are integers")),
    }
}

fn based(name: &str, value: &Value) -> Result<Value> {
    let Some(number) = as_big(value) else {
        let message = format!("'{}' object cannot be interpreted as an integer", value.type_name());
        return Err(Fault::type_error(message));
    };
    let (prefix, radix) = match name {
        "bin" => ("0b", 2),
        "oct" => ("0o", 8),
        _ => ("0x", 16),
    };
    let sign = if number.is_negative() { "-" } else { "" };
    Ok(Value::str(format!("{sign}{prefix}{}", number.magnitude().to_str_radix(radix))))
}

fn chr(value: &Value) -> Result<Value> {
    match u32::try_from(index(value)?).ok().and_then(char::from_u32) {
        Some(c) => Ok(Value::str(c.to_string())),
        None => Err(Fault::value_error("chr() arg not in range(0x110000)")),
    }
}

fn ord(value: &Value) -> Result<Value> {
    let Value::Str(text) = value else {
        let message = format!("ord() expected string of length 1, but {} found", value.type_name());
        return Err(Fault::type_error(message));
    };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(c), None) => Ok(Value::Int(i64::from(u32::from(c)))),
        _ => {
            let message = format!("ord() expected a character, but string of length {} found", text.chars().count());
            Err(Fault::type_error(message))
        }
    }
}

fn is_instance(interpreter: &mut Interpreter, value: &Value, types: &Value, depth: u32) -> Result<bool> {
    if depth > limits::NESTING {
        return Err(Fault::limit(format!("values are nested more than {} deep", limits::NESTING)));
    }
    interpreter.budget.step(1)?;
    match types {
        Value::Tuple(types) => {
            for one in &types.0 {
                if is_instance(interpreter, value, one, depth + 1)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Builtin(builtin) if builtin.is_type() => Ok(match builtin.name() {
            "bool" => matches!(value, Value::Bool(_)),
            "int" => matches!(value, Value::Bool(_) | Value::Int(_) | Value::Big(_)),
            "float" => matches!(value, Value::Float(_)),
            "str" => matches!(value, Value::Str(_)),
            "list" => matches!(value, Value::List(_)),
            "tuple" => matches!(value, Value::Tuple(_)),
            "dict" => matches!(value, Value::Dict(_)),
            "ConfigDict" => matches!(value, Value::Dict(dict) if dict.is_config.get()),
            "NoneType" => matches!(value, Value::None),
            "set" => matches!(value, Value::Set(set) if !set.is_frozen),
            "frozenset" => matches!(value, Value::Set(set) if set.is_frozen),
            "range" => matches!(value, Value::Range(_)),
            name => matches!(value, Value::Iterator(iterator) if iterator.type_name == name),
        }),
        _ => Err(Fault::type_error("isinstance() arg 2 must be a type, a tuple of types, or a union")),
    }
}

/// The attribute, if the value has it.
fn find_attribute(interpreter: &mut Interpreter, value: &Value, attribute: &Value) -> Result<Option<Value>> {
    let Value::Str(name) = attribute else {
        return Err(Fault::type_error("attribute name must be string"));
    };
    match interpreter.attribute(value, name) {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.kind() == ErrorKind::Python("AttributeError") => Ok(None),
        Err(fault) => Err(fault),
    }
}

fn next(arguments: Arguments) -> Result<Value> {
    let [iterator, default] = arguments.bind("next", ["iterator", "default"], 1)?;
    let Some(Value::Iterator(iterator)) = &iterator else {
        let type_name = iterator.as_ref().map_or("NoneType", Value::type_name);
        return Err(Fault::type_error(format!("'{type_name}' object is not an iterator")));
    };
    let item = iterator.items.borrow_mut().next();
    match (item, default) {
        (Some(item), _) | (None, Some(item)) => Ok(item),
        (None, None) => Err(Fault::new(ErrorKind::Python("StopIteration"), "")),
    }
}

/// The type of a value, for comparisons and for its name.
fn type_of(value: &Value) -> Result<Value> {
    match Builtin::find(value.type_name()) {
        Some(builtin) if builtin.is_type() => Ok(Value::Builtin(builtin)),
        _ => match value {
            Value::Dict(_) => Ok(Value::Builtin(Builtin::of_module("ConfigDict"))),
            Value::None => Ok(Value::Builtin(Builtin::of_module("NoneType"))),
            _ => Err(Fault::refused(format!("the type of a {}", value.type_name()))),
        },
    }
}

/// A method of a type: `dict.fromkeys(keys)`, or one with the value as the first argument, such as `str.lower`.
pub(super) fn call_type_method(
    interpreter: &mut Interpreter,
    builtin: Builtin,
    method: Method,
    mut arguments: Arguments,
) -> Result<Value> {
    if method.name() == "fromkeys" {
        return from_keys(interpreter, arguments);
    }
    if arguments.positional.is_empty() {
        let message = format!("unbound method {}.{}() needs an argument", builtin.name(), method.name());
        return Err(Fault::type_error(message));
    }
    let receiver = arguments.positional.remove(0);
    if !is_instance(interpreter, &receiver, &Value::Builtin(builtin), 0)? {
        return Err(Fault::type_error(format!(
            "descriptor '{}' for '{}' objects doesn't apply to a '{}' object",
            method.name(),
            builtin.name(),
            receiver.type_name()
        )));
    }
    super::call_method(interpreter, &receiver, method, arguments)
}

pub(super) fn from_keys(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [keys, value] = arguments.bind("fromkeys", ["iterable", "value"], 1)?;
    let value = value.unwrap_or(Value::None);
    let dict = Dict::new(false);
    for key in iterate::items(&mut interpreter.budget, &keys.unwrap_or(Value::None))? {
        dict.insert(Key::new(&mut interpreter.budget, key)?, value.clone(), None);
    }
    Ok(Value::Dict(Rc::new(dict)))
}

pub(super) fn call_number_method(value: &Value, name: &str, arguments: Arguments) -> Result<Value> {
    arguments.none(name)?;
    match (name, Number::of(value)) {
        ("is_integer", Some(Number::Float(value))) => Ok(Value::Bool(value.is_finite() && value.fract() == 0.0)),
        ("conjugate", Some(_)) => Ok(value.clone()),
        ("bit_length", Some(_)) => {
            let bits = as_big(value).unwrap_or_default().bits();
            Ok(Value::Int(i64::try_from(bits).unwrap_or(i64::MAX)))
        }
        ("bit_count", Some(_)) => {
            let ones: u64 = as_big(value)
                .unwrap_or_default()
                .magnitude()
                .iter_u64_digits()
                .map(|word| u64::from(word.count_ones()))
                .sum();
            Ok(Value::Int(i64::try_from(ones).unwrap_or(i64::MAX)))
        }
        _ => Err(Fault::attribute_error(format!("'{}' object has no attribute '{name}'", value.type_name()))),
    }
}

/// The items of a view as a value: used by `dict.items()` of a `ConfigDict`, which is a list.
pub(super) fn view_list(dict: &Rc<Dict>, view: View) -> Value {
    Value::list(iterate::view(dict, view))
}
