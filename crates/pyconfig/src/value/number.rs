//! Arithmetic with Python's exact semantics.

use std::cmp::Ordering;
use std::rc::Rc;

use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};

use super::Value;
use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::limits;
use crate::syntax::ast::BinaryOp;

/// A number: bools are whole numbers.
#[derive(Debug, Clone)]
pub(crate) enum Number {
    Int(i64),
    Big(Rc<BigInt>),
    Float(f64),
}

impl Number {
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Int(i64::from(*value))),
            Value::Int(value) => Some(Self::Int(*value)),
            Value::Big(value) => Some(Self::Big(Rc::clone(value))),
            Value::Float(value) => Some(Self::Float(*value)),
            _ => None,
        }
    }

    /// The whole number; `None` for floats.
    fn big(&self) -> Option<BigInt> {
        match self {
            Self::Int(value) => Some(BigInt::from(*value)),
            Self::Big(value) => Some((**value).clone()),
            Self::Float(_) => None,
        }
    }

    /// The number as a float.
    pub(crate) fn float(&self) -> Result<f64> {
        match self {
            Self::Int(value) => Ok(*value as f64),
            Self::Big(value) => big_to_float(value),
            Self::Float(value) => Ok(*value),
        }
    }
}

/// A whole number as a value: small ones are `Int`.
pub(crate) fn integer(value: BigInt) -> Result<Value> {
    match value.to_i64() {
        Some(small) => Ok(Value::Int(small)),
        None if value.bits() > limits::INTEGER_BITS => {
            Err(Fault::limit(format!("whole numbers may have {} bits", limits::INTEGER_BITS)))
        }
        None => Ok(Value::Big(Rc::new(value))),
    }
}

/// The whole number that an int or a bool is.
pub(crate) fn as_big(value: &Value) -> Option<BigInt> {
    Number::of(value).and_then(|number| number.big())
}

/// The nearest float, ties to even.
fn big_to_float(value: &BigInt) -> Result<f64> {
    let bits = value.bits();
    if bits > 1024 {
        return Err(Fault::overflow("int too large to convert to float"));
    }
    let float = if bits <= 64 {
        // num-bigint truncates what does not fit; this conversion rounds.
        let magnitude = value.magnitude().to_u64().unwrap_or(u64::MAX) as f64;
        if value.is_negative() { -magnitude } else { magnitude }
    } else {
        quotient(value, &BigInt::from(1))?
    };
    if float.is_infinite() {
        return Err(Fault::overflow("int too large to convert to float"));
    }
    Ok(float)
}

/// The whole number that a float is, if it is one.
pub(crate) fn float_to_integer(value: f64) -> Option<BigInt> {
    if value.fract() == 0.0 { BigInt::from_f64(value) } else { None }
}

/// Whether two values are equal numbers; `None` if one of them is not a number.
pub(crate) fn integers_equal(left: &Value, right: &Value) -> Option<bool> {
    match (Number::of(left)?, Number::of(right)?) {
        (Number::Int(left), Number::Int(right)) => Some(left == right),
        (Number::Float(left), Number::Float(right)) => Some(left == right),
        (left, right) => Some(compare(&left, &right) == Some(Ordering::Equal)),
    }
}

/// The order of two numbers, exactly; `None` if one is not a number (NaN).
pub(crate) fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Int(left), Number::Int(right)) => Some(left.cmp(right)),
        (Number::Float(left), Number::Float(right)) => left.partial_cmp(right),
        (Number::Float(_), _) => compare(right, left).map(Ordering::reverse),
        (whole, Number::Float(float)) => {
            let whole = whole.big()?;
            if float.is_nan() {
                return None;
            }
            if float.is_infinite() {
                return Some(if *float > 0.0 { Ordering::Less } else { Ordering::Greater });
            }
            let floor = BigInt::from_f64(float.floor())?;
            match whole.cmp(&floor) {
                Ordering::Equal if float.fract() != 0.0 => Some(Ordering::Less),
                order => Some(order),
            }
        }
        (left, right) => Some(left.big()?.cmp(&right.big()?)),
    }
}

