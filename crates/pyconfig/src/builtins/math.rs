//! The functions of `math`.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive};

use crate::error::{Fault, Result};
use crate::interpreter::{Arguments, Interpreter};
use crate::syntax::ast::BinaryOp;
use crate::value::number::{Number, as_big, float_to_integer, integer};
use crate::value::{Value, iterate};

pub(super) const FUNCTIONS: [&str; 41] = [
    "math.acos",
    "math.asin",
    "math.atan",
    "math.atan2",
    "math.ceil",
    "math.comb",
    "math.copysign",
    "math.cos",
    "math.cosh",
    "math.degrees",
    "math.dist",
    "math.exp",
    "math.expm1",
    "math.fabs",
    "math.factorial",
    "math.floor",
    "math.fmod",
    "math.fsum",
    "math.gcd",
    "math.hypot",
    "math.isclose",
    "math.isfinite",
    "math.isinf",
    "math.isnan",
    "math.isqrt",
    "math.lcm",
    "math.log",
    "math.log10",
    "math.log1p",
    "math.log2",
    "math.modf",
    "math.perm",
    "math.pow",
    "math.prod",
    "math.radians",
    "math.sin",
    "math.sinh",
    "math.sqrt",
    "math.tan",
    "math.tanh",
    "math.trunc",
];

/// A constant of `math`.
pub(super) fn constant(name: &str) -> Option<f64> {
    match name {
        "pi" => Some(std::f64::consts::PI),
        "e" => Some(std::f64::consts::E),
        "tau" => Some(std::f64::consts::TAU),
        "inf" => Some(f64::INFINITY),
        "nan" => Some(f64::NAN),
        _ => None,
    }
}

pub(super) fn call(interpreter: &mut Interpreter, name: &str, arguments: Arguments) -> Result<Value> {
    match name {
        "floor" | "ceil" | "trunc" => rounded(name, &arguments.one(name)?),
        "gcd" | "lcm" => {
            let mut total = BigInt::from(i32::from(name == "lcm"));
            for value in &arguments.positional {
                let Some(number) = as_big(value) else { return Err(not_an_integer(value)) };
                interpreter.budget.step(number.bits() / 16)?;
                total = if name == "gcd" {
                    num_integer::Integer::gcd(&total, &number)
                } else {
                    num_integer::Integer::lcm(&total, &number)
                };
            }
            integer(total)
        }
        "factorial" => factorial(interpreter, &arguments.one(name)?),
        "comb" => {
            let [n, k] = arguments.bind(name, ["n", "k"], 2)?;
            let (n, k) = (small(&n.unwrap_or(Value::None))?, small(&k.unwrap_or(Value::None))?);
            let mut result = BigInt::one();
            for step in 0..k.min(n.saturating_sub(k)) {
                interpreter.budget.step(1 + result.bits() / 64)?;
                if result.bits() > crate::limits::INTEGER_BITS {
                    return Err(Fault::limit("whole numbers have a limit"));
                }
                result = result * (n - step) / (step + 1);
            }
            integer(if k > n { BigInt::default() } else { result })
        }
        "perm" => {
            let [n, k] = arguments.bind(name, ["n", "k"], 1)?;
            let n = small(&n.unwrap_or(Value::None))?;
            let k = k.as_ref().map_or(Ok(n), small)?;
            let mut result = BigInt::from(i32::from(k <= n));
            for step in 0..k.min(n) {
                interpreter.budget.step(1 + result.bits() / 64)?;
                if result.bits() > crate::limits::INTEGER_BITS {
                    return Err(Fault::limit("whole numbers have a limit"));
                }
                result *= n - step;
            }
            integer(result)
        }
        "isqrt" => match as_big(&arguments.one(name)?) {
            Some(number) if !number.is_negative() => integer(number.sqrt()),
            _ => Err(Fault::value_error("isqrt() argument must be nonnegative")),
        },
        "prod" => {
            let [iterable, start] = arguments.bind(name, ["iterable", "*start"], 1)?;
            let mut total = start.unwrap_or(Value::Int(1));
            for item in iterate::items(&mut interpreter.budget, &iterable.unwrap_or(Value::None))? {
                total = interpreter.binary(BinaryOp::Mul, &total, &item)?;
            }
            Ok(total)
        }
        "fsum" => {
            let values = iterate::items(&mut interpreter.budget, &arguments.one(name)?)?;
            exact_sum(&values)
        }
        "isclose" => {
            let [a, b, relative, absolute] = arguments.bind(name, ["a", "b", "*rel_tol", "*abs_tol"], 2)?;
            let (a, b) = (number(&a.unwrap_or(Value::None))?, number(&b.unwrap_or(Value::None))?);
            let relative = relative.as_ref().map_or(Ok(1e-9), number)?;
            let absolute = absolute.as_ref().map_or(Ok(0.0), number)?;
            let is_close = a == b
                || a.is_finite() && b.is_finite() && (a - b).abs() <= (relative * a.abs().max(b.abs())).max(absolute);
            Ok(Value::Bool(is_close))
        }
        "log" => {
            let [x, base] = arguments.bind(name, ["x", "base"], 1)?;
            let x = logarithm(&x.unwrap_or(Value::None), f64::ln)?;
            match base {
                None => Ok(Value::Float(x)),
                Some(base) => {
                    let base = logarithm(&base, f64::ln)?;
                    if base == 0.0 {
                        return Err(Fault::zero_division("float division by zero"));
                    }
                    Ok(Value::Float(x / base))
                }
            }
        }
        "log2" => Ok(Value::Float(logarithm(&arguments.one(name)?, f64::log2)?)),
        "log10" => Ok(Value::Float(logarithm(&arguments.one(name)?, f64::log10)?)),
        _ => floats(name, &arguments.positional),
    }
}

