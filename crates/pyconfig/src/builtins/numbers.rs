//! Numbers, and characters as numbers.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use super::functions::two;
use crate::error::{Fault, Result};
use crate::format;
use crate::interpreter::{Arguments, Interpreter};
use crate::limits;
use crate::syntax::ast::BinaryOp;
use crate::value::number::{self, Number, as_big, integer};
use crate::value::{Value, repr};

pub(super) fn int(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
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
            let too_long = text.chars().filter(char::is_ascii_digit).count() > limits::INTEGER_DIGITS;
            if too_long && !base.is_power_of_two() {
                return Err(Fault::too_many_digits());
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

pub(super) fn float(arguments: Arguments) -> Result<Value> {
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

pub(super) fn abs(value: &Value) -> Result<Value> {
    match Number::of(value) {
        Some(Number::Float(value)) => Ok(Value::Float(value.abs())),
        Some(_) => integer(as_big(value).unwrap_or_default().abs()),
        None => Err(Fault::type_error(format!("bad operand type for abs(): '{}'", value.type_name()))),
    }
}

pub(super) fn round(arguments: Arguments) -> Result<Value> {
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

pub(super) fn divmod(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
    let [left, right] = two("divmod", arguments)?;
    let quotient = interpreter.binary(BinaryOp::FloorDiv, &left, &right)?;
    let rest = interpreter.binary(BinaryOp::Mod, &left, &right)?;
    Ok(Value::tuple(vec![quotient, rest]))
}

pub(super) fn pow(interpreter: &mut Interpreter, arguments: Arguments) -> Result<Value> {
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

pub(super) fn based(name: &str, value: &Value) -> Result<Value> {
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

pub(super) fn chr(value: &Value) -> Result<Value> {
    match u32::try_from(index(value)?).ok().and_then(char::from_u32) {
        Some(c) => Ok(Value::str(c.to_string())),
        None => Err(Fault::value_error("chr() arg not in range(0x110000)")),
    }
}

pub(super) fn ord(value: &Value) -> Result<Value> {
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
