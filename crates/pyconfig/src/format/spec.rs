//! The format mini-language: `[[fill]align][sign][z][#][0][width][grouping][.precision][type]`.

use num_bigint::BigInt;
use num_traits::Signed;

use crate::budget::Budget;
use crate::error::{Fault, Result};
use crate::value::number::{Number, as_big, exponent_text, float_repr};
use crate::value::{Value, repr};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    no_negative_zero: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(text: &str, type_name: &str) -> Result<Self> {
        let characters: Vec<char> = text.chars().collect();
        let mut spec = Self::default();
        let mut at = 0;
        let is_align = |index: usize| matches!(characters.get(index), Some('<' | '>' | '=' | '^'));
        if is_align(1) {
            (spec.fill, spec.align) = (characters.first().copied(), characters.get(1).copied());
            at = 2;
        } else if is_align(0) {
            spec.align = characters.first().copied();
            at = 1;
        }
        if let Some(sign @ ('+' | '-' | ' ')) = characters.get(at) {
            spec.sign = Some(*sign);
            at += 1;
        }
        if characters.get(at) == Some(&'z') {
            spec.no_negative_zero = true;
            at += 1;
        }
        if characters.get(at) == Some(&'#') {
            spec.alternate = true;
            at += 1;
        }
        if characters.get(at) == Some(&'0') {
            spec.zero = true;
            at += 1;
        }
        if let Some(width) = digits(&characters, &mut at)? {
            spec.width = width;
        }
        if let Some(grouping @ (',' | '_')) = characters.get(at) {
            spec.grouping = Some(*grouping);
            at += 1;
        }
        if characters.get(at) == Some(&'.') {
            at += 1;
            match digits(&characters, &mut at)? {
                Some(precision) => spec.precision = Some(precision),
                None => return Err(Fault::value_error("Format specifier missing precision")),
            }
        }
        if let Some(kind) = characters.get(at) {
            spec.kind = Some(*kind);
            at += 1;
        }
        if at < characters.len() {
            return Err(Fault::value_error(format!(
                "Invalid format specifier '{text}' for object of type '{type_name}'"
            )));
        }
        Ok(spec)
    }
}

fn digits(characters: &[char], at: &mut usize) -> Result<Option<usize>> {
    let mut number: Option<usize> = None;
    while let Some(digit) = characters.get(*at).and_then(|c| c.to_digit(10)) {
        let next = number.unwrap_or(0).checked_mul(10).and_then(|number| number.checked_add(digit as usize));
        match next {
            Some(next) => number = Some(next),
            None => return Err(Fault::value_error("Too many decimal digits in format string")),
        }
        *at += 1;
    }
    Ok(number)
}

/// `format(value, spec)`.
pub(crate) fn format(budget: &mut Budget, value: &Value, spec: &str) -> Result<String> {
    if spec.is_empty() {
        return repr::text(budget, value);
    }
    match value {
        Value::Str(text) => {
            let spec = Spec::parse(spec, "str")?;
            format_text(budget, text, &spec)
        }
        _ => match Number::of(value) {
            Some(number) => {
                let spec = Spec::parse(spec, value.type_name())?;
                format_number(budget, &number, &spec, value.type_name())
            }
            None => {
                Err(Fault::type_error(format!("unsupported format string passed to {}.__format__", value.type_name())))
            }
        },
    }
}

fn unknown(kind: char, type_name: &str) -> Fault {
    Fault::value_error(format!("Unknown format code '{kind}' for object of type '{type_name}'"))
}

fn format_text(budget: &mut Budget, text: &str, spec: &Spec) -> Result<String> {
    match spec.kind {
        None | Some('s') => {}
        Some(kind) => return Err(unknown(kind, "str")),
    }
    if spec.sign.is_some() {
        return Err(Fault::value_error("Sign not allowed in string format specifier"));
    }
    if spec.alternate {
        return Err(Fault::value_error("Alternate form (#) not allowed in string format specifier"));
    }
    if let Some(grouping) = spec.grouping {
        return Err(Fault::value_error(format!("Cannot specify '{grouping}' with 's'.")));
    }
    if spec.align == Some('=') {
        return Err(Fault::value_error("'=' alignment not allowed in string format specifier"));
    }
    let shown: String = match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    pad(budget, &shown, "", spec, '<')
}