fn not_an_integer(value: &Value) -> Fault {
    Fault::type_error(format!("'{}' object cannot be interpreted as an integer", value.type_name()))
}

fn small(value: &Value) -> Result<u64> {
    match as_big(value).and_then(|number| number.to_u64()) {
        Some(number) if number <= 100_000 => Ok(number),
        Some(_) => Err(Fault::limit("an argument is too large")),
        None => Err(not_an_integer(value)),
    }
}

fn number(value: &Value) -> Result<f64> {
    match Number::of(value) {
        Some(number) => number.float(),
        None => Err(Fault::type_error(format!("must be real number, not {}", value.type_name()))),
    }
}

fn rounded(name: &str, value: &Value) -> Result<Value> {
    let Some(Number::Float(float)) = Number::of(value) else {
        return match as_big(value) {
            Some(number) => integer(number),
            None => Err(Fault::type_error(format!("must be real number, not {}", value.type_name()))),
        };
    };
    let whole = match name {
        "floor" => float.floor(),
        "ceil" => float.ceil(),
        _ => float.trunc(),
    };
    match float_to_integer(whole) {
        Some(whole) => integer(whole),
        None if float.is_nan() => Err(Fault::value_error("cannot convert float NaN to integer")),
        None => Err(Fault::overflow("cannot convert float infinity to integer")),
    }
}

fn factorial(interpreter: &mut Interpreter, value: &Value) -> Result<Value> {
    let Some(number) = as_big(value) else { return Err(not_an_integer(value)) };
    if number.is_negative() {
        return Err(Fault::value_error("factorial() not defined for negative values"));
    }
    let mut result = BigInt::one();
    for factor in 2..=small(value)? {
        interpreter.budget.step(1 + result.bits() / 64)?;
        result *= factor;
        if result.bits() > crate::limits::INTEGER_BITS {
            return Err(Fault::limit("whole numbers have a limit"));
        }
    }
    integer(result)
}

fn out_of_domain() -> Fault {
    Fault::value_error("math domain error")
}

/// The logarithm of a positive number, also of one beyond the range of floats.
fn logarithm(value: &Value, log: fn(f64) -> f64) -> Result<f64> {
    match Number::of(value) {
        Some(Number::Big(big)) if big.is_positive() && big.bits() > 1000 => {
            let shift = big.bits() - 60;
            let mantissa = (&*big >> shift).to_f64().unwrap_or(1.0);
            Ok(log(mantissa) + shift as f64 * log(2.0))
        }
        Some(number) => {
            let x = number.float()?;
            if x > 0.0 || x.is_nan() { Ok(log(x)) } else { Err(out_of_domain()) }
        }
        None => Err(Fault::type_error(format!("must be real number, not {}", value.type_name()))),
    }
}