/// An arithmetic operation; `None` if one of the values is not a number.
pub(crate) fn arithmetic(budget: &mut Budget, op: BinaryOp, left: &Value, right: &Value) -> Option<Result<Value>> {
    if let (Value::Bool(left), Value::Bool(right)) = (left, right) {
        match op {
            BinaryOp::And => return Some(Ok(Value::Bool(left & right))),
            BinaryOp::Or => return Some(Ok(Value::Bool(left | right))),
            BinaryOp::Xor => return Some(Ok(Value::Bool(left ^ right))),
            _ => {}
        }
    }
    let (left, right) = (Number::of(left)?, Number::of(right)?);
    match (&left, &right) {
        (Number::Int(left), Number::Int(right)) => Some(small(budget, op, *left, *right)),
        (Number::Float(_), _) | (_, Number::Float(_)) => float_operands(op, &left, &right),
        _ => Some(big(budget, op, &left.big()?, &right.big()?)),
    }
}

/// With 64 bits where the result fits, and else with as many as it takes.
fn small(budget: &mut Budget, op: BinaryOp, left: i64, right: i64) -> Result<Value> {
    let result = match op {
        BinaryOp::Add => left.checked_add(right),
        BinaryOp::Sub => left.checked_sub(right),
        BinaryOp::Mul => left.checked_mul(right),
        BinaryOp::Or => Some(left | right),
        BinaryOp::Xor => Some(left ^ right),
        BinaryOp::And => Some(left & right),
        BinaryOp::Div if right != 0 && exact(left) && exact(right) => {
            return Ok(Value::Float(left as f64 / right as f64));
        }
        BinaryOp::FloorDiv if right > 0 => Some(left.div_euclid(right)),
        BinaryOp::Mod if right > 0 => Some(left.rem_euclid(right)),
        _ => None,
    };
    match result {
        Some(result) => Ok(Value::Int(result)),
        None => big(budget, op, &BigInt::from(left), &BigInt::from(right)),
    }
}

/// Whether a float holds the number exactly.
fn exact(value: i64) -> bool {
    value.unsigned_abs() <= 1 << 53
}

fn big(budget: &mut Budget, op: BinaryOp, left: &BigInt, right: &BigInt) -> Result<Value> {
    let words = |value: &BigInt| value.bits() / 64 + 1;
    budget.step(words(left) * words(right) / 256)?;
    match op {
        BinaryOp::Add => integer(left + right),
        BinaryOp::Sub => integer(left - right),
        BinaryOp::Mul => integer(left * right),
        BinaryOp::Div if right.is_zero() => Err(Fault::zero_division("division by zero")),
        BinaryOp::Div => Ok(Value::Float(quotient(left, right)?)),
        BinaryOp::FloorDiv | BinaryOp::Mod if right.is_zero() => {
            Err(Fault::zero_division("integer division or modulo by zero"))
        }
        BinaryOp::FloorDiv => integer(left.div_floor(right)),
        BinaryOp::Mod => integer(left.mod_floor(right)),
        BinaryOp::Pow => power(budget, left, right),
        BinaryOp::LeftShift | BinaryOp::RightShift if right.is_negative() => {
            Err(Fault::value_error("negative shift count"))
        }
        BinaryOp::LeftShift => shift_left(left, right),
        BinaryOp::RightShift => match right.to_u64() {
            Some(count) if count <= left.bits() => integer(left >> count),
            _ => Ok(Value::Int(if left.is_negative() { -1 } else { 0 })),
        },
        BinaryOp::Or => integer(left | right),
        BinaryOp::Xor => integer(left ^ right),
        BinaryOp::And => integer(left & right),
        BinaryOp::MatMul => Err(Fault::type_error("unsupported operand type(s) for @: 'int' and 'int'")),
    }
}

fn too_large() -> Fault {
    Fault::limit(format!("whole numbers may have {} bits", limits::INTEGER_BITS))
}

fn shift_left(left: &BigInt, count: &BigInt) -> Result<Value> {
    if left.is_zero() {
        return Ok(Value::Int(0));
    }
    match count.to_u64() {
        Some(count) if left.bits().saturating_add(count) <= limits::INTEGER_BITS => integer(left << count),
        _ => Err(too_large()),
    }
}