fn format_number(budget: &mut Budget, number: &Number, spec: &Spec, type_name: &str) -> Result<String> {
    let kind = spec.kind;
    let is_float = matches!(number, Number::Float(_));
    match kind {
        Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n' | '%') => {}
        None => {}
        Some('b' | 'c' | 'd' | 'o' | 'x' | 'X') if !is_float => {}
        Some(kind) => return Err(unknown(kind, type_name)),
    }
    let as_float = is_float || matches!(kind, Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%'));
    if !as_float {
        return format_integer(budget, number, spec);
    }
    format_float(budget, number.float()?, spec)
}

fn format_integer(budget: &mut Budget, number: &Number, spec: &Spec) -> Result<String> {
    if spec.precision.is_some() {
        return Err(Fault::value_error("Precision not allowed in integer format specifier"));
    }
    if spec.no_negative_zero {
        return Err(Fault::value_error(
            "Negative zero coercion (z) not allowed in format specifier with integer format code 'd'",
        ));
    }
    let value = match number {
        Number::Int(value) => BigInt::from(*value),
        Number::Big(value) => (**value).clone(),
        Number::Float(_) => BigInt::default(),
    };
    if spec.kind == Some('c') {
        if spec.sign.is_some() {
            return Err(Fault::value_error("Sign not allowed with integer format specifier 'c'"));
        }
        let c = u32::try_from(&value).ok().and_then(char::from_u32);
        let Some(c) = c else { return Err(Fault::overflow("%c arg not in range(0x110000)")) };
        return pad(budget, &c.to_string(), "", spec, '<');
    }
    if spec.grouping == Some(',') && matches!(spec.kind, Some('b' | 'o' | 'x' | 'X' | 'n')) {
        let kind = spec.kind.unwrap_or_default();
        return Err(Fault::value_error(format!("Cannot specify ',' with '{kind}'.")));
    }
    let magnitude = value.magnitude();
    budget.memory(usize::try_from(magnitude.bits()).unwrap_or(usize::MAX))?;
    let (prefix, digits) = match spec.kind {
        Some('b') => ("0b", magnitude.to_str_radix(2)),
        Some('o') => ("0o", magnitude.to_str_radix(8)),
        Some('x') => ("0x", magnitude.to_str_radix(16)),
        Some('X') => ("0X", magnitude.to_str_radix(16).to_ascii_uppercase()),
        _ => ("", repr::integer_text(budget, &BigInt::from(magnitude.clone()))?),
    };
    let group = if matches!(spec.kind, Some('b' | 'o' | 'x' | 'X')) { 4 } else { 3 };
    let prefix = format!("{}{}", sign(value.is_negative(), spec), if spec.alternate { prefix } else { "" });
    grouped(budget, &digits, "", &prefix, group, spec)
}

fn sign(is_negative: bool, spec: &Spec) -> &'static str {
    match (is_negative, spec.sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        _ => "",
    }
}

fn format_float(budget: &mut Budget, value: f64, spec: &Spec) -> Result<String> {
    let precision = spec.precision;
    budget.memory(precision.unwrap_or(0))?;
    if precision.is_some_and(|precision| precision > 10_000) {
        return Err(Fault::value_error("precision too big"));
    }
    let magnitude = value.abs();
    let mut text = match spec.kind {
        _ if !value.is_finite() => float_repr(magnitude),
        Some('e' | 'E') => scientific(magnitude, precision.unwrap_or(6), spec.alternate),
        Some('f' | 'F') => fixed(magnitude, precision.unwrap_or(6), spec.alternate),
        Some('%') => fixed(magnitude * 100.0, precision.unwrap_or(6), spec.alternate),
        Some(_) => general(magnitude, precision.unwrap_or(6), spec.alternate, false),
        None => match precision {
            Some(precision) => general(magnitude, precision, spec.alternate, true),
            None => float_repr(magnitude),
        },
    };
    if matches!(spec.kind, Some('E' | 'F' | 'G')) {
        text.make_ascii_uppercase();
    }
    if spec.kind == Some('%') {
        text.push('%');
    }
    let mut is_negative = value.is_sign_negative() && !value.is_nan();
    if spec.no_negative_zero && !text.contains(|c: char| ('1'..='9').contains(&c)) && value.is_finite() {
        is_negative = false;
    }
    // Only the digits before the point are grouped.
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = text.split_at(end);
    if whole.is_empty() {
        return pad(budget, rest, sign(is_negative, spec), &Spec { zero: spec.zero, ..spec.clone() }, '>');
    }
    grouped(budget, whole, rest, sign(is_negative, spec), 3, spec)
}

fn fixed(value: f64, precision: usize, alternate: bool) -> String {
    let mut text = format!("{value:.precision$}");
    if alternate && precision == 0 {
        text.push('.');
    }
    text
}

fn scientific(value: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if alternate && precision == 0 { "." } else { "" };
    format!("{mantissa}{point}e{}", exponent_text(exponent.parse().unwrap_or(0)))
}