/// The sum of floats, rounded once.
fn exact_sum(values: &[Value]) -> Result<Value> {
    let mut partials: Vec<f64> = Vec::new();
    for value in values {
        let mut x = number(value)?;
        let mut kept = 0;
        for index in 0..partials.len() {
            let mut y = partials[index];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        partials.truncate(kept);
        partials.push(x);
    }
    let mut total = 0.0;
    while let Some(high) = partials.pop() {
        let sum = total + high;
        let rest = high - (sum - total);
        total = sum;
        if rest != 0.0 {
            // Half-way cases look at the next partial.
            if let Some(next) = partials.last()
                && (rest < 0.0) == (*next < 0.0)
            {
                let twice = rest * 2.0;
                let rounded = total + twice;
                if rounded - total == twice {
                    total = rounded;
                }
            }
            break;
        }
    }
    Ok(Value::Float(total))
}

fn floats(name: &str, arguments: &[Value]) -> Result<Value> {
    let mut numbers = Vec::new();
    if name == "dist" {
        return distance(arguments);
    }
    for value in arguments {
        numbers.push(number(value)?);
    }
    let result = match (name, numbers.as_slice()) {
        ("isnan", [x]) => return Ok(Value::Bool(x.is_nan())),
        ("isinf", [x]) => return Ok(Value::Bool(x.is_infinite())),
        ("isfinite", [x]) => return Ok(Value::Bool(x.is_finite())),
        ("sqrt", [x]) if *x < 0.0 => return Err(out_of_domain()),
        ("sqrt", [x]) => x.sqrt(),
        ("exp", [x]) => x.exp(),
        ("expm1", [x]) => x.exp_m1(),
        ("log1p", [x]) if *x <= -1.0 => return Err(out_of_domain()),
        ("log1p", [x]) => x.ln_1p(),
        ("sin", [x]) if x.is_finite() => x.sin(),
        ("cos", [x]) if x.is_finite() => x.cos(),
        ("tan", [x]) if x.is_finite() => x.tan(),
        ("sin" | "cos" | "tan", [_]) => return Err(out_of_domain()),
        ("asin" | "acos", [x]) if x.abs() > 1.0 => return Err(out_of_domain()),
        ("asin", [x]) => x.asin(),
        ("acos", [x]) => x.acos(),
        ("atan", [x]) => x.atan(),
        ("sinh", [x]) => x.sinh(),
        ("cosh", [x]) => x.cosh(),
        ("tanh", [x]) => x.tanh(),
        ("degrees", [x]) => x * (180.0 / std::f64::consts::PI),
        ("radians", [x]) => x * (std::f64::consts::PI / 180.0),
        ("fabs", [x]) => x.abs(),
        ("modf", [x]) => return Ok(Value::tuple(vec![Value::Float(x.fract()), Value::Float(x.trunc())])),
        ("atan2", [y, x]) => y.atan2(*x),
        ("copysign", [x, y]) => x.copysign(*y),
        ("fmod", [_, y]) if *y == 0.0 => return Err(out_of_domain()),
        ("fmod", [x, y]) => x % y,
        ("pow", [x, y]) if *x < 0.0 && y.fract() != 0.0 && y.is_finite() => return Err(out_of_domain()),
        ("pow", [x, y]) if *x == 0.0 && *y < 0.0 => return Err(out_of_domain()),
        ("pow", [x, y]) => x.powf(*y),
        ("hypot", values) => values.iter().fold(0.0_f64, |length, x| length.hypot(*x)),
        _ => return Err(Fault::type_error(format!("math.{name}() got {} arguments", arguments.len()))),
    };
    if result.is_infinite() && numbers.iter().all(|x| x.is_finite()) {
        return Err(Fault::overflow("math range error"));
    }
    Ok(Value::Float(result))
}

fn distance(arguments: &[Value]) -> Result<Value> {
    let [Value::Tuple(left), Value::Tuple(right)] = arguments else {
        return Err(Fault::type_error("dist() expects two tuples"));
    };
    let mut length = 0.0_f64;
    for (x, y) in left.0.iter().zip(&right.0) {
        length = length.hypot(number(x)? - number(y)?);
    }
    Ok(Value::Float(length))
}