fn power(budget: &mut Budget, base: &BigInt, exponent: &BigInt) -> Result<Value> {
    if exponent.is_negative() {
        if base.is_zero() {
            return Err(Fault::zero_division("0.0 cannot be raised to a negative power"));
        }
        return Ok(Value::Float(big_to_float(base)?.powf(big_to_float(exponent)?)));
    }
    if base.magnitude().bits() <= 1 {
        let is_odd = exponent.is_odd();
        return Ok(Value::Int(match base.sign() {
            Sign::NoSign => i64::from(exponent.is_zero()),
            Sign::Minus if is_odd => -1,
            _ => 1,
        }));
    }
    let exponent = match exponent.to_u64() {
        Some(exponent) if (base.bits() - 1).saturating_mul(exponent) <= limits::INTEGER_BITS => exponent,
        _ => return Err(too_large()),
    };
    let words = base.bits().saturating_mul(exponent) / 64 + 1;
    budget.step(words * words / 256)?;
    let exponent = u32::try_from(exponent).map_err(|_| too_large())?;
    integer(base.pow(exponent))
}

/// The nearest float to `left / right`, ties to even.
fn quotient(left: &BigInt, right: &BigInt) -> Result<f64> {
    if left.is_zero() {
        return Ok(if right.is_negative() { -0.0 } else { 0.0 });
    }
    // Scaled so that the quotient has 66 or 67 bits: more than a float holds, so that one rounding follows.
    let (left_bits, right_bits) = (i128::from(left.bits()), i128::from(right.bits()));
    let shift = 66 - (left_bits - right_bits);
    let (dividend, divisor) = if shift >= 0 {
        (left.magnitude() << shift as u64, right.magnitude().clone())
    } else {
        (left.magnitude().clone(), right.magnitude() << (-shift) as u64)
    };
    let (quotient, rest) = dividend.div_rem(&divisor);
    let mut mantissa = quotient.to_u128().unwrap_or(u128::MAX);
    if !rest.is_zero() {
        mantissa |= 1;
    }
    let magnitude = scale(mantissa, -shift)?;
    Ok(if left.is_negative() == right.is_negative() { magnitude } else { -magnitude })
}

/// `mantissa * 2^exponent`, rounded once; the lowest bit of the mantissa may stand for what was cut off.
fn scale(mantissa: u128, exponent: i128) -> Result<f64> {
    let bits = 128 - i128::from(mantissa.leading_zeros());
    // The exponent of the highest bit decides how many bits a float has: fewer below the normal range.
    let top = bits + exponent;
    if top > 1024 {
        return Err(Fault::overflow("integer division result too large for a float"));
    }
    let kept = if top >= -1021 { 53 } else { (top + 1074).max(0) };
    let cut = (bits - kept).max(0) as u32;
    let (mut high, low) = if cut >= 128 { (0, mantissa) } else { (mantissa >> cut, mantissa & ((1 << cut) - 1)) };
    if cut > 0 {
        let half = 1_u128 << (cut - 1);
        if low > half || low == half && high & 1 == 1 {
            high += 1;
        }
    }
    // Both factors are exact, and so is their product, unless it overflows.
    let mut value = high as f64;
    let mut exponent = exponent + i128::from(cut);
    while exponent > 0 {
        let step = exponent.min(1000) as i32;
        value *= 2_f64.powi(step);
        exponent -= i128::from(step);
    }
    while exponent < 0 {
        let step = (-exponent).min(1000) as i32;
        value /= 2_f64.powi(step);
        exponent += i128::from(step);
    }
    if value.is_infinite() {
        return Err(Fault::overflow("integer division result too large for a float"));
    }
    Ok(value)
}

fn float_operands(op: BinaryOp, left: &Number, right: &Number) -> Option<Result<Value>> {
    let (left, right) = match (left.float(), right.float()) {
        (Ok(left), Ok(right)) => (left, right),
        (Err(fault), _) | (_, Err(fault)) => return Some(Err(fault)),
    };
    let result = match op {
        BinaryOp::Add => Ok(left + right),
        BinaryOp::Sub => Ok(left - right),
        BinaryOp::Mul => Ok(left * right),
        BinaryOp::Div if right == 0.0 => Err(Fault::zero_division("float division by zero")),
        BinaryOp::Div => Ok(left / right),
        BinaryOp::FloorDiv if right == 0.0 => Err(Fault::zero_division("float floor division by zero")),
        BinaryOp::FloorDiv => Ok(divmod(left, right).0),
        BinaryOp::Mod if right == 0.0 => Err(Fault::zero_division("float modulo")),
        BinaryOp::Mod => Ok(divmod(left, right).1),
        BinaryOp::Pow => float_power(left, right),
        _ => return None,
    };
    Some(result.map(Value::Float))
}