/// `g`, or without a type `repr`-like: then a point is added to whole numbers.
fn general(value: f64, precision: usize, alternate: bool, adds_point: bool) -> String {
    let precision = precision.max(1);
    let digits = format!("{value:.0$e}", precision - 1);
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let top = precision as i64 - i64::from(adds_point);
    let is_fixed = (-4..precision as i64).contains(&exponent) && (exponent < top || !adds_point);
    let (mut number, suffix) = if is_fixed {
        let places = usize::try_from(precision as i64 - 1 - exponent).unwrap_or(0);
        (format!("{value:.places$}"), String::new())
    } else {
        (mantissa.to_owned(), format!("e{}", exponent_text(i32::try_from(exponent).unwrap_or(0))))
    };
    if !alternate && number.contains('.') {
        number = number.trim_end_matches('0').trim_end_matches('.').to_owned();
    } else if alternate && !number.contains('.') {
        number.push('.');
    }
    if adds_point && is_fixed && !number.contains('.') {
        number.push_str(".0");
    }
    number + &suffix
}

/// Adds separators between groups of digits, and pads; zeros that pad are grouped, too.
fn grouped(budget: &mut Budget, digits: &str, rest: &str, prefix: &str, group: usize, spec: &Spec) -> Result<String> {
    budget.memory(spec.width)?;
    let mut digits = digits.to_owned();
    let pads_with_zeros = spec.zero && spec.align.is_none() || spec.fill == Some('0') && spec.align == Some('=');
    if let Some(separator) = spec.grouping {
        if pads_with_zeros {
            let room = spec.width.saturating_sub(prefix.chars().count() + rest.chars().count());
            // A width that would begin with a separator gets one more digit.
            while with_separators(digits.len(), group) < room {
                digits.insert(0, '0');
            }
        }
        digits = separated(&digits, separator, group);
    }
    pad(budget, &format!("{digits}{rest}"), prefix, spec, '>')
}

fn with_separators(digits: usize, group: usize) -> usize {
    digits + digits.saturating_sub(1) / group
}

fn separated(digits: &str, separator: char, group: usize) -> String {
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(group) {
            out.push(separator);
        }
        out.push(digit);
    }
    out
}

/// Pads to the width. `prefix`, a sign for instance, stays before zeros.
fn pad(budget: &mut Budget, text: &str, prefix: &str, spec: &Spec, default_align: char) -> Result<String> {
    budget.text(spec.width.saturating_mul(4).saturating_add(text.len()))?;
    let missing = spec.width.saturating_sub(text.chars().count() + prefix.chars().count());
    let align = match spec.align {
        Some(align) => align,
        None if spec.zero && default_align == '>' => '=',
        None => default_align,
    };
    let fill = spec.fill.unwrap_or(if spec.zero { '0' } else { ' ' });
    let (before, after) = match align {
        '<' => (0, missing),
        '^' => (missing / 2, missing - missing / 2),
        _ => (missing, 0),
    };
    let filled = |count: usize| -> String { std::iter::repeat_n(fill, count).collect() };
    if align == '=' {
        return Ok(format!("{prefix}{}{text}", filled(missing)));
    }
    Ok(format!("{}{prefix}{text}{}", filled(before), filled(after)))
}

/// `round(value, digits)` of a float: the nearest decimal number, ties to even.
pub(crate) fn round_to_digits(value: f64, digits: i64) -> f64 {
    if !value.is_finite() || digits > 323 {
        return value;
    }
    if digits < -308 {
        return 0.0_f64.copysign(value);
    }
    if digits >= 0 {
        let precision = usize::try_from(digits).unwrap_or(0);
        return format!("{value:.precision$}").parse().unwrap_or(value);
    }
    // The whole part is exact, and what is cut off is compared exactly with a half.
    let unit = num_traits::pow(BigInt::from(10), usize::try_from(-digits).unwrap_or(0));
    let Some(whole) = as_big(&Value::Float(value)).or_else(|| crate::value::number::float_to_integer(value.trunc()))
    else {
        return value;
    };
    let magnitude = whole.abs();
    let (quotient, rest) = num_integer::Integer::div_rem(&magnitude, &unit);
    let twice: BigInt = &rest * 2;
    let is_odd = num_integer::Integer::is_odd(&quotient);
    let rounds_up = twice > unit || twice == unit && (is_odd || value.fract() != 0.0);
    let rounded = (quotient + i32::from(rounds_up)) * unit;
    let text = rounded.to_string();
    text.parse::<f64>().unwrap_or(value).copysign(value)
}