/// Quotient rounded down, and rest with the sign of the divisor.
pub(crate) fn divmod(left: f64, right: f64) -> (f64, f64) {
    let mut rest = left % right;
    let mut quotient = (left - rest) / right;
    if rest != 0.0 {
        if (right < 0.0) != (rest < 0.0) {
            rest += right;
            quotient -= 1.0;
        }
    } else {
        rest = 0.0_f64.copysign(right);
    }
    let floor = if quotient == 0.0 {
        0.0_f64.copysign(left / right)
    } else {
        let floor = quotient.floor();
        if quotient - floor > 0.5 { floor + 1.0 } else { floor }
    };
    (floor, rest)
}

fn float_power(base: f64, exponent: f64) -> Result<f64> {
    if base == 0.0 && exponent < 0.0 {
        return Err(Fault::zero_division("0.0 cannot be raised to a negative power"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(Fault::refused("complex numbers: a negative number to a fractional power"));
    }
    let result = base.powf(exponent);
    if result.is_infinite() && base.is_finite() && exponent.is_finite() {
        return Err(Fault::overflow("(34, 'Numerical result out of range')"));
    }
    Ok(result)
}

/// `-value`, `+value` or `~value`; `None` if it is not a number.
pub(crate) fn negated(value: &Value) -> Option<Result<Value>> {
    match Number::of(value)? {
        Number::Int(value) => Some(match value.checked_neg() {
            Some(negated) => Ok(Value::Int(negated)),
            None => integer(-BigInt::from(value)),
        }),
        Number::Big(value) => Some(integer(-&*value)),
        Number::Float(value) => Some(Ok(Value::Float(-value))),
    }
}

/// A float as Python's `repr` writes it: the shortest text that reads back as the same number.
pub(crate) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    format!("{mantissa}e{}", exponent_text(exponent))
}

/// An exponent with its sign and at least two digits.
pub(crate) fn exponent_text(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// A whole number from a text in a base, with Python's rules for underscores, signs and prefixes.
pub(crate) fn parse_integer(text: &str, base: u32) -> Option<BigInt> {
    let text = text.trim_matches(is_python_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (mut base, mut digits) = (base, lower.as_str());
    for (prefix, prefixed) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = digits.strip_prefix(prefix)
            && (base == prefixed || base == 0)
        {
            (base, digits) = (prefixed, rest.strip_prefix('_').unwrap_or(rest));
            break;
        }
    }
    if base == 0 {
        base = 10;
        let is_octal_like = digits.starts_with('0') && !digits.trim_matches(['0', '_']).is_empty();
        if is_octal_like {
            return None;
        }
    }
    let starts_well = digits.chars().next().is_some_and(|c| c != '_');
    if !starts_well || digits.ends_with('_') || digits.contains("__") || digits.contains(['+', '-']) {
        return None;
    }
    let mut plain = String::with_capacity(digits.len());
    for c in digits.chars() {
        match c {
            '_' => {}
            c if c.is_ascii_alphanumeric() => plain.push(c),
            c => plain.push(char::from_digit(decimal_digit(c)?, 10)?),
        }
    }
    let magnitude = BigInt::parse_bytes(plain.as_bytes(), base)?;
    Some(if negative { -magnitude } else { magnitude })
}

/// The value of a decimal digit of any script: the scripts that texts are likely to have.
pub(crate) fn decimal_digit(c: char) -> Option<u32> {
    const ZEROS: [u32; 14] =
        [0x30, 0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xE50, 0xED0, 0xF20, 0xFF10];
    let code = u32::from(c);
    ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code)).map(|zero| code - zero)
}

/// A float from a text, with Python's rules.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(is_python_space);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    let mut plain = String::with_capacity(unsigned.len());
    let characters: Vec<char> = unsigned.chars().collect();
    for (index, c) in characters.iter().enumerate() {
        if *c == '_' {
            let is_digit = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(char::is_ascii_digit);
            if !is_digit(index.checked_sub(1)) || !is_digit(Some(index + 1)) {
                return None;
            }
        } else if let Some(digit) = decimal_digit(*c) {
            plain.push(char::from_digit(digit, 10)?);
        } else if matches!(c, '.' | 'e' | 'E' | '+' | '-') {
            plain.push(*c);
        } else {
            return None;
        }
    }
    if !plain.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    plain.parse::<f64>().ok().map(|value| sign * value)
}

/// What Python's `str.strip` and number parsers take for white space.
pub(crate) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}
